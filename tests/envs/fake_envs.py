"""Tiny environments in the style of PettingZoo and Gymnasium, with every oddity an adapter meets.

Nothing here needs more than gymnasium. Workers import this module by its name.
"""

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.utils import seeding

HERE = "tests.envs.fake_envs"


def box(n: int) -> Box:
    return Box(-np.inf, np.inf, (n,), np.float32)


class Island:
    """A parallel environment of three unlike agents.

    The scout sees the reset seed's first random number, the time and what it did last; the digger
    has actions from 1 on; the cook has a mask in its observation and combinations as actions.
    Reward of agent i in step t: 100 i + 10 t + its action.
    """

    possible_agents: tuple[Any, ...] = ("scout", "digger", "cook")
    observations = (
        box(4),
        Discrete(5, start=1),
        Dict({"observation": MultiDiscrete([2, 3]), "action_mask": MultiBinary(6)}),
    )
    actions: tuple[Any, ...] = (Discrete(3), Discrete(2, start=1), MultiDiscrete([3, 2]))

    def __init__(
        self, length: int = 5, random_length: bool = False, end: str = "truncated", **faults: Any
    ):
        self.max_cycles, self.random_length, self.end = length, random_length, end
        self.faults = faults
        self.agents: list[Any] = []
        self.closed = False
        if faults.get("at") == "build":
            raise RuntimeError("the island sank")
        if faults.get("at") == "rebuild" and Path(faults["mark"]).exists():
            raise RuntimeError("the island had sunk")

    def observation_space(self, agent: Any) -> Any:
        return self.observations[self.possible_agents.index(agent)]

    def action_space(self, agent: Any) -> Any:
        return self.actions[self.possible_agents.index(agent)]

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.random, _ = seeding.np_random(seed)
        self.agents, self.t = list(self.possible_agents), 0
        self.weather = float(self.random.random())
        self.length = self.max_cycles
        if self.random_length:
            self.length = int(self.random.integers(1, self.max_cycles + 1))
        self.last = dict.fromkeys(self.agents, 0)
        if self.faults.get("at") == "reset":
            self.misbehave(None)
        return self.seen(), self.infos()

    def seen(self) -> dict[Any, Any]:
        mask = np.ones(6, dtype=np.int8)
        mask[self.t % 6] = 0
        everything = (
            np.array([self.weather, self.t, self.last["scout"], 1]),
            1 + self.t % 5,
            {"observation": np.array([self.t % 2, self.t % 3]), "action_mask": mask},
        )
        shown = dict(zip(self.possible_agents, everything, strict=True))
        return {agent: shown[agent] for agent in self.agents}

    def infos(self) -> dict[Any, Any]:
        infos: dict[Any, Any] = {agent: {"wood": 2.0 * self.t} for agent in self.agents}
        if "digger" in infos:
            infos["digger"]["action_mask"] = np.array([1, self.t % 2])
        return infos

    def step(self, actions: dict[Any, Any]) -> Any:
        assert set(actions) == set(self.agents)
        self.t += 1
        for agent, action in actions.items():
            assert self.action_space(agent).contains(action), (agent, action)
            self.last[agent] = int(np.sum(action))
        rewards = {
            agent: 100.0 * self.possible_agents.index(agent) + 10 * self.t + self.last[agent]
            for agent in self.agents
        }
        over = self.t >= self.length
        terminated = {agent: over and self.end == "terminated" for agent in self.agents}
        truncated = {agent: over and self.end == "truncated" for agent in self.agents}
        self.change_flags(terminated, truncated)
        observations, infos = self.seen(), self.infos()
        self.agents = [a for a in self.agents if not (terminated[a] or truncated[a])]
        shown = (observations, rewards, terminated, truncated, infos)
        if self.t == self.faults.get("step", 2) and self.weather > self.faults.get("above", 0):
            return self.misbehave(shown)
        return shown

    def change_flags(self, terminated: dict[Any, bool], truncated: dict[Any, bool]) -> None:
        """For islands on which agents die."""

    def misbehave(self, shown: Any) -> Any:
        fault = self.faults.get("fault")
        if self.faults.get("at") == "rebuild":
            Path(self.faults["mark"]).touch()
        if fault == "crash":
            raise RuntimeError("a wave took the scout")
        if fault == "die":
            os._exit(3)
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "segfault":
            ctypes.string_at(0)
        if fault == "hang":
            time.sleep(1000)
        observations, rewards, *rest = shown
        if fault == "shape":
            observations["scout"] = np.zeros(1)
        if fault == "nan":
            observations["scout"][1] = np.nan
        if fault == "words":
            observations["scout"] = ["1", "2", "3", "4"]
        if fault == "fraction":
            observations["digger"] = 1.5
        if fault == "long":
            observations["cook"]["observation"] = np.zeros(7, dtype=int)
        if fault == "endless":
            rewards["scout"] = 1e40
        if fault == "ended":
            rest[0]["scout"] = "no"
        if fault == "nothing":
            observations = None
        if fault == "range":
            observations["cook"]["action_mask"][2] = 7
        if fault == "metric":
            rest[2]["scout"]["wood"] = np.nan
        if fault == "missing":
            del observations["scout"]
        if fault == "mask":
            observations["cook"]["action_mask"][:] = 0
        if fault == "none":
            rewards["scout"] = None
        if fault == "stranger":
            self.agents.append("stranger")
        if fault == "four":
            return shown[:4]
        return (observations, rewards, *rest)

    def state(self) -> Any:
        if self.faults.get("fault") == "state" and self.t == 2:
            return np.array([[np.nan, self.t]])
        return np.array([[self.weather, self.t]])

    def close(self) -> None:
        self.closed = True


