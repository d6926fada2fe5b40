"""One copy of a PettingZoo parallel environment.

Departures from what wrappers often do: the rewards and observations of the last step are kept
(PettingZoo empties `env.agents` then), and an agent that leaves early keeps its last reward.
"""

import os
from collections.abc import Sequence
from typing import Any

from envs.python_worlds._arrays import Rows
from envs.python_worlds._spaces import flag, numbers, write_numbers
from envs.python_worlds._tasks import load_function
from envs.python_worlds._world import Seats, WorldInfo, flat_state, mask_of, number, picture_of
from utils.errors import UserError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # many environments import pygame


class PettingZooWorld:
    """See the module's text, and `World`.

    Args:
        task: module with a function `parallel_env`, or `module:function`.
        kwargs: given to that function.
        own_state: show `env.state()` too.
        action_masks: false if it was promised that no mask excludes an action.
    """

    def __init__(self, task: str, kwargs: dict[str, Any], own_state: bool, action_masks: bool):
        setting = f"env_args.task={task}"
        self.env = load_function(task, "parallel_env", setting)(**kwargs)
        agents = getattr(self.env, "possible_agents", None)
        if hasattr(self.env, "agent_iter") or not agents:
            kind = "takes turns (AEC)" if hasattr(self.env, "agent_iter") else "has no agents"
            raise UserError(
                f"{setting}: this environment {kind}; a parallel environment with "
                f"`possible_agents` is needed. Write <module>:parallel_env, or a function of your "
                f"own that converts it."
            )
        self.agents = list(agents)
        self.own_state = own_state
        self._acting: list[int] = []  # places of those that take part
        self._infos: dict[Any, Any] = {}
        self.seats = Seats(
            [str(agent) for agent in self.agents],
            [self.env.observation_space(agent) for agent in self.agents],
            [self.env.action_space(agent) for agent in self.agents],
            action_masks,
        )

    def describe(self) -> WorldInfo:
        """See `World`."""
        state_dim = 0
        if self.own_state:
            self.env.reset(seed=0)
            state_dim = flat_state(self.env, ("state",)).size
        limit = getattr(getattr(self.env, "unwrapped", self.env), "max_cycles", 0)
        return self.seats.info(state_dim, int(limit or 0))

    def reset(self, seed: int, rows: Rows) -> None:
        """See `World`."""
        observations, infos = self.env.reset(seed=seed)
        self._show(rows, self._places(self.env.agents), observations, infos)
        if not self._acting:
            raise ValueError("after reset, env.agents is empty: nobody takes part")

    def step(self, actions: Sequence[int], rows: Rows) -> tuple[bool, bool]:
        """See `World`."""
        acts, agents = self.seats.actions, self.agents
        chosen = {agents[i]: acts[i].decode(int(actions[i])) for i in self._acting}
        shown = self.env.step(chosen)
        if len(shown) != 5:
            raise ValueError(
                f"step returned {len(shown)} values; PettingZoo's step returns 5: observations, "
                f"rewards, terminations, truncations, infos"
            )
        observations, rewards, terminations, truncations, infos = shown
        rows.reward[:] = numbers([rewards.get(agent, 0) for agent in agents], "the reward")
        listed = self._places(self.env.agents)
        cut = _flagged(truncations, agents, "truncated")
        dead = _flagged(terminations, agents, "terminated")
        dead |= set(self._acting) - set(listed) - cut  # left without a word
        staying = [i for i in listed if i not in dead and i not in cut]
        if staying:
            self._show(rows, staying, observations, infos)
            return False, False
        last = [i for i in self._acting if i not in dead]  # what follows for them still counts
        terminated, truncated = not last, any(i in cut for i in self._acting)
        if terminated:
            last = [i for i in self._acting if agents[i] in observations]
        self._show(rows, last, observations, infos)
        return terminated, truncated

    def _places(self, listed: Sequence[Any]) -> list[int]:
        unknown = [agent for agent in listed if agent not in self.agents]
        if unknown:
            raise ValueError(f"env.agents has {unknown[0]!r}, which possible_agents has not")
        return [i for i, agent in enumerate(self.agents) if agent in listed]

    def _show(self, rows: Rows, acting: list[int], observations: Any, infos: Any) -> None:
        seen: list[tuple[Any, Any] | None] = [None] * len(self.agents)
        for i in acting:
            agent = self.agents[i]
            if agent not in observations:
                raise ValueError(f"there is no observation for {agent!r}, which takes part")
            observation = observations[agent]
            seen[i] = observation, mask_of(observation, infos.get(agent))
        self.seats.show(rows, seen)
        if self.own_state:
            write_numbers(flat_state(self.env, ("state",)), rows.state, "the state")
        self._acting, self._infos = acting, infos

    def result(self, name: str) -> float:
        """See `World`; the mean over the agents whose info has it."""
        found: dict[str, list[float]] = {}
        for info in self._infos.values():
            for key, value in info.items():
                found.setdefault(key, []).append(value)
        values = {name: sum(found[name]) / len(found[name])} if name in found else found
        return number(values, name)

    def picture(self) -> Any:
        """See `World`."""
        return picture_of(self.env)

    def close(self) -> None:
        """See `World`."""
        self.env.close()


def _flagged(flags: dict[Any, Any], agents: Sequence[Any], what: str) -> set[int]:
    """Places of the agents whose flag is set."""
    return {i for i, agent in enumerate(agents) if flag(flags.get(agent, False), what)}
