"""Kinds of agents' outputs (action values, policies, a joint action), and their policies.

Unavailable actions have probability zero; no sum sees them and no gradient flows through them.
Sources: soft values and policies of maximum-entropy learning, Haarnoja et al., arXiv 1702.08165;
with discrete actions, Christodoulou, arXiv 1910.07207; Gumbel-softmax: Jang et al., arXiv
1611.01144.
"""

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from components.schedules import Number
from components.squashed_normal import Bounds, SquashedNormal

if TYPE_CHECKING:
    from envs.base import EnvInfo


class ActionValues:
    """Outputs [..., A] that are values of actions."""

    label: ClassVar[str] = "action values"


class JointAction:
    """Outputs [..., A] that are 1 at each agent's part of the greedy joint action, 0 elsewhere."""

    label: ClassVar[str] = "a joint action"


def log_policy(logits: Tensor, avail: Tensor) -> Tensor:
    """Log-probabilities over available actions, -inf elsewhere. [..., A], bool -> [..., A]."""
    return logits.masked_fill(~avail, -torch.inf).log_softmax(dim=-1)


def soft_value(q: Tensor, avail: Tensor, temperature: Number) -> Tensor:
    """V = a logsumexp_u(Q(u) / a) over available actions. [..., A], bool -> [...]."""
    scaled = (q / temperature).masked_fill(~avail, -torch.inf)
    return temperature * scaled.logsumexp(dim=-1)


def soft_policy_loss(log_pi: Tensor, q: Tensor, temperature: Number) -> Tensor:
    """sum_u pi(u) [a log pi(u) - Q(u)], which the soft policy exp(Q / a) / Z minimises.

    Args:
        log_pi: [..., A], -inf where an action is not available.
        q: [..., A], without gradient.
        temperature: a.

    Returns:
        [...]
    """
    finite = log_pi.masked_fill(log_pi == -torch.inf, 0.0)
    return (log_pi.exp() * (temperature * finite - q)).sum(dim=-1)


def entropy(log_pi: Tensor) -> Tensor:
    """Entropy in nats. [..., A] -> [...]."""
    return -soft_policy_loss(log_pi, torch.zeros_like(log_pi), 1.0)


def greedy_actions(outputs: Tensor, avail: Tensor) -> Tensor:
    """Best available action of each agent. outputs, avail: [..., N, A] -> [..., N] int64."""
    return outputs.masked_fill(~avail, -torch.inf).argmax(dim=-1)


def gumbel(
    shape: torch.Size | tuple[int, ...], generator: torch.Generator, device: torch.device
) -> Tensor:
    """Standard Gumbel noise: argmax(log pi + noise) is a sample of pi (Gumbel-max)."""
    uniform = torch.rand(shape, generator=generator, device=device)
    return -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))


def straight_through(logits: Tensor, avail: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """A one-hot sample of the policy whose gradient is that of a softmax (Gumbel-softmax).

    Args:
        logits: [..., A]
        avail: [..., A] bool, true where the action may be chosen.
        noise: [..., A], standard Gumbel noise; zeros give the policy's mode.
        temperature: of the softmax, above 0.

    Returns:
        [..., A], zero where an action is not available, without gradient there.
    """
    noisy = (logits + noise).masked_fill(~avail, -torch.inf)
    soft = (noisy / temperature).softmax(dim=-1)
    hard = functional.one_hot(noisy.argmax(dim=-1), logits.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())  # the bracket is zero, its gradient is not


class Policy(Protocol):
    """The agents' policies at some steps, independent of each other given what they have seen."""

    label: ClassVar[str]

    def sample(self, generator: torch.Generator) -> Tensor:
        """Actions, without gradient."""
        ...

    def mode(self) -> Tensor:
        """The actions of greedy play."""
        ...

    def noise(self, generator: torch.Generator) -> Tensor:
        """The random numbers of a sample, [..., A]."""
        ...

    def actions_of(self, noise: Tensor) -> Tensor:
        """The sample that is made of this noise; zeros give the mode."""
        ...

    def vector_sample(self, noise: Tensor, temperature: float) -> Tensor:
        """The same as vectors [..., A], with a gradient with respect to the outputs."""
        ...

    def mean_square(self) -> Tensor:
        """Mean square of the outputs that give the policies, [...], for a penalty."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probabilities (densities) of actions, [...]."""
        ...

    def entropy(self) -> Tensor:
        """In nats, [...]."""
        ...


class Categorical:
    """Policies over A actions, by logits; actions [...] are integers.

    Args:
        logits: [..., A]
        avail: [..., A] bool, at least one true.
    """

    label: ClassVar[str] = "logits of policies"

    def __init__(self, logits: Tensor, avail: Tensor):
        self.logits, self.avail = logits, avail

    @cached_property
    def log_probs(self) -> Tensor:
        """Log-probabilities of all actions, [..., A], -inf where one is not available."""
        return log_policy(self.logits, self.avail)

    def sample(self, generator: torch.Generator) -> Tensor:
        """Actions [...], by the Gumbel-max trick."""
        return self.actions_of(self.noise(generator))

    def actions_of(self, noise: Tensor) -> Tensor:
        """Actions [...], the largest of logits and noise."""
        return greedy_actions(self.logits + noise, self.avail)

    def mode(self) -> Tensor:
        """The most probable actions, [...]."""
        return greedy_actions(self.logits, self.avail)

    def noise(self, generator: torch.Generator) -> Tensor:
        """Standard Gumbel noise, [..., A]."""
        return gumbel(self.logits.shape, generator, self.logits.device)

    def vector_sample(self, noise: Tensor, temperature: float) -> Tensor:
        """One-hot samples [..., A], see `straight_through`."""
        return straight_through(self.logits, self.avail, noise, temperature)

    def mean_square(self) -> Tensor:
        """Of the logits of available actions, [...]."""
        squares = torch.where(self.avail, self.logits, 0.0).square().sum(dim=-1)
        return squares / self.avail.sum(dim=-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Of actions [...], [...]."""
        return self.log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        """In nats, [...]."""
        return entropy(self.log_probs)


PolicyMaker = Callable[[Tensor, Tensor], Policy]  # from outputs and avail


def policy_maker(info: "EnvInfo", device: torch.device) -> PolicyMaker:
    """The function from agents' outputs to policies over their actions."""
    if not info.is_continuous:
        return Categorical
    low = tuple(space.low for space in info.spaces)  # type: ignore[union-attr]
    high = tuple(space.high for space in info.spaces)  # type: ignore[union-attr]
    return partial(SquashedNormal, bounds=Bounds(low, high, device))
