"""The env checker where actions are vectors of numbers."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.envs.test_env_checker import PLAIN, Walk, put, violations
from tests.helpers.messages import says

from components.spaces import Box
from envs.base import EnvStep
from envs.checker.continuous_actions import bounds_of, choose_numbers

BOXES = (Box((0.0, -2.0, -1.0), (1.0, 2.0, 1.0)), Box((0.5, 3.0), (1.0, 4.0)))
NUMBERS = replace(PLAIN, action_spaces=BOXES, dynamic_avail=False)


class Glide(Walk):
    """A walk by numbers: each agent's first number is its stride; every number must be in place."""

    info = NUMBERS

    def step(self, actions: torch.Tensor) -> EnvStep:
        low, high = bounds_of(self.info)
        assert actions.shape == (self.batch_size, 2, 3)
        assert actions.dtype == torch.float32
        assert ((low <= actions) & (actions <= high)).all()
        strides = (actions[:, :, 0] > 0.75).long()  # [B, N]
        return super().step(strides)

    def show(self, reward: torch.Tensor) -> EnvStep:
        avail = torch.tensor([[True, True, True], [True, True, False]])
        return replace(super().show(reward), avail=avail.repeat(self.batch_size, 1, 1))


def promises(**changes: Any) -> type[Glide]:
    return type("Broken", (Glide,), {"info": replace(NUMBERS, **changes)})


def test_a_world_that_keeps_the_contract_passes() -> None:
    assert violations(Glide) == []


def test_numbers_are_drawn_within_bounds_and_on_them() -> None:
    luck = torch.rand(2000, 2, 3, generator=torch.Generator().manual_seed(1))
    drawn = choose_numbers(NUMBERS, luck)
    for i, space in enumerate(BOXES):
        for k in range(space.size):
            own = drawn[:, i, k]
            assert own.min() == space.low[k]
            assert own.max() == space.high[k]
            assert own.mean().item() == pytest.approx((space.low[k] + space.high[k]) / 2, abs=0.1)
    assert not drawn[:, 1, 2].any()


class Masked(Glide):
    def show(self, reward: torch.Tensor) -> EnvStep:
        step = super().show(reward)
        return replace(step, avail=put(step.avail, (0, 0, 2), False))


class TakesIntegers(Glide):
    def step(self, actions: torch.Tensor) -> EnvStep:
        return self.show(torch.zeros(3).gather(0, actions))


BROKEN: dict[str, tuple[type[Glide], str]] = {
    "changing numbers": (
        promises(dynamic_avail=True),
        "info.dynamic_avail ... True ... numbers ... Set dynamic_avail=False",
    ),
    "bounds": (
        promises(action_spaces=(BOXES[0], Box((0.0, 1.0), (1.0, 1.0 + 1e-12)))),
        "number 1 ... small ... [1.0, 1.000000000001] ... float32",
    ),
    "infinite bounds": (
        promises(action_spaces=(Box((0.0, 0.0, -1e300), (1.0, 1.0, 0.0)), BOXES[1])),
        "number 2 ... tall ... [-1e+300, 0.0] ... infinite",
    ),
    "a number that is missing": (
        Masked,
        "avail[0, 0, 2] after reset ... action_counts ... info.dynamic_avail=False",
    ),
    "types": (
        promises(action_types=((0, 1, 2), (0, 1))),
        "info.action_types ... [3, 2]",
    ),
    "names": (
        promises(action_names=(("go", "x", "y"), ("go", "x", "y"))),
        "info.action_names ... [3, 3] ... [3, 2]",
    ),
    "integers": (
        TakesIntegers,
        "vector of numbers, [B, N, A] float32 ... a mistake of the environment",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_promise_is_explained_and_nothing_else_is_blamed(case: str) -> None:
    world, facts = BROKEN[case]
    assert says(violations(world), [facts])
