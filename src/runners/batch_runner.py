"""Collects whole episodes: one controller, B environments in lockstep, one `EpisodeBatch` out.

The only loop over time is the one over environment steps.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from components.action_selectors import ActionSelector
from components.episode_batch import EpisodeBatch
from components.schedules import Number
from controllers.basic_controller import BasicController
from envs.base import EnvStep
from envs.reward_aggregation import RewardAggregation
from runners.phases import Phases
from utils.cuda_graphs import Captured
from utils.errors import NumericalError
from utils.registry import RUNNERS
from utils.seeding import generator_state, restore_generator, torch_generator

MOST_UNREAD = 1024  # rollouts whose finiteness stays on the device before it is read
PHASES = ("act", "env", "store", "train")


@dataclass(slots=True)
class Rollout:
    """B episodes and what they came to."""

    batch: EpisodeBatch  # overwritten by the next rollout where rollouts are CUDA graphs
    n_steps: int  # real steps of all environments together
    returns: Tensor  # [B, R], undiscounted; NaN for an agent that took no part in the episode
    lengths: Tensor  # [B] int64
    metrics: dict[str, Tensor]  # name: [B], the environment's own, at each episode's end
    n_lost: int = 0  # episodes that were lost besides (`EnvStep.lost`)


@RUNNERS.register("batch_runner")
class BatchRunner:
    """Collects whole episodes from B environments with one controller.

    Args:
        config: no settings.
        env: B parallel environments, with aggregated rewards.
        controller: runs the agents' network.
        selector: from outputs to actions.
        seed: the run's root seed.
        stream: name of the random stream of exploration and noise.
    """

    metric_descriptions: ClassVar[dict[str, str]] = {
        "time_act": "seconds spent choosing actions since the last row; whole rollouts "
        "where these are CUDA graphs",
        "time_env": "seconds spent in the environments since the last row",
        "time_store": "seconds spent writing episodes and replay since the last row",
    }

    def __init__(
        self,
        config: Any,
        env: RewardAggregation,
        controller: BasicController,
        selector: ActionSelector,
        seed: int,
        stream: str,
    ):
        del config
        self.env, self.controller, self.selector = env, controller, selector
        self.generator = torch_generator(seed, stream, device=env.device)
        self.phases = Phases(PHASES, env.device)
        self._unread: list[
            tuple[int, Tensor]
        ] = []  # env_steps; whether each step's rewards [T] are
        # finite
        self._graphs: dict[bool, Captured[_DeviceRollout]] = {}

    def capture(self) -> None:
        """Make each rollout one CUDA graph; the environment must stay on its device."""
        clock = torch.zeros((), dtype=torch.float64, device=self.env.device)
        generators = (self.generator, self.env.generator)
        self._captured_clock = clock
        self._graphs = {
            greedy: Captured(partial(self._play_rollout, clock, greedy), generators)
            for greedy in (False, True)
        }

    def collect(self, env_steps: int, greedy: bool = False) -> Rollout:
        """Play one episode in each environment; those that are lost are left out, unless all are.

        Whether rewards are finite is left to `require_finite`.

        Args:
            env_steps: environment steps so far, for the exploration schedule.
            greedy: play without exploring.

        Raises:
            NumericalError: as `require_finite`, which is called after `MOST_UNREAD` rollouts.
        """
        n_lost = 0
        while True:
            rollout = self._collect(env_steps, greedy)
            n_lost += self.env.batch_size - rollout.batch.n_episodes
            if rollout.batch.n_episodes:
                rollout.n_lost = n_lost
                return rollout

    def require_finite(self) -> None:
        """Read whether all rewards since the last call were finite.

        Raises:
            NumericalError: if one was not.
        """
        if not self._unread:
            return
        rows = torch.stack([finite for _, finite in self._unread]).tolist()
        for (env_steps, _), finite in zip(self._unread, rows, strict=True):
            if not all(finite):
                raise NumericalError(
                    f"The reward is not finite at step {finite.index(False)} of an episode begun "
                    f"at environment step {env_steps}. Training stopped; the last checkpoint is "
                    f"intact. Check the environment."
                )
        self._unread = []

    def _collect(self, env_steps: int, greedy: bool) -> Rollout:
        self.phases.start()
        if self._graphs:
            self._captured_clock.fill_(env_steps)
            played = self._graphs[greedy]().copied()
        else:
            played = self._play_rollout(env_steps, greedy)
        self.phases.split("act" if self._graphs else "store")
        batch, info = played.batch, self.env.info
        self._unread.append((env_steps, played.is_finite))
        if len(self._unread) == MOST_UNREAD:
            self.require_finite()
        if info.fixed_length:
            n_steps = batch.n_episodes * info.episode_limit
            lengths = torch.full((batch.n_episodes,), info.episode_limit)
        else:
            lengths = batch.valid.sum(dim=(1, 2)).cpu()
            n_steps = int(lengths.sum())
        return Rollout(batch, n_steps, played.returns, lengths, played.metrics)

    def _play_rollout(self, env_steps: Number, greedy: bool) -> "_DeviceRollout":
        """One episode in each environment, without those that are lost."""
        env = self.env
        batch = EpisodeBatch.zeros(
            env.info, env.batch_size, env.device, env.n_rewards, self.controller.noise_dim
        )
        with torch.inference_mode():
            metrics, lost = self._play(batch, env_steps, greedy)
        if lost is not None:
            kept = (~lost).nonzero().squeeze(1)
            batch = batch.select(kept)
            metrics = {name: value[kept] for name, value in metrics.items()}
        returns = batch.reward.sum(dim=1)  # [B, R]
        if batch.is_active is not None and env.n_rewards > 1:
            took_part = (batch.is_active[:, :-1] & batch.valid).any(dim=1)  # [B, N]
            returns = returns.masked_fill(~took_part, torch.nan)
        is_finite = batch.reward.isfinite().all(dim=2).all(dim=0)  # [T]
        return _DeviceRollout(batch, metrics, returns, is_finite)

    def _play(
        self, batch: EpisodeBatch, env_steps: Number, greedy: bool
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """Fill `batch`; returns metrics and which episodes are lost."""
        env, info, controller, split = self.env, self.env.info, self.controller, self.phases.split

        def select(outputs: Tensor, avail: Tensor) -> Tensor:
            return self.selector.select(outputs, avail, env_steps, greedy, self.generator)

        alive = torch.ones(env.batch_size, dtype=torch.bool, device=env.device)
        hidden: Tensor | None = None
        actions: Tensor | None = None
        metrics: dict[str, Tensor] = {}
        split("store")
        step = env.reset()
        split("env")
        for t in range(info.episode_limit):
            noise = controller.draw_noise(env.batch_size, self.generator)
            actions, hidden = controller.choose(step, actions, noise, hidden, select, greedy)
            split("act")
            self._store_seen(batch, t, step, noise)
            split("store")
            step = env.step(actions)
            split("env")
            metrics = _keep_final(metrics, step.metrics, alive, info.fixed_length)
            alive = self._store_done(batch, t, actions, step, alive)
            split("store")
            if not info.fixed_length and not alive.any():
                break
        noise = controller.draw_noise(env.batch_size, self.generator)
        self._store_seen(batch, t + 1, step, noise)
        if not info.fixed_length:
            _clean_padding(batch)
        return metrics, step.lost

    @staticmethod
    def _store_seen(batch: EpisodeBatch, t: int, step: EnvStep, noise: Tensor | None) -> None:
        """Store what the agents see before the action of step t."""
        batch.obs[:, t] = step.obs
        if batch.own_state is not None:
            batch.own_state[:, t] = step.state
        batch.avail[:, t] = step.avail
        if batch.action_features is not None and step.action_features is not None:
            batch.action_features[:, t] = step.action_features
        if batch.is_active is not None and step.is_active is not None:
            batch.is_active[:, t] = step.is_active
        if batch.noise is not None and noise is not None:
            batch.noise[:, t] = noise

    def _store_done(
        self, batch: EpisodeBatch, t: int, actions: Tensor, step: EnvStep, alive: Tensor
    ) -> Tensor:
        """Store step t; returns which environments continue, [B] bool."""
        batch.actions[:, t] = actions
        batch.reward[:, t] = step.reward
        batch.terminated[:, t, 0] = step.terminated
        batch.truncated[:, t, 0] = step.truncated
        if self.env.info.fixed_length:
            batch.valid[:, t] = True
            return alive
        batch.valid[:, t, 0] = alive
        return alive & ~(step.terminated | step.truncated)

    def state_dict(self) -> dict[str, Any]:
        """Random streams of exploration and of the environment."""
        return {"generator": generator_state(self.generator), "env": self.env.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the random streams."""
        restore_generator(self.generator, state["generator"])
        self.env.load_state_dict(state["env"])


