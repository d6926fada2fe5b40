"""Rollouts and gradient steps as CUDA graphs compute what they compute without.

Without a GPU a stand-in calls the function that would be recorded: it reads the same fixed tensors.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from tests.helpers.runs import differences, tiny

import run as run_module
from build_training import GraphPlan, plan_graphs
from config.load import load_config
from run import Run
from utils.errors import UserError

METHODS = {
    "agp": ("use_rnn=True", "controller_args.common_noise=2"),
    "qmix": ("reward_scaling=meanstd", "lr_schedule=linear"),
    "dcg": (),
    "fop": ("learner_args.temperature_anneal_time=100",),
    "maddpg": ("reward_aggregation=individual", "agent_args.share_parameters=False"),
    "macpf": ("learner_args.temperature_finish=0.0005", "lr_schedule=linear"),
}


class StandIn:
    """As `Captured`, without a graph."""

    def __init__(self, function: Callable[[], Any], generators: Iterable[torch.Generator]):
        self.function, self.generators = function, tuple(generators)

    def __call__(self) -> Any:
        return self.function()


@pytest.mark.parametrize("method", METHODS)
def test_fixed_tensors_give_the_same_run(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("env_args.max_cycles=3", "t_max=96", "hidden_dim=16", *METHODS[method])
    config = tiny(method, "mpe_tag", *settings)
    plain = Run(config)
    monkeypatch.setattr("learners.base.Captured", StandIn)
    monkeypatch.setattr("runners.batch_runner.Captured", StandIn)
    monkeypatch.setattr(run_module, "plan_graphs", lambda *_: GraphPlan(True, True))
    fixed = Run(config)
    for one in (plain, fixed):
        for _ in range(4):
            one.advance()
    assert fixed.learner._graph is not None
    assert plain.learner.updates == fixed.learner.updates > 1
    assert differences(plain.learner.state_dict(), fixed.learner.state_dict()) == []
    assert differences(plain.runner.state_dict(), fixed.runner.state_dict()) == []
    assert plain.statistics.means() == fixed.statistics.means()
    assert plain.learner.metrics() == fixed.learner.metrics()


@pytest.mark.parametrize(
    ("env", "settings", "said"),
    [
        ("topk", (), "Rollouts and gradient steps are CUDA graphs."),
        ("topk", ("compile=none",), "No CUDA graphs: compile=none."),
        ("assignment", (), "Gradient steps are CUDA graphs; rollouts are not, because"),
        ("formation", (), "No CUDA graphs: episodes of env=formation differ in length."),
    ],
)
def test_the_parts_that_are_graphs_are_reported(
    env: str, settings: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = Run(tiny("vdn", env)).runner.env.info
    monkeypatch.setattr("build_training.resolve_device", torch.device)
    config = load_config("vdn", env, ["device=cuda", *settings])
    plan = plan_graphs(config, info)
    assert plan.text.strip().startswith(said)
    assert plan.training == said.startswith(("Rollouts", "Gradient"))
    assert plan.acting == said.startswith("Rollouts")


def test_graphs_that_cannot_be_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"need a GPU, and this run computes on device=cpu"):
        Run(tiny("vdn", "topk", "compile=graphs"))
    info = Run(tiny("vdn", "formation")).runner.env.info
    monkeypatch.setattr("build_training.resolve_device", torch.device)
    config = load_config("vdn", "formation", ["device=cuda", "compile=graphs"])
    with pytest.raises(UserError, match=r"episodes of env=formation differ in length"):
        plan_graphs(config, info)
