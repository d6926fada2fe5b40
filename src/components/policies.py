"""What an agent's outputs mean; and policies given by logits: log-probabilities, values, samples.

Unavailable actions have probability zero; no sum sees them and no gradient flows through them.
Sources: soft values and policies of maximum-entropy learning, Haarnoja et al., arXiv 1702.08165;
with discrete actions, Christodoulou, arXiv 1910.07207; Gumbel-softmax: Jang et al., arXiv
1611.01144.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from components.schedules import Number

# What a controller's outputs [B, N, A] are once its learner has trained them. A joint action: 1 at
# each agent's part of the greedy joint action, 0 elsewhere.
OutputKind = Literal["action values", "logits of policies", "a joint action"]


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
