"""Policies over vectors of bounded numbers: normal variables squashed by tanh.

Source: Haarnoja et al., arXiv 1801.01290, appendix C.
"""

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

LOG_STD_RANGE = (-5.0, 1.0)  # of `SquashedNormal`, before tanh
MEAN_RANGE = 5.0  # its means lie between this and its negative, tanh(5) = 0.9999
QUADRATURE_POINTS = 32  # of its entropy


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
    nearer to a bound float32 could not separate z from the action, and ratios of densities would
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
        return self.actions_of(self.noise(generator))

    def actions_of(self, noise: Tensor) -> Tensor:
        """Actions, without gradient."""
        return self.vector_sample(noise).detach()

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
