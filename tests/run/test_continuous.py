"""Whole runs in environments whose actions are vectors of numbers."""

from pathlib import Path

import pytest
import torch
from tests.helpers.host_reads import host_reads
from tests.helpers.runs import rows, tiny, train

from components.spaces import Box
from components.squashed_normal import SquashedNormal
from config.load import load_config, load_recorded
from config.search_path import available
from evaluate import evaluate
from policy import load_policy
from run import Run
from utils.errors import UserError
from utils.registry import CONTROLLERS, LEARNERS

PARTICLES = ("mpe_speaker_listener", ("env_args.continuous_actions=True", "env_args.max_cycles=4"))
TASKS = (("allocation", ()), PARTICLES)


def acts_continuously(alg: str) -> bool:
    config = load_config(alg, None, [])
    controller = CONTROLLERS.get(config.controller).cls
    return bool(
        SquashedNormal in LEARNERS.get(config.learner).cls.trains and controller.acts_continuously
    )


METHODS = [alg for alg in available("algs") if acts_continuously(alg)]
OTHERS = [alg for alg in available("algs") if alg not in METHODS and alg != "agp_structured"]


def test_the_methods_are_those_that_the_documents_name() -> None:
    named = {"agp_pg", "agp_pg_a2c", "ippo", "mappo", "ia2c", "maa2c", "maddpg", "dicg_ce"}
    assert named <= set(METHODS)
    assert not {"agp", "qmix", "coma", "mat", "fop", "macpf"} & set(METHODS)


@pytest.mark.parametrize("alg", METHODS)
@pytest.mark.parametrize(("env", "settings"), TASKS)
def test_trains_evaluates_saves_and_reloads(
    alg: str, env: str, settings: tuple[str, ...], tmp_path: Path
) -> None:
    run_dir = train(tiny(alg, env, "t_max=16", "test_interval=16", *settings), tmp_path)
    assert {"test_return_mean", "loss", "entropy"} <= {row["key"] for row in rows(run_dir)}
    overrides = ["evaluate=True", f"checkpoint_path={run_dir}", "test_nepisode=8"]
    assert "return_mean" in evaluate(load_recorded(run_dir, overrides))
    policy = load_policy(run_dir)
    actions = policy.act(policy.make_env(3).reset())
    spaces = policy.info.spaces
    assert actions.shape == (3, len(spaces), policy.info.n_actions)
    for i, space in enumerate(spaces):
        assert isinstance(space, Box)
        own = actions[:, i, : space.size]
        assert (own >= torch.tensor(space.low)).all()
        assert (own <= torch.tensor(space.high)).all()
        assert not actions[:, i, space.size :].any()


@pytest.mark.parametrize("alg", OTHERS)
def test_other_methods_are_errors_with_the_remedy(alg: str) -> None:
    with pytest.raises(UserError, match=r"allocation are continuous, and .* discrete ones only"):
        Run(tiny(alg, "allocation"))


@pytest.mark.parametrize("alg", METHODS)
def test_no_method_asks_the_device(alg: str) -> None:
    env, settings = PARTICLES
    run = Run(tiny(alg, env, "hidden_dim=16", *settings))
    run.advance()
    run.advance()
    assert run.learner.updates
    assert host_reads(run.advance) == {}


@pytest.mark.parametrize("alg", ["agp_pg", "maddpg"])
def test_means_and_deviations_both_learn(alg: str) -> None:
    run = Run(tiny(alg, "allocation", "agent_args.head=node" if alg == "agp_pg" else "gamma=0.9"))
    last = next(m for n, m in run.controller.agent.named_modules() if n.endswith("last"))
    run.advance()
    run.advance()
    gradient = last.weight.grad  # [2 or 2 A, H]
    assert gradient is not None
    for half in gradient.chunk(2):
        assert half.abs().sum() > 0


def test_a_trained_opponent_acts_in_numbers(tmp_path: Path) -> None:
    short = ("env_args.max_cycles=4", "t_max=128")
    numbers = "env_args.continuous_actions=True"
    rivals = ("env_args.protocol=two_team", "env_args.opponent=none")
    both = train(
        tiny("ippo", "mpe_push", *short, numbers, *rivals, "reward_aggregation=individual"),
        tmp_path / "both",
    )
    seat = (
        *("env_args.protocol=team_vs_fixed", "env_args.opponent=path"),
        f"env_args.opponent_path={both}",
    )
    train(tiny("mappo", "mpe_push", *short, numbers, *seat), tmp_path / "team")
    with pytest.raises(UserError, match="continuous_actions"):
        Run(tiny("vdn", "mpe_push", *short, *seat))
