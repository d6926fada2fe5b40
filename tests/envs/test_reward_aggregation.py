"""Reward aggregation on rewards worked by hand."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from envs.base import EnvStep
from envs.reward_aggregation import RewardAggregation

REWARD = torch.tensor([[1.0, 2.0, 6.0], [-1.0, 0.0, 4.0]])
ACTIVE = torch.tensor([[True, False, True], [False, False, False]])


class Paid:
    """Two environments of three agents; shows the same step always and remembers its actions."""

    info = SimpleNamespace(n_agents=3)
    batch_size, device = 2, torch.device("cpu")

    def __init__(self, is_active: torch.Tensor | None = None):
        flags = torch.zeros(2, dtype=torch.bool)
        empty = torch.zeros(2, 3, 1)
        self.shown = EnvStep(
            empty,
            empty[:, 0],
            empty > 0,
            REWARD,
            flags,
            flags,
            {"m": REWARD[:, 0]},
            None,
            is_active,
        )
        self.calls: list[Any] = []

    def reset(self) -> EnvStep:
        self.calls.append("reset")
        return self.shown

    def step(self, actions: torch.Tensor) -> EnvStep:
        self.calls.append(actions)
        return self.shown

    def state_dict(self) -> dict[str, Any]:
        return {"n": len(self.calls)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls.append(state)

    def close(self) -> None:
        self.calls.append("close")


@pytest.mark.parametrize(
    ("mode", "is_active", "expected"),
    [
        ("sum", None, [[9.0], [3.0]]),
        ("mean", None, [[3.0], [1.0]]),
        ("individual", None, REWARD.tolist()),
        ("sum", ACTIVE, [[7.0], [0.0]]),  # no agent takes part in env slot 1
        ("mean", ACTIVE, [[3.5], [0.0]]),
        ("individual", ACTIVE, REWARD.tolist()),
    ],
)
def test_rewards_by_hand(mode, is_active, expected):
    env = RewardAggregation(Paid(is_active), mode)
    for step in (env.reset(), env.step(torch.zeros(2, 3, dtype=torch.int64))):
        assert step.reward.tolist() == expected
        assert step.reward.shape == (2, env.n_rewards)
        assert step.reward.dtype == torch.float32


@pytest.mark.parametrize("mode", ["sum", "mean", "individual"])
def test_everything_else_passes_through(mode):
    world = Paid()
    env = RewardAggregation(world, mode)
    actions = torch.ones(2, 3, dtype=torch.int64)
    step = env.step(actions)
    assert world.calls == [actions]
    assert step.obs is world.shown.obs
    assert step.avail is world.shown.avail
    assert step.metrics is world.shown.metrics
    assert world.shown.reward is REWARD  # the environment's own step is left alone
    assert (env.info, env.batch_size, env.device) == (world.info, 2, world.device)
    assert env.state_dict() == {"n": 1}
    env.load_state_dict({"n": 5})
    env.close()
    assert world.calls[1:] == [{"n": 5}, "close"]
