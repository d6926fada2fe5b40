"""Environments that do one thing in another way than the adapters' usual ones, named by `case`.

Two agents with three actions each; an episode has three steps. Nothing here needs more than
gymnasium.
"""

import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.utils import seeding
from tests.envs.fake_envs import box

LENGTH = 3
IMAGE = Box(0, 255, (4, 5, 3), np.uint8)
SPACES: dict[str, Any] = {
    "image": IMAGE,
    "masked image": Dict({"pixels": IMAGE, "action_mask": MultiBinary(3)}),
    "bytes": Box(0, 255, (4,), np.uint8),
    "bounded": Box(-1, 1, (2,), np.float32),
    "starts": MultiDiscrete([2, 3], start=[1, 5]),
    "many values": Discrete(10**8),
}
NO, ONE = np.zeros(3, dtype=np.int8), np.array([1, 0, 0], dtype=np.int8)


class Parallel:
    """In PettingZoo's style; agents are the numbers 0 and 1."""

    metadata: ClassVar[dict[str, Any]] = {}

    def __init__(self, case: str = "", end: str = "terminated"):
        self.case, self.end = case, end
        self.possible_agents: list[Any] = ["a", "a"] if case == "same names" else [0, 1]
        if case == "waiting":
            self.aec_env = SimpleNamespace(agent_selection=0, metadata={})
        if case == "exit at build":
            sys.exit(0)

    def observation_space(self, agent: Any) -> Any:
        return SPACES.get(self.case, box(2))

    def action_space(self, agent: Any) -> Any:
        return MultiDiscrete([10] * 10) if self.case == "many actions" else Discrete(3)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.random, _ = seeding.np_random(seed)
        self.agents, self.t = list(self.possible_agents), 0
        self.luck = float(self.random.random())
        if self.case == "exit at reset":
            sys.exit(0)
        if self.case == "no info":
            return self.seen()
        return self.seen(), self.infos()

    def seen(self) -> dict[Any, Any]:
        one: Any = np.array([self.luck, self.t], dtype=np.float32)
        image = np.full(IMAGE.shape, 10 * self.t + 5, dtype=np.uint8)
        shown = {
            "image": image,
            "masked image": {"pixels": image, "action_mask": ONE},
            "bytes": np.arange(4, dtype=np.uint8),
            "bounded": np.array([0.5, 7.0 if self.t == 2 else 0.0], dtype=np.float32),
            "starts": np.array([2, 7]),
            "large integers": np.array([2**24 + 1, 0]),
        }
        seen = dict.fromkeys(self.agents, shown.get(self.case, one))
        if self.case == "unknown observation":
            seen["0"] = one
        return seen

    def infos(self) -> dict[Any, Any]:
        infos: dict[Any, Any] = {agent: {} for agent in self.agents}
        over = self.t == LENGTH
        if self.case in ("no action at the end", "dead masks"):
            infos = {agent: {"action_mask": NO if over else ONE} for agent in self.agents}
        if self.case == "masks of strangers":
            infos = {str(agent): {"action_mask": ONE} for agent in self.agents}
        if self.case == "waiting":  # as PettingZoo's turn-based conversion reports it
            masks = {0: ONE, 1: NO}
            infos = {i: {"action_mask": masks[i]} for i in self.agents}
        if self.case == "common info":
            infos["__common__"] = {"won": float(self.t)}
        return infos

    def step(self, actions: dict[Any, Any]) -> Any:
        if self.case == "exit":
            sys.exit(0)
        self.t += 1
        over = self.t == LENGTH
        rewards: dict[Any, Any] = {agent: 1.0 + agent for agent in self.agents}
        terminated: dict[Any, Any] = dict.fromkeys(self.agents, over and self.end == "terminated")
        truncated: dict[Any, Any] = dict.fromkeys(self.agents, over and self.end == "truncated")
        if self.case == "rewards by text":
            rewards = {str(agent): 1.0 for agent in self.agents}
        if self.case == "a reward is missing":
            del rewards[1]
        if self.case == "arrays of one":
            rewards = {agent: np.array([1.0 + agent]) for agent in self.agents}
        if self.case == "arrays of two":
            rewards = dict.fromkeys(self.agents, np.ones(2))
        if self.case == "unknown flag":
            terminated["0"] = False
        if self.case == "a flag is missing":
            del truncated[1]
        if self.case == "all":
            terminated = {"__all__": self.t == 2}
            truncated = {"__all__": False}
        if self.case == "late reward" and self.t == 2:
            self.agents = [0]
            terminated, truncated = {0: False, 1: True}, {0: False, 1: False}
        if self.case == "late reward" and self.t == 3:
            rewards[1] = 5.0
        observations, infos = self.seen(), self.infos()
        if over:
            self.agents = []
        return observations, rewards, terminated, truncated, infos

    def state(self) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


