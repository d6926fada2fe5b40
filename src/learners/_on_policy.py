"""Base class of learners from episodes of the current policy only, with a critic.

The agents' outputs are logits; the critic is a separate component, trained beside them. Actor and
critic have separate weights: their losses are summed and minimised in one step, with separate
learning rates and clipping. Only a critic that reads the policies' encoder sends gradients
there. There are no target networks.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from components.buffers.rollout import Rollout
from components.episode_batch import EpisodeBatch
from components.masking import masked_mean, of_present, real_entries
from components.policies import Categorical, Policy
from components.schedules import LinearSchedule, Number, Progress
from components.settings import TrainingSettings
from controllers.basic_controller import BasicController
from learners._sampling import SamplingLearner
from learners.base import Details, Learner
from modules.agents.base import AgentInputs, ChoosesInOrder
from modules.critics.base import Critic, CriticInputs
from modules.initialisation import orthogonal_weights
from utils.errors import validate
from utils.seeding import seeded_initialisation

LAST_GAIN = 0.01  # of the policies' last layers, with `orthogonal_init`


@dataclass(frozen=True)
class OnPolicyConfig:
    """Settings of a learner with policies and a critic."""

    entropy_start: float = 0.01  # weight of the entropy in the loss at the start, at least 0
    entropy_finish: float = 0.0  # and after annealing
    entropy_anneal_fraction: float = 0.5  # part of t_max over which it falls linearly, in [0, 1]
    value_coef: float = 0.5  # weight of the critic's loss, above 0
    critic_lr: float = 0.0  # learning rate of the critic at the start; 0: lr
    orthogonal_init: bool = True  # orthogonal weights, policies that begin almost uniform

    def __post_init__(self) -> None:
        at_least_zero = ("entropy_start", "entropy_finish", "critic_lr")
        validate(
            *((getattr(self, k) < 0, k, f"{getattr(self, k)} is negative.") for k in at_least_zero),
            (
                not 0 <= self.entropy_anneal_fraction <= 1,
                "entropy_anneal_fraction",
                f"{self.entropy_anneal_fraction} must lie in [0, 1].",
            ),
            (not self.value_coef > 0, "value_coef", f"{self.value_coef} must be above 0."),
        )


@dataclass(slots=True)
class TargetedBatch(EpisodeBatch):
    """Episodes, and the targets of the critic."""

    target: Tensor = field(kw_only=True)  # [B, T, C], C = 1 or N


class OnPolicyLearner(SamplingLearner):
    """Collects a batch, learns from it and drops it; a subclass writes `prepare` and `loss`.

    Args:
        config: settings.
        settings: discount, optimiser, batch.
        controller: runs the agents' network.
        mixer: `none`.
        t_max: environment steps of the whole run.
        critic: estimates values.
    """

    metric_descriptions: ClassVar[dict[str, str]] = {
        **Learner.metric_descriptions,
        "policy_loss": "loss of the policies without their entropy, last update",
        "value_loss": "mean squared error of the critic, last update; with `value_norm` in units "
        "of its targets' deviation",
        "entropy": "mean entropy of an agent's policy in nats, differential where actions are "
        "continuous, last update",
    }
    trains: ClassVar[tuple[type, ...]] = (Categorical,)
    uses_mixer: ClassVar[bool] = False
    learns_from: ClassVar[str] = Rollout.gives
    explores_by_policy: ClassVar[bool] = True
    has_targets: ClassVar[bool] = False
    batch_class: ClassVar[type[TargetedBatch]] = TargetedBatch  # what `prepare` returns

    def __init__(
        self,
        config: OnPolicyConfig,
        settings: TrainingSettings,
        controller: BasicController,
        mixer: nn.Module,
        t_max: int,
        critic: Critic,
    ):
        del mixer
        self.config, self.critic = config, critic
        if config.orthogonal_init:
            with seeded_initialisation(controller.seed, "weights", "policy"):
                orthogonal_weights(controller.agent, LAST_GAIN)
        online = nn.ModuleDict({"agent": controller.agent, "critic": critic})
        super().__init__(settings, controller, online, t_max, clip_groups=(("agent",), ("critic",)))
        self._entropy = LinearSchedule(
            config.entropy_start,
            config.entropy_finish,
            round(config.entropy_anneal_fraction * t_max),
        )

    @property
    @abstractmethod
    def passes(self) -> tuple[int, int]:
        """Passes over a batch, and parts of it in each: one gradient step for each part."""

    @abstractmethod
    def new_columns(self) -> dict[str, int]:
        """Tensors [B, T, columns] that `prepare` adds to the episodes: name -> columns."""

    def learning_rates(self) -> dict[str, float]:
        """The critic's."""
        return {"critic": self.config.critic_lr} if self.config.critic_lr else {}

    @property
    def entropy_weight(self) -> Number:
        """The weight of the entropy in the loss now."""
        return self._entropy.value(self.env_steps)

    def update(self, buffer: Any, progress: Progress) -> None:
        """Once the batch is complete: all gradient steps on it; then it is dropped."""
        if buffer.is_full:
            for batch in self.batches(buffer):
                self.train(batch, *progress)
            buffer.clear()

    def batches(self, buffer: Any) -> Iterator[EpisodeBatch]:
        """Minibatches of all epochs, of whole episodes in random order."""
        batch = self.prepare(buffer.episodes())
        b, device = batch.n_episodes, batch.actions.device
        epochs, minibatches = self.passes
        for _ in range(epochs):
            order = torch.randperm(b, generator=self.generator, device=device)
            for rows in order.chunk(minibatches):
                yield batch.select(rows, self._captured_batch)

    @override
    def batch_memory(self, buffer: Any) -> EpisodeBatch:
        part = buffer.empty_batch(self.settings.batch_size // self.passes[1])
        b, t = part.actions.shape[:2]
        new = {name: part.reward.new_empty(b, t, c) for name, c in self.new_columns().items()}
        return self.batch_class(**dict(part.items()), **new)

    @property
    @override
    def plan(self) -> str:
        (epochs, minibatches), size = self.passes, self.settings.batch_size
        return (
            f"{epochs * minibatches} gradient step(s) of {size // minibatches} episodes per {size} "
            f"collected"
        )

    def agent_inputs(self, batch: EpisodeBatch, n_steps: int) -> AgentInputs:
        """Inputs of policies and critic for the first L = `n_steps` steps.

        A critic that reads the policies' encoder shares its one pass with them.
        """
        inputs = self.controller.agent_inputs(batch, n_steps)
        if self.critic.needs_encoder:
            inputs.encoded = cast(ChoosesInOrder, self.controller.agent).encode(inputs)
        return inputs

    def state_values(self, batch: EpisodeBatch, inputs: AgentInputs) -> Tensor:
        """The critic's values of the states of L steps, [B, L, C]; 0 of absent agents."""
        steps = slice(0, inputs.x.shape[1])
        seen = CriticInputs(
            state=batch.state[:, steps],
            own=inputs.x,
            is_active=inputs.is_active,
            encoded=inputs.encoded,
            avail=inputs.avail,
            action_features=inputs.action_features,
        )
        values: Tensor = self.critic(seen)
        return of_present(values, batch, steps) if values.shape[2] > 1 else values

    def policies(self, inputs: AgentInputs) -> Policy:
        """The agents' policies at steps and agents [B, L, N]."""
        return self.controller.policy(self.controller.agent(inputs, None)[0], inputs.avail)

    def log_prob(self, policy: Policy, batch: EpisodeBatch) -> Tensor:
        """Of the actions that were taken, [B, T, N]; 0 of agents that take no part."""
        return of_present(policy.log_prob(batch.actions), batch, slice(0, batch.n_steps))

    def sum_of_losses(
        self, policy_loss: Tensor, value_loss: Tensor, policy: Policy, batch: EpisodeBatch
    ) -> tuple[Tensor, Details]:
        """policy_loss - weight x entropy + value_coef x value_loss, and their metrics.

        Args:
            policy_loss: scalar, of the policies.
            value_loss: scalar, of the critic.
            policy: at the steps of the batch.
            batch: B episodes.
        """
        entropies = policy.entropy()  # [B, T, N]
        bonus = self.mean(self.entropy_weight * entropies, batch)
        entropies = entropies.detach()
        return policy_loss - bonus + self.config.value_coef * value_loss, {
            "policy_loss": policy_loss.detach().clone,
            "value_loss": value_loss.detach().clone,
            "entropy": lambda: self.mean(entropies, batch),
        }

    def mean(self, x: Tensor, batch: EpisodeBatch) -> Tensor:
        """Mean of x [B, T, 1 or N] over real steps, and over agents that take part."""
        return masked_mean(x, self.mask(x, batch))

    def mask(self, x: Tensor, batch: EpisodeBatch) -> Tensor | None:
        """Which entries of x [B, T, 1 or N] count, see `real_entries`."""
        return real_entries(batch, x.shape[2] > 1, self.controller.info.fixed_length)