@dataclass(slots=True)
class _DeviceRollout:
    """Results of a rollout, all of them on the device."""

    batch: EpisodeBatch
    metrics: dict[str, Tensor]  # name: [B]
    returns: Tensor  # [B, R]
    is_finite: Tensor  # [T] bool, whether all rewards of a step are

    def copied(self) -> "_DeviceRollout":
        """The same with copies of everything but the batch."""
        metrics = {name: value.clone() for name, value in self.metrics.items()}
        return _DeviceRollout(self.batch, metrics, self.returns.clone(), self.is_finite.clone())


def _keep_final(
    old: dict[str, Tensor], new: dict[str, Tensor], alive: Tensor, fixed_length: bool
) -> dict[str, Tensor]:
    """Metrics at the last step of each environment, {name: [B]}."""
    if fixed_length or not old:
        return new
    return {name: torch.where(alive, value, old[name]) for name, value in new.items()}


def _clean_padding(batch: EpisodeBatch) -> None:
    """After an episode's end: everything zero, every action available."""
    valid = batch.valid  # [B, T, 1]
    seen = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)  # [B, T+1, 1]
    batch.avail |= ~seen.unsqueeze(3)
    for name, x in batch.items():
        if name not in ("avail", "valid"):
            mask = valid if x.shape[1] == valid.shape[1] else seen
            x.masked_fill_(~mask.view(*mask.shape[:2], *[1] * (x.dim() - 2)), 0)
