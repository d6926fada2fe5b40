"""A trained policy plays without learner, mixer, critic, target network, optimiser or buffer."""

import dataclasses
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from tests.helpers.runs import tiny, train

import attention
from config.load import load_recorded
from evaluate import evaluate
from learners.base import Learner
from main import main
from policy import load_policy
from records.checkpoint import LATEST, load_checkpoint
from utils.registry import BUFFERS, CRITICS, LEARNERS, MIXERS, Component, Registry

METHODS = ("agp", "qmix", "mappo", "macpf", "dcg")
FILM = ("render=gif", "render_episodes=1")
FEW = ("test_nepisode=4", "test_batch_size_run=2")


def refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise AssertionError("a part was built that only training needs")


@pytest.fixture
def nothing_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Components of the slots that only training needs cannot be built."""
    get = Registry.get

    def without_building(registry: Registry, name: str) -> Component:
        component = get(registry, name)
        if registry not in (LEARNERS, MIXERS, CRITICS, BUFFERS):
            return component
        unbuildable = type(component.cls.__name__, (component.cls,), {"__init__": refuse})
        return dataclasses.replace(component, cls=unbuildable)

    monkeypatch.setattr(Registry, "get", without_building)
    monkeypatch.setattr(Learner, "__init__", refuse)
    monkeypatch.setattr(torch.optim.Optimizer, "__init__", refuse)


@pytest.fixture
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run of a method; a test names it before `nothing_learns`."""
    return train(tiny(request.param, "mpe_spread", "t_max=32", "env_args.max_cycles=4"), tmp_path)


@pytest.mark.parametrize("run", METHODS, indirect=True)
def test_every_player_does_without(
    run: Path, nothing_learns: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["with", "evaluate=True", f"checkpoint_path={run}", *FEW, *FILM]) == 0
    assert "return_mean" in capsys.readouterr().out
    policy = load_policy(run)
    assert policy.play(policy.make_env(3)).batch.n_episodes == 3
    if policy.config.alg_name == "agp":
        assert attention.main([str(run), "--episodes", "2", "--out", str(run / "maps")]) == 0


@pytest.mark.parametrize("run", ["agp"], indirect=True)
def test_the_guard_of_these_tests_holds(run: Path, nothing_learns: None) -> None:
    with pytest.raises(AssertionError, match="only training needs"):
        train(load_recorded(run, []), run)


def test_a_mixer_of_another_size_does_not_matter(tmp_path: Path) -> None:
    """The size of QMIX's mixer depends on the number of agents, that of its agents does not."""
    run = train(tiny("qmix", "topk", "t_max=16", "obs_agent_id=False"), tmp_path / "run")
    asked = [f"checkpoint_path={run}", "evaluate=True", "env_args.n_agents=8", *FEW]
    assert "env_args.n_agents=8" in evaluate(load_recorded(run, asked))


def test_weights_that_do_not_play_stay_in_the_file(tmp_path: Path) -> None:
    """The tensors of a mapped checkpoint lie in one piece of memory: the file."""
    file = train(tiny("qmix", "topk", "t_max=16"), tmp_path) / "checkpoints" / LATEST
    weights, mapped = (load_checkpoint(file, mapped=m)["learner"]["online"] for m in (False, True))
    assert all(torch.equal(weight, mapped[name]) for name, weight in weights.items())
    places = [weight.data_ptr() for weight in mapped.values()]
    assert max(places) - min(places) < file.stat().st_size
