"""Particle tasks: eight scenarios of mpe2 as tensor programs, B worlds in lockstep.

Source: mpe2 1.1.1, discrete actions (Lowe et al., arXiv 1706.02275; Mordatch & Abbeel, arXiv
1703.04908). From the same state and the same actions it shows the same observations, rewards and
ends. `env_args.scenario` names the task; each is a file in `scenarios/`.

`protocol` says who learns:

* `all_common`: every agent. With `reward_aggregation: sum`, opponents are paid together: in push
  only the adversary's distance to the goal is left of the sum, in crypto eve is paid to be wrong,
  in world-comm prey are paid for being caught.
* `team_vs_fixed`: one team, against an `opponent` that plays by rule or at random
  (`_opponents.py`).

Episodes last `max_cycles` steps and are then truncated, never terminated.

`backend: pettingzoo` lets mpe2 play the same task, for comparison (`_reference.py`).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from envs.base import EnvInfo, EnvStep
from envs.mpe._mpe2 import problems
from envs.mpe._opponents import at_random
from envs.mpe._scenario import N_MOVES, SCENARIOS, Agent, Scenario, Script
from envs.mpe._scene import scene_of
from envs.mpe._sight import Reading, Rows, padded
from envs.mpe._world import World
from envs.scene import Scene
from utils.errors import refuse
from utils.registry import ENVS
from utils.seeding import generator_state, restore_generator, torch_generator

TWO_TEAMS = (
    "'two_team' needs one learner per team, and a run has one. Write team_vs_fixed to train one "
    "team, or all_common with reward_aggregation=individual to pay every agent for its own side."
)
FROM_A_PATH = (
    "a trained checkpoint cannot be the opponent yet. Write opponent=scripted or opponent=random."
)


@dataclass(frozen=True)
class MpeConfig:
    """Settings of `mpe`."""

    scenario: str = "spread"  # a file in src/envs/mpe/scenarios
    protocol: Literal["all_common", "team_vs_fixed", "two_team"] = "all_common"  # who learns
    opponent: Literal["none", "scripted", "random", "path"] = (
        "none"  # who plays the team that does not learn, under team_vs_fixed
    )
    state: Literal["concat", "raw"] = (
        "concat"  # the learners' padded observations, or all agents' observations unpadded
    )
    precision: Literal["float64", "float32"] = (
        "float64"  # of the physics: mpe2's own, or faster; observations and rewards are float32
    )
    max_cycles: int = 25  # length of an episode in steps, at least 1
    legacy_drop_last: bool = (
        False  # as EPyMARL: the last step shows nothing new, pays nothing and counts as terminal
    )
    local_ratio: float | None = (
        None  # weight of the agent's own reward in reference and spread, 0 to 1; null: 0.5
    )
    backend: Literal["native", "pettingzoo"] = (
        "native"  # who plays the worlds: tensor programs, or mpe2 itself (slow)
    )
    n_workers: int = 0  # processes that step mpe2, at most one per copy; 0: this process

    def __post_init__(self) -> None:
        refuse((self.max_cycles < 1, "max_cycles", f"{self.max_cycles} must be at least 1."))
        known = self.scenario in SCENARIOS.names()
        refuse((not known, "scenario", SCENARIOS.unknown(self.scenario)))
        scenario = SCENARIOS.get(self.scenario).cls
        ratio, fixed = self.local_ratio, self.protocol == "team_vs_fixed"
        refuse(
            *problems(self),
            (
                ratio is not None and not scenario.has_local_ratio,
                "local_ratio",
                f"{ratio} has no use: rewards of {self.scenario} are not mixed. Leave it out.",
            ),
            (
                ratio is not None and not 0 <= ratio <= 1,
                "local_ratio",
                f"{ratio} must lie between 0 and 1.",
            ),
            (self.protocol == "two_team", "protocol", TWO_TEAMS),
            (self.opponent == "path", "opponent", FROM_A_PATH),
            (
                fixed and not scenario.learners,
                "protocol",
                f"'team_vs_fixed' needs two teams, and in {self.scenario} there is one. "
                f"Write protocol=all_common.",
            ),
            (
                fixed and self.opponent == "none",
                "opponent",
                "'none' leaves the other team without a player. Write opponent=scripted or "
                "opponent=random, or protocol=all_common if it is to learn too.",
            ),
            (
                fixed and self.opponent == "scripted" and scenario.scripted is None,
                "opponent",
                f"there is no rule to play {self.scenario} by. Write opponent=random.",
            ),
            (
                self.protocol == "all_common" and self.opponent in ("scripted", "random"),
                "opponent",
                f"'{self.opponent}' has nobody to play: under all_common every agent learns. Write "
                f"protocol=team_vs_fixed, or opponent=none.",
            ),
        )


@ENVS.register("mpe", config=MpeConfig)
class Mpe:
    """See the module's text; methods as in `BatchedEnv`.

    Attributes:
        world: positions, velocities, symbols and signals of all B copies.
        scenario: what is in them, with the agents that do not learn.
    """

    def __init__(
        self, config: MpeConfig, batch_size: int, device: torch.device, seed: int, stream: str
    ):
        self.config, self.batch_size, self.device = config, batch_size, device
        self.generator = torch_generator(seed, stream, device=device)
        ratio = {} if config.local_ratio is None else {"local_ratio": config.local_ratio}
        self.scenario: Scenario = SCENARIOS.get(config.scenario).cls(**ratio)
        self.world = self._build_world(seed, stream)
        self._choose_players()
        self._build_info()
        shape = (batch_size, self.info.n_agents, self.info.n_actions)
        counts = torch.tensor(self.info.action_counts).unsqueeze(1)
        avail = torch.arange(self.info.n_actions) < counts  # [N, A]
        self._avail = avail.to(device).expand(shape)
        self._no_reward = torch.zeros(batch_size, self.info.n_agents, device=device)
        self._never = torch.zeros(batch_size, dtype=torch.bool, device=device)
        self._ended = torch.ones(batch_size, dtype=torch.bool, device=device)
        with torch.inference_mode(False):  # written to in either mode
            n = self.scenario.n_agents
            self._actions = torch.zeros(n, batch_size, dtype=torch.int64, device=device)
            self._returns = torch.zeros(n, batch_size, device=device)
            self._events = torch.zeros(len(self.scenario.events), batch_size, device=device)
        self._t = 0
        self._last: EnvStep

    def _build_world(self, seed: int, stream: str) -> World:
        config, sizes = self.config, (self.batch_size, self.device)
        if config.backend == "native":
            return World(self.scenario, *sizes, getattr(torch, config.precision))
        from envs.mpe._reference import ReferenceWorld  # only here: native runs need no workers

        return ReferenceWorld(self.scenario, config, *sizes, seed, stream)

    def _choose_players(self) -> None:
        """Who learns, and who plays the rest."""
        scenario, config = self.scenario, self.config
        self._learners = slice(0, scenario.n_agents)
        self._opponent: Script | None = None
        if config.protocol == "team_vs_fixed":
            (other,) = (name for name in scenario.teams if name != scenario.learners)
            self._learners, self._fixed = scenario.team(scenario.learners), scenario.team(other)
            chance: Script = partial(at_random, team=self._fixed)
            self._opponent = scenario.scripted if config.opponent == "scripted" else chance

    def _build_info(self) -> None:
        scenario, sight, config = self.scenario, self.world.sight, self.config
        everyone = [sight.observation(i) for i in range(scenario.n_agents)]
        seen, agents = everyone[self._learners], scenario.agents[self._learners]
        width = max(map(len, seen))
        n_actions = max(agent.n_actions for agent in agents)
        rows: Rows = [row for one in seen for row in padded(one, width, sight.zero)]
        self._obs_shape = (self.batch_size, len(agents), width)
        self._reading = Reading(rows, self.device)
        self._state_reading: Reading | None = None
        if config.state == "raw":
            self._state_reading = Reading([row for one in everyone for row in one], self.device)
        teams = scenario.teams if len(scenario.teams) > 1 else []
        described = {f"return_{team}": f"sum of the rewards of all {team}" for team in teams}
        self.info = EnvInfo(
            n_agents=len(agents),
            n_actions=n_actions,
            obs_dim=width,
            state_dim=(self._state_reading or self._reading).width,
            episode_limit=config.max_cycles,
            agent_names=tuple(agent.name for agent in agents),
            obs_dims=tuple(map(len, seen)),
            action_counts=tuple(agent.n_actions for agent in agents),
            metric_descriptions=described | scenario.events | scenario.results,
            action_types=tuple(_action_types(agent, n_actions) for agent in agents),
            dynamic_avail=False,
            fixed_length=True,
            truncates=not config.legacy_drop_last,
        )

    def reset(self) -> EnvStep:
        """See `BatchedEnv`."""
        self._t = 0
        self._returns.zero_()
        self._events.zero_()
        self.world.reset(self.generator)
        return self.look()

    def step(self, actions: Tensor) -> EnvStep:
        """See `BatchedEnv`."""
        if self._t == self.config.max_cycles:
            return self._end(self._last, self._no_reward, self._last.metrics)
        self._t += 1
        ends = self._t == self.config.max_cycles
        self.world.advance(self._everyones(actions))
        rewards, events = self.world.rewards()
        if ends and self.config.legacy_drop_last:
            return self._end(self._last, self._no_reward, self._metrics())
        self._returns.add_(rewards)
        if events is not None:
            self._events.add_(events)
        step = self._show(rewards[self._learners].t().float())
        return self._end(step, step.reward, self._metrics()) if ends else step

    def look(self) -> EnvStep:
        """What is to be seen now; for those who have changed `world` from outside."""
        return self._show(self._no_reward)

    def _everyones(self, actions: Tensor) -> Tensor:
        """The learners' actions [B, N] with those of the fixed team: [all agents, B]."""
        if self._opponent is None:
            return actions.t()
        self._actions[self._learners] = actions.t()
        self._actions[self._fixed] = self._opponent(self.world, self.generator)
        return self._actions

    def _show(self, reward: Tensor) -> EnvStep:
        seen = self._reading.read(self.world.table)  # [B, N * O]
        state = seen if self._state_reading is None else self._state_reading.read(self.world.table)
        obs = seen.view(self._obs_shape)
        self._last = EnvStep(obs, state, self._avail, reward, self._never, self._never)
        return self._last

    def _end(self, step: EnvStep, reward: Tensor, metrics: dict[str, Tensor]) -> EnvStep:
        """`step` as the last one of all episodes."""
        flags = (self._never, self._ended)
        terminated, truncated = flags[::-1] if self.config.legacy_drop_last else flags
        shown = (step.obs, step.state, self._avail, reward)
        self._last = EnvStep(*shown, terminated, truncated, metrics)
        return self._last

    def _metrics(self) -> dict[str, Tensor]:
        """What the episodes came to."""
        scenario, metrics = self.scenario, {}
        if len(scenario.teams) > 1:
            for team in scenario.teams:
                metrics[f"return_{team}"] = self._returns[scenario.team(team)].sum(dim=0)
        counted = scenario.counted(self._events, self._t)
        metrics |= dict(zip(scenario.events, counted, strict=True)) | scenario.final(self.world)
        return {name: value.to(torch.float32, copy=True) for name, value in metrics.items()}

    def state_dict(self) -> dict[str, Any]:
        """The random stream, and what else decides the worlds' episodes."""
        return {"generator": generator_state(self.generator), **self.world.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        restore_generator(self.generator, state["generator"])
        self.world.load_state_dict(state)

    def scene(self, copy: int) -> Scene:
        """See `Drawable`."""
        return scene_of(self.world, copy)

    def close(self) -> None:
        """See `BatchedEnv`."""
        self.world.close()


def _action_types(agent: Agent, n_actions: int) -> tuple[int, ...]:
    """What each action is: equal numbers mean the same move together with the same word, if any.

    0 to 4 are silent moves; N_MOVES (1 + symbol) + move is said by an agent, at rest if it cannot
    move. Places beyond the agent's own actions have 0.
    """
    own = [
        a if not agent.n_symbols else N_MOVES * (1 + a // agent.n_moves) + a % agent.n_moves
        for a in range(agent.n_actions)
    ]
    return (*own, *[0] * (n_actions - len(own)))
