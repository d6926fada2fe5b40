"""Adapters where actions are numbers or combinations of choices."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from components.spaces import Box, Discrete, Factored, combinations
from envs.base import EnvStep, make_env
from envs.checker.budget import Budget
from envs.checker.report import report
from envs.python_envs.spaces import actions
from envs.python_envs.vector_env import VectorEnv
from utils.errors import UserError
from utils.registry import ENVS

CPU, HERE = torch.device("cpu"), "tests.envs.lever_envs"


def settings(kind: str, **more: Any) -> tuple[str, Any]:
    if kind == "LeverField":
        return "gymma", ENVS.get("gymma").config(key=f"{HERE}:fake/{kind}-v0", time_limit=9, **more)
    return "pettingzoo", ENVS.get("pettingzoo").config(task=f"{HERE}:{kind}", **more)


def build(kind: str, b: int = 3, **more: Any) -> VectorEnv:
    env: Any = make_env(*settings(kind, **more), b, CPU, 1, "test")
    return env


def play(env: VectorEnv) -> list[EnvStep]:
    """One episode and a step beyond, each number by chance within its bounds."""
    luck, shown = torch.Generator().manual_seed(1), [env.reset()]
    for _ in range(env.info.episode_limit + 1):
        given = torch.zeros(env.batch_size, env.info.n_agents, env.info.n_actions)
        for i, space in enumerate(env.info.spaces):
            assert isinstance(space, Box)
            low, high = torch.tensor(space.low), torch.tensor(space.high)
            share = torch.rand(env.batch_size, space.size, generator=luck)
            given[:, i, : space.size] = low + share * (high - low)
        shown.append(env.step(given))
    return shown


def test_a_box_is_numbers_in_the_order_dtype_and_shape_of_its_space() -> None:
    env = build("Lever", b=1)
    assert env.info.is_continuous
    assert (env.info.n_actions, env.info.action_counts) == (4, (4, 1, 2))
    scout = Box((0.0, -1.0, -2.0, np.float32(-0.1)), (1.0, 1.0, 2.0, np.float32(0.1)))
    assert env.info.spaces == (scout, Box((-1.0,), (1.0,)), Box((-3.0, -3.0), (3.0, 3.0)))
    step = env.reset()
    assert step.avail[0].int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]]
    given = torch.tensor([[[0.5, -1, 2, 0.1], [-0.5, 0, 0, 0], [3, -3, 0, 0]]])
    step = env.step(given)  # -0.1 and 0.1 in single precision miss the space's by rounding
    wanted = [10 + 0.5 - 2 + 6 + 0.4, 110 - 0.5, 210 + 3 - 6]
    assert step.reward[0].tolist() == pytest.approx(wanted)


def test_numbers_in_gymnasiums_style() -> None:
    env = build("LeverField", b=2)
    env.reset()
    step = env.step(torch.tensor([[[0.5, -1], [4, 0]]]).expand(2, -1, -1))
    assert step.reward.tolist() == [[-1.5, 4.0]] * 2


@pytest.mark.parametrize("kind", ["Lever", "LeverOfDeadly"])
def test_workers_play_the_same_episodes(kind: str) -> None:
    here, there = (build(kind, b=5, n_workers=w) for w in (0, 2))
    for one, other in zip(play(here), play(there), strict=True):
        assert torch.equal(one.reward, other.reward)
        assert torch.equal(one.obs, other.obs)
        assert torch.equal(one.avail, other.avail)
    there.close()


@pytest.mark.parametrize("kind", ["Lever", "LeverOfDeadly", "LeverField"])
def test_contract(kind: str) -> None:
    """Numbers stay an agent's own when it has left: `avail` never changes."""
    text, passes = report(*settings(kind), budget=Budget())
    assert passes, text
    assert "numbers in an action:" in text


@pytest.mark.parametrize("value", [1.5, float("nan")])
def test_an_action_outside_its_bounds_is_an_error(value: float) -> None:
    env = build("Lever")
    env.reset()
    given = torch.zeros(3, 3, 4)
    given[1, 1, 0] = value
    with pytest.raises(UserError, match=rf"an action of agent 'digger' is \[{value}\], outside"):
        env.step(given)


REFUSED = {
    "Continuous": "number 0 of an action lies in [-inf, inf]. Bounds must be finite, and the lower "
    "one below the upper one. Wrap the environment so that its action space has such bounds",
    "Huge": "number 0 of an action lies in [-inf, inf].",
    "Point": "number 0 of an action lies in [0.0, 0.0].",
    "Whole": "whole numbers in a Box. Wrap the environment so that they are MultiDiscrete",
    "Empty": "which has no entries.",
    "Mixed": "The actions of agent 'scout' are a Box and those of agent 'cook' are not. All",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_spaces_that_cannot_be_used_are_refused(kind: str) -> None:
    place = "tests.envs.fake_envs" if kind == "Continuous" else HERE
    config = ENVS.get("pettingzoo").config(task=f"{place}:{kind}")
    with pytest.raises(UserError) as error:
        make_env("pettingzoo", config, 1, CPU, 1, "test")
    assert REFUSED[kind] in str(error.value)


def test_a_mask_for_numbers_is_refused() -> None:
    with pytest.raises(UserError, match="'scout' is given, although that agent's actions are numb"):
        build("Lever", kwargs={"fault": "masked", "at": "never"}).reset()


def test_combinations_are_declared_as_factored() -> None:
    env = build("Grid")
    scout, digger, cook = env.info.spaces
    assert (scout, digger) == (Discrete(3), Discrete(2))
    assert isinstance(cook, Factored)
    assert [factor.n for factor in cook.factors] == [3, 2, 2, 2]
    assert cook.factors[2].labels == ("2: 0", "2: 1")
    space = env._backend.parallel_envs.envs[0].env.action_space("cook")  # type: ignore[attr-defined]
    for number, choices in enumerate(combinations(cook)):
        given = actions(space, "the cook").decode(number)
        assert given.ravel().tolist() == list(choices)
        assert space.contains(given)


def test_factors_of_the_same_name_have_the_same_choices() -> None:
    """Two agents whose first choices differ in number must not share them."""
    shapes = ([3, 2], [4, 2], [3, 2])
    found = [actions(spaces.MultiDiscrete(shape), "x").space for shape in shapes]
    names = [[factor.name for factor in space.factors] for space in found]
    assert names[0] == names[2]
    assert names[0][0] != names[1][0]
    assert names[0][1] == names[1][1]
    start = actions(spaces.MultiDiscrete([3, 2], start=[1, 5]), "x")
    assert isinstance(start.space, Factored)
    assert start.space.factors[1].labels == ("1: 5", "1: 6")
    assert start.decode(3).tolist() == [2, 6]


def test_one_choice_alone_is_discrete() -> None:
    acts = actions(spaces.MultiDiscrete([4], start=[2]), "x")
    assert acts.space == Discrete(4)
    assert acts.decode(1).tolist() == [3]


def test_a_task_of_mpe2_plays_its_continuous_actions() -> None:
    pytest.importorskip("mpe2", reason="needs mpe2 (pip install mpe2)")
    kwargs = {"continuous_actions": True, "max_cycles": 3}
    config = ENVS.get("pettingzoo").config(task="mpe2.simple_reference_v3", kwargs=kwargs)
    text, passes = report("pettingzoo", config, budget=Budget())
    assert passes, text
    assert "numbers in an action: 15" in text
