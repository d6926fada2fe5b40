"""Particle tasks: eight scenarios of mpe2 as tensor programs, B worlds in lockstep.

Source: mpe2 1.1.1 (Lowe et al., arXiv 1706.02275; Mordatch & Abbeel, arXiv
1703.04908). From the same state and the same actions it shows the same observations, rewards and
ends, with mpe2's discrete actions or, for `continuous_actions: true`, with its continuous ones
(`_actions.py`). `env_args.scenario` names the task; each is a file in `scenarios/`.

`protocol` says who learns:

* `all_common`: every agent. With `reward_aggregation: sum`, the rewards of both teams are added: in
  push only the adversary's distance to the goal is left of the sum, in crypto eve is rewarded for
  errors, in world-comm prey are rewarded for being caught.
* `team_vs_fixed`: one team (`learners`), against an `opponent` that follows a rule
  (`_opponents.py`), acts at random, or plays the policy of the checkpoint at `opponent_path`
  (`_trained_opponent.py`).
* `two_team`: every agent, each with the mean reward of its team. It is the mean, not the sum,
  because one network values both teams: so both have values on the scale of one agent's reward.

Episodes last `max_cycles` steps and are then truncated, never terminated.

`backend: pettingzoo` lets mpe2 play the same task, for comparison (`_reference.py`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from envs.base import EnvInfo, EnvStep, Player
from envs.mpe._config import MpeConfig
from envs.mpe._opponents import Opponent, RuleOpponent, act_at_random
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._scene import scene_of
from envs.mpe._trained_opponent import TrainedOpponent
from envs.mpe._view import View
from envs.mpe._world import World
from envs.scene import Scene
from utils.errors import UserError
from utils.registry import ENVS
from utils.seeding import generator_state, restore_generator, torch_generator


@ENVS.register("mpe", config=MpeConfig)
class Mpe:
    """A particle task in B worlds.

    Attributes:
        world: positions, velocities, symbols and signals of all B worlds.
        scenario: of the worlds, with the agents that do not learn.
        opponent_path: run folder or checkpoint of a trained opponent; empty if there is none.
    """

    def __init__(
        self, config: MpeConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        self.config, self.batch_size, self.device = config, batch_size, device
        self.generator = torch_generator(seed, stream, device=device)
        ratio = {} if config.local_ratio is None else {"local_ratio": config.local_ratio}
        self.scenario: Scenario = SCENARIOS.get(config.scenario).cls(**ratio)
        self.world = self._build_world(seed, stream)
        self._view = View(config, self.scenario, self.world)
        self.info = self._view.info
        self.opponent_path = config.opponent_path
        self._choose_opponent()
        self._ended = torch.ones(batch_size, dtype=torch.bool, device=device)
        with torch.inference_mode(False):  # written to in either mode
            n = self.scenario.n_agents
            self._actions = self.world.actions.storage(batch_size)
            self._returns = torch.zeros(n, batch_size, device=device)
            self._events = torch.zeros(len(self.scenario.events), batch_size, device=device)
        self._t = 0
        self._last: EnvStep

    def _build_world(self, seed: int, stream: str) -> World:
        config, sizes = self.config, (self.batch_size, self.device)
        if config.backend == "native":
            precision, continuous = getattr(torch, config.precision), config.continuous_actions
            return World(self.scenario, *sizes, precision, continuous=continuous)
        from envs.mpe._reference import ReferenceWorld  # only here: native runs need no workers

        return ReferenceWorld(self.scenario, config, *sizes, seed, stream)

    def _choose_opponent(self) -> None:
        """Build the opponent of the learners, if it follows a rule or acts at random."""
        self._learners, self._fixed = self.config.sides(self.scenario)
        self._opponent: Opponent | None = None
        if self.config.opponent == "random":
            self._opponent = RuleOpponent(partial(act_at_random, team=self._fixed), self.world)
        elif self.config.opponent == "scripted" and self.scenario.scripted is not None:
            self._opponent = self.scenario.scripted(self.world)

    def load_opponent(
        self, settings: MpeConfig, fingerprint: str, load: Callable[[EnvInfo], Player]
    ) -> None:
        """Let a trained policy play the team that does not learn.

        Raises:
            UserError: if it was trained on another task, or for other agents.
        """
        mine, theirs, fixed = self.config.scenario, settings.scenario, self._fixed
        if theirs != mine:
            raise UserError(f"It was trained on scenario={theirs}, and here it is {mine}.")
        kinds = [str(x.continuous_actions).lower() for x in (settings, self.config)]
        if kinds[0] != kinds[1]:
            raise UserError(
                f"It was trained with continuous_actions={kinds[0]}, and here it is {kinds[1]}: "
                f"its actions mean nothing here."
            )
        view = View(settings, self.scenario, self.world)
        names = [agent.name for agent in self.scenario.agents[fixed]]
        if not set(names) <= set(view.info.agent_names):
            raise UserError(
                f"It has learnt to play {', '.join(view.info.agent_names)}, and here it is to play "
                f"{', '.join(names)}."
            )
        player, path = load(view.info), self.opponent_path
        self._opponent = TrainedOpponent(player, self.world, view, fixed, path, fingerprint)

    def reset(self) -> EnvStep:
        """Start a new episode in every world."""
        if self.opponent_path and self._opponent is None:
            raise RuntimeError("the opponent is not loaded: build.build_env does that.")
        self._t = 0
        self._returns.zero_()
        self._events.zero_()
        self.world.reset(self.generator)
        return self.observe()

    def step(self, actions: Tensor) -> EnvStep:
        """Play one step; the opponent acts for the team that does not learn."""
        if self._t == self.config.max_cycles:
            return self._end(self._last, self._view.no_reward, self._last.metrics)
        self._t += 1
        ends = self._t == self.config.max_cycles
        self.world.advance(self._all_actions(actions))
        rewards, events = self.world.rewards()
        if ends and self.config.legacy_drop_last:
            return self._end(self._last, self._view.no_reward, self._metrics())
        self._returns.add_(rewards)
        if events is not None:
            self._events.add_(events)
        step = self._show(self._learner_rewards(rewards).t().float())
        return self._end(step, step.reward, self._metrics()) if ends else step

    def observe(self) -> EnvStep:
        """The observations of the present state, for callers that have changed `world`."""
        return self._show()

    def _all_actions(self, actions: Tensor) -> Tensor:
        """The learners' actions with those of the fixed team, in the order of the world."""
        own = self.world.actions.from_env(actions)
        if self._opponent is None:
            return own
        before = self._actions if self._t > 1 else None
        self._actions[self._fixed] = self._opponent.act(before, self.generator)
        self._actions[self._learners] = own
        return self._actions

    def _learner_rewards(self, rewards: Tensor) -> Tensor:
        """The learners' rewards [N, B], from those of all agents [all agents, B]."""
        if self.config.protocol != "two_team":
            return rewards[self._learners]
        teams = [rewards[self.scenario.team(name)] for name in self.scenario.teams]  # [n, B] each
        return torch.cat([team.mean(dim=0).expand_as(team) for team in teams])

    def _show(self, reward: Tensor | None = None) -> EnvStep:
        self._last = self._view.observe(self.world.table, reward)
        return self._last

    def _end(self, step: EnvStep, reward: Tensor, metrics: dict[str, Tensor]) -> EnvStep:
        """`step` as the last one of all episodes."""
        flags = (self._view.never, self._ended)
        terminated, truncated = flags[::-1] if self.config.legacy_drop_last else flags
        shown = (step.obs, step.state, step.avail, reward)
        self._last = EnvStep(*shown, terminated, truncated, metrics)
        return self._last

    def _metrics(self) -> dict[str, Tensor]:
        """Metrics of the episodes that have just ended."""
        scenario, metrics = self.scenario, {}
        if len(scenario.teams) > 1:
            for team in scenario.teams:
                metrics[f"return_{team}"] = self._returns[scenario.team(team)].sum(dim=0)
        counted = scenario.counted(self._events, self._t)
        metrics |= dict(zip(scenario.events, counted, strict=True)) | scenario.final(self.world)
        return {name: value.to(torch.float32, copy=True) for name, value in metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        """The random stream, what else decides later episodes, and the opponent's memory."""
        state = {"generator": generator_state(self.generator), **self.world.state_dict()}
        if self._opponent is not None:
            state["opponent"] = self._opponent.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            UserError: if the trained opponent has changed since.
        """
        restore_generator(self.generator, state["generator"])
        self.world.load_state_dict(state)
        if self._opponent is not None:
            self._opponent.load_state_dict(state.get("opponent", {}))

    def scene(self, b: int) -> Scene:
        """The scene of world number `b`."""
        return scene_of(self.scenario, self.world, b)

    def close(self) -> None:
        """End the worker processes of `backend: pettingzoo`, if there are any."""
        self.world.close()
