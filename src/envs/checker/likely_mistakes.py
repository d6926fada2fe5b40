"""Warnings of `env_checker.py`: what breaks no rule, but is often a mistake."""

from collections import Counter

import torch
from torch import Tensor

from envs.base import EnvInfo, EnvStep

FEWEST = 4  # episodes that are needed for a statement about their lengths


class LikelyMistakes:
    """Watches the states, ends and rewards of episodes that are played by random actions."""

    def __init__(self) -> None:
        self._over = torch.empty(0, dtype=torch.bool)  # [B], episodes that have ended
        self._n_ended, self._last = 0, 0  # episodes, and the longest one's length
        self._terminated: Counter[int] = Counter()  # length: how many terminated there
        self._rewards_differ = self._has_reward = self._has_own_state = False

    def watch(self, t: int, step: EnvStep) -> None:
        """Note what a reset (t = 0) or step t shows."""
        self._has_own_state |= not torch.equal(step.state, step.obs.flatten(1))
        if t == 0:
            self._over = torch.zeros_like(step.terminated)
            return
        reward = step.reward[~self._over]  # [K, N] of the K episodes that went on
        self._has_reward |= bool(reward.any())
        self._rewards_differ |= bool((reward != reward[:, :1]).any())
        self._note_ends(t, step.terminated & ~self._over, step.truncated & ~self._over)
        self._over = self._over | step.terminated | step.truncated

    def _note_ends(self, t: int, terminated: Tensor, truncated: Tensor) -> None:
        n_ended = int((terminated | truncated).sum())
        if n_ended:
            self._n_ended += n_ended
            self._last = max(self._last, t)
            self._terminated[t] += int(terminated.sum())

    def warnings(self, info: EnvInfo, reward_aggregation: str) -> list[str]:
        """One paragraph for each thing that looks like a mistake."""
        return [
            *self._own_limit(info),
            *self._shared_reward(info, reward_aggregation),
            *self._stored_twice(info),
        ]

    def _stored_twice(self, info: EnvInfo) -> list[str]:
        """A state that repeats the observations."""
        if info.state_is_obs or self._has_own_state:
            return []
        return [
            "The state was always all observations in a row, and replay stores both. Set "
            "info.state_is_obs=True to store them once (in an environment of another library: "
            "env_args.state=concat), unless the state is something else in other episodes."
        ]

    def _own_limit(self, info: EnvInfo) -> list[str]:
        """An environment's own time limit that is reported as termination."""
        t, n, n_all = self._last, self._terminated[self._last], self._n_ended
        if not info.truncates or t < 2 or n_all < FEWEST or 2 * n < n_all:
            return []
        return [
            f"{n} of {n_all} episodes terminated at step {t}, and none lasted longer. If that is a "
            f"time limit, it must truncate: `terminated` says that nothing follows. Find the "
            f"environment's argument for its limit and raise it "
            f"(env_args.kwargs.<argument>={t + 1}), then write env_args.time_limit={t}. If the "
            f"task really ends there, nothing is wrong."
        ]

    def _shared_reward(self, info: EnvInfo, reward_aggregation: str) -> list[str]:
        """One reward for the team that is summed over the agents."""
        n = info.n_agents
        if reward_aggregation != "sum" or n == 1 or self._rewards_differ or not self._has_reward:
            return []
        return [
            f"All agents got the same reward in every step, and reward_aggregation=sum sums it: "
            f"a team reward of 1.0 counts as {n:.1f}. Write reward_aggregation=mean to count it "
            f"once. If published results count it {n} times, keep sum."
        ]
