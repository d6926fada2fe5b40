"""Tiny environments whose actions are numbers, good ones and those that are refused."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Tuple
from tests.envs.fake_envs import DeadlyIsland, Field, Island, box


class Lever(Island):
    """Actions are numbers: the scout's a matrix of double precision, the others' vectors.

    Reward of agent i in step t: 100 i + 10 t + its first number + 2 times its second + ...
    """

    observations = (box(4), box(1), box(1))
    actions = (
        Box(np.array([[0, -1], [-2, -0.1]]), np.array([[1, 1], [2, 0.1]]), dtype=np.float64),
        Box(-1, 1, (1,), np.float32),
        Box(-3, 3, (2,), np.float32),
    )

    def seen(self) -> dict[Any, Any]:
        everything = (np.array([self.weather, self.t, 0, 1]), np.ones(1), np.ones(1))
        shown = dict(zip(self.possible_agents, everything, strict=True))
        return {agent: shown[agent] for agent in self.agents}

    def infos(self) -> dict[Any, Any]:
        masked = {"action_mask": np.array([1, 0])} if self.faults.get("fault") == "masked" else {}
        return {agent: dict(masked) for agent in self.agents}

    def step(self, actions: dict[Any, Any]) -> Any:
        shown = super().step({agent: np.zeros_like(a) for agent, a in actions.items()})
        for i, agent in enumerate(self.possible_agents):
            if agent in actions:
                action = actions[agent]
                assert self.action_space(agent).contains(action), (agent, action)
                assert action.dtype == self.action_space(agent).dtype
                flat = action.ravel()
                shown[1][agent] = (
                    100.0 * i + 10 * self.t + float(flat @ np.arange(1, flat.size + 1))
                )
        return shown


class LeverOfDeadly(Lever, DeadlyIsland):
    """The digger and the scout leave early."""


class Mixed(Lever):
    """One agent's actions are numbered."""

    actions = (*Lever.actions[:2], Discrete(3))


class Whole(Lever):
    """Numbers that are whole."""

    actions = (Box(0, 5, (2,), np.int64), *Lever.actions[1:])


class Point(Lever):
    """A number without a choice."""

    actions = (Box(0, 0, (2,), np.float32), *Lever.actions[1:])


class Huge(Lever):
    """Bounds that single precision cannot hold."""

    actions = (Box(-1e300, 1e300, (2,), np.float64), *Lever.actions[1:])


class Empty(Lever):
    """No numbers at all."""

    actions = (Box(0, 1, (0,), np.float32), *Lever.actions[1:])


class Grid(Island):
    """Choices in rows and columns."""

    actions = (Discrete(3), Discrete(2, start=1), MultiDiscrete([[3, 2], [2, 2]]))
    observations = (*Island.observations[:2], box(2))

    def seen(self) -> dict[Any, Any]:
        shown = super().seen()
        shown["cook"] = np.zeros(2)
        return shown


class LeverField(Field):
    """Numbers in Gymnasium's style."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space = Tuple((Box(-1, 1, (2,), np.float32), Box(0, 4, (1,), np.float32)))

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self.t += 1
        rewards = [float(a @ np.arange(1, a.size + 1)) for a in action]
        return self.seen(), rewards, self.t >= self.length, False, self.info()


gymnasium.register("fake/LeverField-v0", entry_point=LeverField)