class Unseeded(Parallel):
    """Its reset takes no seed."""

    def reset(self) -> Any:  # type: ignore[override]
        return super().reset()


class Turns(Parallel):
    """Takes turns, and can be converted."""

    metadata: ClassVar[dict[str, Any]] = {"is_parallelizable": True}

    def agent_iter(self) -> Any:
        return iter(self.agents)


class Gym(gymnasium.Env[Any, Any]):
    """In Gymnasium's style."""

    observation_space = Tuple((box(2), box(2)))
    action_space = Tuple((Discrete(3), Discrete(2)))

    def __init__(self, case: str = "", max_steps: int = LENGTH):
        self.case, self.max_steps = case, max_steps

    def seen(self) -> Any:
        return tuple(np.array([self.luck, self.t], dtype=np.float32) for _ in range(2))

    def info(self) -> Any:
        masks = (ONE, np.array([0, 1, 0]))  # the second one is padded to the first one's length
        first, second = ({"action_mask": mask} for mask in masks)
        infos = {
            "list of infos": [first, second],
            "tuple of infos": (first, second),
            "infos by number": {0: first, 1: second},
            "infos by text": {"0": first, "1": second},
            "infos by name": {"agent_0": first, "agent_1": second},
            "masks by number": {"action_mask": {0: masks[0], 1: masks[1]}},
            "avail_actions": {"avail_actions": list(masks)},
            "unknown agents": {"red": first, "blue": second},
            "one mask of two": {0: first, 1: {}},
            "three masks": {"action_mask": [*masks, ONE]},
            "no dict": None,
        }
        return infos.get(self.case, {})

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.luck = 0, float(self.np_random.random())
        return self.seen() if self.case == "no info" else (self.seen(), self.info())

    def step(self, action: Any) -> Any:
        self.t += 1
        rewards: Any = {
            "shared": 1.0,
            "array of one": np.array([1.0]),
            "column": np.array([[1.0], [2.0]]),
            "matrix": np.ones((2, 2)),
        }.get(self.case, [1.0, 2.0])
        over: Any = self.t >= self.max_steps
        if self.case == "three flags":
            over = [over] * 3
        return self.seen(), rewards, over, False, self.info()

    def render(self, mode: str = "human") -> Any:
        if self.case == "no renderer":
            raise ModuleNotFoundError("No module named 'six'", name="six")
        if self.case == "no display":
            raise RuntimeError("no display")
        if self.case == "exit in render":
            sys.exit(0)
        return np.full((20, 30, 3), self.t, np.uint8) if mode == "rgb_array" else None


class AsSMAC(Gym):
    """Masks come from a method, as in SMAC."""

    def get_avail_actions(self) -> Any:
        return [ONE, np.array([0, 1, 0])]


class Slow:
    """A clock that moves by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def parallel_env(**kwargs: Any) -> Parallel:
    """Hand all arguments on."""
    return Parallel(**kwargs)


def gym_env(**kwargs: Any) -> Gym:
    """Hand all arguments on."""
    return Gym(**kwargs)


gymnasium.register("odd/Gym-v0", entry_point=Gym)
gymnasium.register("odd/Forwards-v0", entry_point=gym_env)
gymnasium.register("odd/Limited-v0", entry_point=Gym, kwargs={"max_steps": 5})
