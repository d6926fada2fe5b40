"""From an agent's outputs to its actions; random choices are uniform over *available* actions."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from components.policies import (
    ActionValues,
    Categorical,
    JointAction,
    PolicyMaker,
    greedy_actions,
    log_policy,
)
from components.schedules import LinearSchedule, Number
from components.settings import ExplorationSettings
from components.squashed_normal import SquashedNormal
from utils.errors import UserError, out_of_range, validate
from utils.registry import SELECTORS


class ActionSelector(Protocol):
    """Interface of action selectors, as runners use them."""

    takes: ClassVar[tuple[type, ...]]  # what it can choose by

    def select(
        self,
        outputs: Tensor,
        avail: Tensor,
        env_steps: Number,
        greedy: bool,
        generator: torch.Generator,
    ) -> Tensor:
        """Actions for one step.

        Args:
            outputs: [B, N, A], values or logits; [B, N, 2 A] of continuous policies.
            avail: [B, N, A] bool.
            env_steps: environment steps so far, for schedules.
            greedy: choose the best available action, without exploring.
            generator: source of randomness on the outputs' device.

        Returns:
            [B, N] int64; continuous: [B, N, A]
        """
        ...

    def metrics(self, env_steps: int) -> dict[str, float]:
        """Metrics to log, such as the current epsilon."""
        ...


@dataclass(frozen=True)
class EpsilonGreedyConfig:
    """Settings of `epsilon_greedy`."""

    epsilon_start: float = 1.0  # probability of a random action at the start, in [0, 1]
    epsilon_finish: float = 0.05  # after epsilon_anneal_time, in [0, 1]

    def __post_init__(self) -> None:
        validate(
            (
                not 0 <= self.epsilon_start <= 1,
                "epsilon_start",
                f"{self.epsilon_start} must lie in [0, 1].",
            ),
            (
                not 0 <= self.epsilon_finish <= 1,
                "epsilon_finish",
                f"{self.epsilon_finish} must lie in [0, 1].",
            ),
        )


def _unread(config: EpsilonGreedyConfig, settings: ExplorationSettings) -> dict[str, str]:
    """An epsilon that stays as it is has no time over which it falls."""
    del settings
    if config.epsilon_start != config.epsilon_finish:
        return {}
    both = f"action_selector_args.epsilon_start and epsilon_finish are both {config.epsilon_start}"
    return {"epsilon_anneal_time": f"{both}, so nothing falls. Leave it out, or set one of them."}


def _epsilon(config: EpsilonGreedyConfig, exploration: ExplorationSettings) -> LinearSchedule:
    return LinearSchedule(
        config.epsilon_start, config.epsilon_finish, exploration.epsilon_anneal_time
    )


@SELECTORS.register("epsilon_greedy", config=EpsilonGreedyConfig)
class EpsilonGreedy:
    """Best action, or with probability epsilon a random one, drawn for each agent independently."""

    takes: ClassVar[tuple[type, ...]] = (ActionValues, JointAction)
    unread = staticmethod(_unread)
    metric_descriptions: ClassVar[dict[str, str]] = {"epsilon": "probability of a random action"}

    def __init__(self, config: EpsilonGreedyConfig, exploration: ExplorationSettings):
        self._schedule = _epsilon(config, exploration)

    def select(
        self,
        outputs: Tensor,
        avail: Tensor,
        env_steps: Number,
        greedy: bool,
        generator: torch.Generator,
    ) -> Tensor:
        """Actions [B, N]: the best ones, each replaced by a random one with probability epsilon."""
        best = greedy_actions(outputs, avail)  # [B, N]
        if greedy:
            return best
        b, n, a = outputs.shape
        draws = torch.rand(b, n, a + 1, generator=generator, device=outputs.device)
        random = draws[..., :a].masked_fill(~avail, -1.0).argmax(dim=-1)  # [B, N]
        return torch.where(draws[..., a] < self._schedule.value(env_steps), random, best)

    def metrics(self, env_steps: int) -> dict[str, float]:
        """The current epsilon."""
        return {"epsilon": self._schedule.value(env_steps)}


@dataclass(frozen=True)
class CategoricalConfig(EpsilonGreedyConfig):
    """Settings of `categorical`; by default it samples the policy as it is."""

    epsilon_start: float = 0.0  # probability of a random action at the start, in [0, 1]
    epsilon_finish: float = 0.0  # after epsilon_anneal_time, in [0, 1]
    uniform_draws: int = 1  # n, each replaces the action with probability epsilon: 1 - (1 - eps)^n

    def __post_init__(self) -> None:
        super().__post_init__()
        validate(*out_of_range(self, 1, 100, "uniform_draws"))

    @property
    def deviation(self) -> str:
        """The setting above zero that makes some actions random; empty: none does."""
        names = ("epsilon_start", "epsilon_finish")
        return next((f"{k}={v}" for k in names if (v := getattr(self, k)) > 0), "")


@SELECTORS.register("categorical", config=CategoricalConfig)
class PolicySampler:
    """Sample the policies; discrete ones mixed with a uniform one, (1 - p) policy + p uniform.

    p = 1 - (1 - epsilon)^n is the probability that one of n = `uniform_draws` draws is random; only
    epsilon is annealed along a line. Greedy takes each policy's mode.

    Raises:
        UserError: if actions are continuous and epsilon is above zero.
    """

    takes: ClassVar[tuple[type, ...]] = (Categorical, SquashedNormal)
    unread = staticmethod(_unread)
    metric_descriptions: ClassVar[dict[str, str]] = {"epsilon": "probability of a random action"}

    def __init__(
        self,
        config: CategoricalConfig,
        exploration: ExplorationSettings,
        policy: PolicyMaker = Categorical,
    ):
        if config.deviation and policy is not Categorical:
            raise UserError(
                f"action_selector_args.{config.deviation}: continuous actions are explored by the "
                f"policies, without uniform draws. Set epsilon_start and epsilon_finish to 0."
            )
        self._policy, self._uniform_draws = policy, config.uniform_draws
        self._schedule = _epsilon(config, exploration)

    def select(
        self,
        outputs: Tensor,
        avail: Tensor,
        env_steps: Number,
        greedy: bool,
        generator: torch.Generator,
    ) -> Tensor:
        """Actions [B, N] sampled from the policies; if `greedy`, their modes."""
        if greedy:
            return self._policy(outputs, avail).mode()
        if not self._schedule.is_zero:
            random = self.random_probability(env_steps)
            uniform = avail / avail.sum(dim=-1, keepdim=True)
            policy = log_policy(outputs, avail).exp()
            outputs = torch.log((1 - random) * policy + random * uniform)
        return self._policy(outputs, avail).sample(generator)

    def random_probability(self, env_steps: Number) -> Number:
        """Probability of a random action after `env_steps` environment steps."""
        return 1 - (1 - self._schedule.value(env_steps)) ** self._uniform_draws

    def metrics(self, env_steps: int) -> dict[str, float]:
        """The probability of a random action, by all draws together."""
        return {"epsilon": float(self.random_probability(env_steps))}
