"""Between two rows of metrics, training asks the device for nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.host_reads import host_reads
from tests.helpers.runs import tiny

from config.schema import RunConfig
from envs.base import make_env
from run import Run
from utils.registry import ENVS as ENVIRONMENTS

ROOT = Path(__file__).resolve().parents[2]
METHODS = sorted(path.stem for path in (ROOT / "src/config/algs").glob("*.yaml"))
# Python environments are of other libraries, and compute on the host.
NATIVE = [p for p in (ROOT / "src/config/envs").glob("*.yaml") if "env: gymma" not in p.read_text()]
NUMBERS = ("allocation",)  # their actions are continuous
ENVS = sorted(path.stem for path in NATIVE if path.stem not in ("pettingzoo", *NUMBERS))
FEATURES = ("agp_structured",)  # methods that need an environment with action features
SCALED = ("reward_scaling=meanstd", "env_args.max_cycles=4", "lr_schedule=linear")


def warm(config: RunConfig) -> Run:
    """A run that has trained once, so that what is built at first use is there."""
    run = Run(config)
    run.advance()
    run.advance()
    run.test_runner.collect(0, greedy=True)
    assert run.learner.updates
    return run


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("env", ["topk", "mpe_tag"])
def test_no_method_asks(method: str, env: str) -> None:
    settings = SCALED if env == "mpe_tag" else ("optimizer=rmsprop",)
    if method in FEATURES:
        env, settings = "capacity", ()
    run = warm(tiny(method, env, "hidden_dim=16", *settings))
    assert host_reads(run.advance) == {}
    assert [name for name, detail in run.learner._details.items() if holds_a_graph(detail)] == []


def holds_a_graph(function: Callable[[], torch.Tensor]) -> bool:
    """Whether a function keeps the autograd graph of a gradient step alive.

    It would cost its memory until the next step, and a CUDA graph must not be recorded with it.
    """
    cells = getattr(function, "__closure__", None) or ()
    kept = [getattr(function, "__self__", None), *(cell.cell_contents for cell in cells)]
    return any(isinstance(x, torch.Tensor) and x.grad_fn is not None for x in kept)


@pytest.mark.parametrize("env", ENVS)
def test_no_environment_asks_unless_it_says_so(env: str) -> None:
    settings = ["env_args.max_cycles=3"] if env.startswith("mpe") else []
    if env in ("mpe_push", "mpe_crypto", "mpe_world_comm", "mpe_adversary"):
        settings.append("reward_aggregation=mean")
    run = warm(tiny("vdn", env, *settings))
    asked = host_reads(lambda: (run.advance(), run.test_runner.collect(0, greedy=True)))
    assert (asked == {}) == run.runner.env.info.stays_on_device


TEAM = {"protocol": "team_vs_fixed", "max_cycles": 3}
CONTINUOUS = [
    ("allocation", {}),
    ("mpe", {"scenario": "reference", "protocol": "all_common", "max_cycles": 3}),
    ("mpe", {"scenario": "crypto", "opponent": "scripted", **TEAM}),
    ("mpe", {"scenario": "world_comm", "opponent": "scripted", **TEAM}),
    ("mpe", {"scenario": "push", "opponent": "random", **TEAM}),
]


@pytest.mark.parametrize(("name", "settings"), CONTINUOUS)
def test_no_continuous_environment_asks(name: str, settings: dict[str, Any]) -> None:
    kind = {"continuous_actions": True} if name == "mpe" else {}
    config = ENVIRONMENTS.get(name).config(**settings, **kind)
    env = make_env(name, config, 4, torch.device("cpu"), 1, "test")
    actions = torch.rand(4, env.info.n_agents, env.info.n_actions)

    def episode() -> None:
        env.reset()
        for _ in range(env.info.episode_limit + 1):
            env.step(actions)

    episode()
    assert host_reads(episode) == {}


def test_what_the_count_finds() -> None:
    x = torch.arange(3.0)
    for function in (
        lambda: x[0].item(),
        lambda: float(x[0]),
        lambda: bool((x > 0).any()),
        lambda: x[x > 0],
        lambda: x.nonzero(),
        lambda: x.cpu(),
        lambda: x.tolist(),
        lambda: torch.tensor([1.0, 2.0]),
    ):
        assert host_reads(function)
    assert host_reads(lambda: torch.where(x > 0, x, 0.0).sum()) == {}
