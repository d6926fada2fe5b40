"""What agents' outputs are trained to be, and policies given by such outputs.

Unavailable actions have probability zero; no sum sees them and no gradient flows through them.
Sources: soft values and policies of maximum-entropy learning, Haarnoja et al., arXiv 1702.08165;
with discrete actions, Christodoulou, arXiv 1910.07207; Gumbel-softmax: Jang et al., arXiv
1611.01144; normal policies squashed by tanh: Haarnoja et al., arXiv 1801.01290, appendix C.
"""

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from components.schedules import Number

if TYPE_CHECKING:
    from envs.base import EnvInfo

LOG_STD_RANGE = (-5.0, 1.0)  # of `SquashedNormal`, before tanh
MEAN_RANGE = 5.0  # its means lie between this and its negative, tanh(5) = 0.9999
QUADRATURE_POINTS = 32  # of its entropy


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
        """What a sample is made of besides the outputs, [..., A]."""
        ...

    def vector_sample(self, noise: Tensor, temperature: float) -> Tensor:
        """Actions as vectors [..., A], with a gradient with respect to the outputs."""
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
        return greedy_actions(self.logits + self.noise(generator), self.avail)

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


class Bounds:
    """Bounds of continuous actions, as tensors.

    Args:
        low, high: of each agent's numbers; shorter rows are filled up.
        device: where the tensors live.

    Attributes:
        low: [N, A]
        half: [N, A], half the distance between the bounds, above 0.
        points, weights: [Q], Gauss-Hermite quadrature of means over a standard normal variable.
    """

    def __init__(
        self,
        low: tuple[tuple[float, ...], ...],
        high: tuple[tuple[float, ...], ...],
        device: torch.device,
    ):
        width = max(map(len, low))

        def tensor(rows: tuple[tuple[float, ...], ...], filler: float) -> Tensor:
            filled = [[*row, *[filler] * (width - len(row))] for row in rows]
            return torch.tensor(filled, device=device)

        self.low = tensor(low, -1.0)
        self.half = (tensor(high, 1.0) - self.low) / 2
        points, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE_POINTS)
        self.points = torch.tensor(points, dtype=torch.float32, device=device)
        self.weights = torch.tensor(weights / weights.sum(), dtype=torch.float32, device=device)


class SquashedNormal:
    """Policies over vectors: low + half (1 + tanh z), z normal with a mean and deviation by number.

    The mode is the image of the mean of z. Means are kept within `MEAN_RANGE` by another tanh:
    nearer to a bound float32 could not tell z from the action, and ratios of densities would
    overflow. An action on a bound counts as one just inside.

    Args:
        outputs: [..., N, 2 A], means of z before they are limited, logarithms of its deviations.
        avail: [..., N, A] bool, the numbers that an agent has.
        bounds: of the N agents.

    Shapes:
        actions: [..., N, A], zero where an agent has no such number;  log_prob, entropy: [..., N]
    """

    label: ClassVar[str] = "continuous policies"

    def __init__(self, outputs: Tensor, avail: Tensor, bounds: Bounds):
        mean, log_std = outputs.chunk(2, dim=-1)
        self.mean = MEAN_RANGE * (mean / MEAN_RANGE).tanh()
        self.log_std = log_std.clamp(*LOG_STD_RANGE)
        self.avail, self.bounds = avail, bounds

    def sample(self, generator: torch.Generator) -> Tensor:
        """Actions."""
        return self.vector_sample(self.noise(generator)).detach()

    def noise(self, generator: torch.Generator) -> Tensor:
        """Standard normal noise, [..., A]."""
        return torch.randn(self.mean.shape, generator=generator, device=self.mean.device)

    def vector_sample(self, noise: Tensor, temperature: float = 1.0) -> Tensor:
        """Actions, as functions of means and deviations; a temperature has no part in it."""
        del temperature
        return self._squashed(self.mean + self.log_std.exp() * noise)

    def mean_square(self) -> Tensor:
        """Of means and logarithms of deviations, [..., N]."""
        return self._sum(self.mean.square() + self.log_std.square()) / (2 * self.avail.sum(dim=-1))

    def mode(self) -> Tensor:
        """The actions of greedy play."""
        return self._squashed(self.mean)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-densities of actions, [..., N]."""
        limit = 1 - torch.finfo(actions.dtype).eps
        unit = ((actions - self.bounds.low) / self.bounds.half - 1).clamp(-limit, limit)
        z = unit.atanh()
        error = (z - self.mean) * (-self.log_std).exp()
        density = -error.square() / 2 - self.log_std - math.log(2 * math.pi) / 2
        return self._sum(density - _log_slope(z) - self.bounds.half.log())

    def entropy(self) -> Tensor:
        """In nats, [..., N]: of the normal, plus the mean logarithm of the slope by quadrature."""
        normal = self.log_std + math.log(2 * math.pi * math.e) / 2
        z = self.mean.unsqueeze(-1) + self.log_std.exp().unsqueeze(-1) * self.bounds.points
        slope = _log_slope(z) @ self.bounds.weights
        return self._sum(normal + slope + self.bounds.half.log())

    def _squashed(self, z: Tensor) -> Tensor:
        actions = self.bounds.low + self.bounds.half * (1 + z.tanh())
        return torch.where(self.avail, actions, 0.0)

    def _sum(self, x: Tensor) -> Tensor:
        """Over the numbers that an agent has."""
        return torch.where(self.avail, x, 0.0).sum(dim=-1)


def _log_slope(z: Tensor) -> Tensor:
    """Logarithm of the derivative of tanh, 1 - tanh^2, without cancellation."""
    return 2 * (math.log(2) - z - functional.softplus(-2 * z))


PolicyMaker = Callable[[Tensor, Tensor], Policy]  # from outputs and avail


def policy_maker(info: "EnvInfo", device: torch.device) -> PolicyMaker:
    """What makes agents' outputs policies over their actions."""
    if not info.is_continuous:
        return Categorical
    low = tuple(space.low for space in info.spaces)  # type: ignore[union-attr]
    high = tuple(space.high for space in info.spaces)  # type: ignore[union-attr]
    return partial(SquashedNormal, bounds=Bounds(low, high, device))
