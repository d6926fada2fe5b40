"""Wraps a PettingZoo parallel environment.

Departures from what wrappers often do: the rewards and observations of the last step are kept
(PettingZoo empties `env.agents` then), and an agent that leaves early keeps its last reward.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from envs.python_envs.loading import load_function
from envs.python_envs.rendering import picture_of
from envs.python_envs.shared_memory import EnvSlot
from envs.python_envs.spaces import flag, write_numbers
from envs.python_envs.validation import (
    named_arguments,
    observations_and_infos,
    require_arguments,
    require_seed,
    single_number,
)
from envs.python_envs.wrapped_env import (
    AgentSpaces,
    Ended,
    WrappedEnvInfo,
    find_mask,
    flat_state,
    mean_metric,
)
from utils.errors import UserError

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # many environments import pygame
EVERY_AGENT = "__all__"  # a flag under this key is every agent's


class PettingZooWrapper:
    """A PettingZoo parallel environment as a `WrappedEnv`.

    Args:
        task: module with a function `parallel_env`, or `module:function`.
        kwargs: given to that function.
        own_state: show `env.state()` too.
        action_masks: false if it was promised that no mask excludes an action.
    """

    def __init__(self, task: str, kwargs: dict[str, Any], own_state: bool, action_masks: bool):
        setting = f"env_args.task={task}"
        function = load_function(task, "parallel_env", setting)
        require_arguments(function, kwargs, task)
        with named_arguments(kwargs, task):
            self.env = function(**kwargs)
        self.agents = _agents(self.env, setting)
        require_seed(self.env, setting)
        self._known = set(self.agents)
        turns = getattr(self.env, "aec_env", None)  # of an environment that was converted
        self._turns = None if turns is None or is_parallel(turns) else turns
        self.own_state = own_state
        self._acting: list[int] = []  # indices of the agents that take part
        self._infos: dict[Any, Any] = {}
        self.agent_spaces = AgentSpaces(
            [str(agent) for agent in self.agents],
            [self.env.observation_space(agent) for agent in self.agents],
            [self.env.action_space(agent) for agent in self.agents],
            action_masks,
        )

    def describe(self) -> WrappedEnvInfo:
        """Sizes; the state's is found by a reset."""
        state_dim = 0
        if self.own_state:
            self.env.reset(seed=0)
            state_dim = flat_state(self.env, ("state",)).size
        limit = getattr(getattr(self.env, "unwrapped", self.env), "max_cycles", 0)
        return self.agent_spaces.info(state_dim, int(limit or 0))

    def reset(self, seed: int, slot: EnvSlot) -> None:
        """Start an episode and write its first observations."""
        shown = self.env.reset(seed=seed)
        observations, infos = observations_and_infos(shown, 2, "observations and infos")
        self._show(slot, self._indices(self.env.agents), observations, infos)
        if not self._acting:
            raise ValueError("after reset, env.agents is empty: no agent takes part")

    def step(self, actions: Sequence[Any], slot: EnvSlot) -> tuple[bool, bool]:
        """Play one step and write what it returns; returns (terminated, truncated)."""
        acts, agents = self.agent_spaces.actions, self.agents
        chosen = {agents[i]: acts[i].decode(actions[i]) for i in self._acting}
        names = "observations, rewards, terminations, truncations and infos"
        shown = observations_and_infos(self.env.step(chosen), 5, names)
        observations, rewards, terminations, truncations, infos = shown
        self._write_rewards(rewards, slot)
        listed = self._indices(self.env.agents)
        cut = self._flagged(truncations, "truncations")
        dead = self._flagged(terminations, "terminations")
        dead |= set(self._acting) - set(listed) - cut  # left without a flag
        staying = [i for i in listed if i not in dead and i not in cut]
        if staying:
            self._show(slot, staying, observations, infos)
            return False, False
        last = [i for i in self._acting if i not in dead]  # what follows for them still counts
        terminated, truncated = not last, any(i in cut for i in self._acting)
        if terminated:
            last = [i for i in self._acting if agents[i] in observations]
        ended: Ended = "terminated" if terminated else "truncated"
        self._show(slot, last, observations, infos, ended)
        return terminated, truncated

    def _write_rewards(self, rewards: Any, slot: EnvSlot) -> None:
        self._require("rewards", rewards, self._acting)
        for i, agent in enumerate(self.agents):
            what = f"the reward of {agent!r}"
            slot.reward[i] = single_number(rewards.get(agent, 0), what)
            if i not in self._acting and slot.reward[i]:
                raise UserError(
                    f"{what} is {slot.reward[i]}, although that agent has left before. Keep it in "
                    f"env.agents until its last reward, or give that reward to an agent that stays."
                )

    def _flagged(self, flags: Any, what: str) -> set[int]:
        """Indices of the acting agents whose flag is set; `__all__` is every agent's."""
        has_common_flag = isinstance(flags, Mapping) and EVERY_AGENT in flags
        self._require(what, flags, () if has_common_flag else self._acting, (EVERY_AGENT,))
        everyone = has_common_flag and flag(flags[EVERY_AGENT], f"{what}['{EVERY_AGENT}']")
        agents = self.agents
        return {
            i
            for i in self._acting
            if everyone or flag(flags.get(agents[i], False), f"{what}[{agents[i]!r}]")
        }

    def _require(
        self, what: str, given: Any, needed: Iterable[int], allowed: Sequence[str] = ()
    ) -> None:
        """Check that a dict has an entry for each agent that needs one, and no other entry."""
        if not isinstance(given, Mapping):
            raise UserError(f"{what} are {given!r:.100}; they must be a dict with agents as keys.")
        unknown = [key for key in given if key not in self._known and key not in allowed]
        missing = [self.agents[i] for i in needed if self.agents[i] not in given]
        if unknown or missing:
            wrong = f"have {unknown[0]!r}" if unknown else f"lack {missing[0]!r}"
            raise UserError(
                f"{what} {wrong}. Their keys must be the agents, of the same type: "
                f"{', '.join(map(repr, self.agents))}."
            )

    def _indices(self, listed: Sequence[Any]) -> list[int]:
        unknown = [agent for agent in listed if agent not in self.agents]
        if unknown:
            raise ValueError(f"env.agents has {unknown[0]!r}, which is not in possible_agents")
        return [i for i, agent in enumerate(self.agents) if agent in listed]

    def _show(
        self, slot: EnvSlot, acting: list[int], observations: Any, infos: Any, ended: Ended = ""
    ) -> None:
        self._require("observations", observations, acting)
        masked = [key for key, info in infos.items() if find_mask(info) is not None]
        self._require("infos", dict.fromkeys(masked), ())
        seen: list[tuple[Any, Any] | None] = [None] * len(self.agents)
        for i in acting:
            agent = self.agents[i]
            observation = observations[agent]
            mask = find_mask(observation, infos.get(agent))
            if mask is not None and self._waits(agent) and not np.any(mask):
                mask = (
                    np.arange(self.agent_spaces.actions[i].space.size) == 0
                )  # it waits; anything is ignored
            seen[i] = observation, mask
        self.agent_spaces.write(slot, seen, ended)
        if self.own_state:
            write_numbers(flat_state(self.env, ("state",)), slot.state, "the state")
        self._acting, self._infos = acting, infos

    def _waits(self, agent: Any) -> bool:
        """Whether it is another agent's turn, in PettingZoo's turn-based conversion."""
        return self._turns is not None and self._turns.agent_selection != agent

    def metric(self, name: str) -> float:
        """A metric of the environment: the mean over the agents whose info has it."""
        return mean_metric(self._infos.values(), name)

    def picture(self) -> Any:
        """What the environment draws of itself, [height, width, 3] uint8."""
        return picture_of(self.env)

    def close(self) -> None:
        """Close the environment."""
        self.env.close()


def _agents(env: Any, setting: str) -> list[Any]:
    """The agents of a parallel environment.

    Raises:
        UserError: if it is no parallel environment.
    """
    if hasattr(env, "agent_iter"):
        name = "aec_to_parallel" if is_parallel(env) else "turn_based_aec_to_parallel"
        raise UserError(
            f"{setting}: this environment takes turns (AEC); a parallel one is needed. Name the "
            f"module's `parallel_env` if it has one. Otherwise PettingZoo converts it: write a "
            f"function into a module of your own that returns "
            f"`pettingzoo.utils.conversions.{name}(<this environment>)`, and name that as "
            f"env_args.task=<module>:<function>."
        )
    agents = getattr(env, "possible_agents", None)
    if not agents:
        raise UserError(
            f"{setting}: this environment has no agents; a parallel environment with "
            f"`possible_agents` is needed."
        )
    return list(agents)


def is_parallel(env: Any) -> bool:
    """Whether all agents of a turn-based environment may move at once."""
    return bool(getattr(env, "metadata", {}).get("is_parallelizable", False))