class Painted(Island):
    """An island whose picture shows the time as a grey."""

    def __init__(self, render_mode: str | None = None, spoilt: bool = False, **settings: Any):
        super().__init__(**settings)
        self.render_mode, self.spoilt = render_mode, spoilt

    def render(self) -> Any:
        if self.spoilt:
            raise OSError("no ink")
        return np.full((20, 30, 3), self.t, dtype=np.uint8)


class DeadlyIsland(Island):
    """The digger dies in step 2, the scout is sent home in step 3; the cook stays to the end."""

    def change_flags(self, terminated: dict[Any, bool], truncated: dict[Any, bool]) -> None:
        if self.t == 2:
            terminated["digger"] = True
        if self.t == 3:
            truncated["scout"] = True


class LuckyIsland(Island):
    """Unlucky agents die, sooner or later; the episode ends with the last one."""

    def change_flags(self, terminated: dict[Any, bool], truncated: dict[Any, bool]) -> None:
        for agent in self.agents:
            terminated[agent] |= bool(self.random.random() < 0.2)


class MixedEnd(Island):
    """In the last step the digger dies and the others are cut off."""

    def change_flags(self, terminated: dict[Any, bool], truncated: dict[Any, bool]) -> None:
        if self.t == self.length:
            terminated["digger"], truncated["digger"] = True, False


class Remembering(Island):
    """Its weather gets worse from episode to episode, with every seed."""

    n_episodes = 0

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed)
        self.n_episodes += 1
        self.weather += 10 * self.n_episodes
        return self.seen(), self.infos()


class Turns(Island):
    """Says that it takes turns."""

    def agent_iter(self) -> Any:
        return iter(self.agents)


class Continuous(Island):
    actions = (box(2), box(2), box(2))


class Field(gymnasium.Env[Any, Any]):
    """Two agents in Gymnasium's style; reward of agent i in step t: 10 t + i + its action.

    Args:
        length: last step; 0: never ends by itself.
        flags: how the end is shown: `single`, `list`, or `one_by_one` (agent i ends at length + i).
        ends: `terminated` or `truncated`.
        shared: one reward for both.
        masks: where action masks are: `no`, `info` or `obs`.
        old: return the four values of the old interface.
        max_episode_steps: a limit, which it calls its end; 0: none.
    """

    def __init__(
        self,
        length: int = 4,
        flags: str = "single",
        ends: str = "terminated",
        shared: bool = False,
        masks: str = "no",
        old: bool = False,
        max_episode_steps: int = 0,
    ):
        self.length, self.flags, self.ends, self.shared = length, flags, ends, shared
        self.masks, self.old, self.own_limit = masks, old, max_episode_steps
        seen: Any = box(2)
        if masks == "obs":
            seen = Dict({"action_mask": MultiBinary(3), "observation": box(2)})
        self.observation_space = Tuple((seen, box(3)))
        self.action_space = Tuple((Discrete(3), Discrete(4)))

    def seen(self) -> Any:
        first: Any = np.array([self.weather, self.t])
        if self.masks == "obs":
            first = {"observation": first, "action_mask": np.array([1, 0, self.t % 2])}
        return first, np.array([self.t, 0.5, -1.0])

    def info(self) -> dict[str, Any]:
        info: dict[str, Any] = {"won": float(self.t)}
        if self.masks == "info":
            info["action_mask"] = [np.array([1, 0, self.t % 2]), np.array([0, 0, 0, 1])]
        return info

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.weather = 0, float(self.np_random.random())
        return self.seen(), self.info()

    def step(self, action: Any) -> Any:
        assert self.action_space.contains(action), action
        self.t += 1
        rewards: Any = [10.0 * self.t + i + int(a) for i, a in enumerate(action)]
        if self.shared:
            rewards = 10.0 * self.t
        over: Any = bool(self.length) and self.t >= self.length
        over |= bool(self.own_limit) and self.t >= self.own_limit
        no: Any = False
        if self.flags == "list":
            over, no = [over, over], [False, False]
        if self.flags == "one_by_one":
            over, no = [self.t >= self.length, self.t >= self.length + 1], [False, False]
        ends = (over, no) if self.ends == "terminated" else (no, over)
        if self.old:
            return self.seen(), rewards, over, self.info()
        return self.seen(), rewards, *ends, self.info()

    def state(self) -> Any:
        return [self.weather, self.t, 7]


gymnasium.register("fake/Field-v0", entry_point=Field)
gymnasium.register("fake/Limited-v0", entry_point=Field, max_episode_steps=3, kwargs={"length": 0})


class Diary(Island):
    """An island that writes down the seed of every episode and takes its time."""

    def __init__(self, path: str, seconds: float = 0.0, **settings: Any):
        super().__init__(**settings)
        self.path, self.seconds = path, seconds

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        with open(self.path, "a") as file:
            file.write(f"{seed}\n")
        return super().reset(seed, options)

    def step(self, actions: dict[Any, Any]) -> Any:
        time.sleep(self.seconds)
        return super().step(actions)
