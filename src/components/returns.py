"""Targets for value learning: one-step and lambda returns, and generalised advantages.

Sources: Sutton & Barto 2018, chapter 12 (lambda returns); Schulman et al., arXiv 1506.02438 (GAE);
Pardo et al., arXiv 1712.00378 (a time limit is not an end). A *terminated* step has no future; a
*truncated* step (time limit) has one, which is bootstrapped from the value after it. Departure from
PyMARL: its recursion starts at the padded end of the batch and multiplies back through padding;
ours starts at each episode's own last real step.
"""

import torch
from torch import Tensor

from utils.shapes import check


def lambda_returns(
    reward: Tensor, next_value: Tensor, terminated: Tensor, valid: Tensor, gamma: float, lam: float
) -> Tensor:
    """TD(lambda) targets: G_t = r_t + gamma (1 - d_t) [(1 - l_t) v_{t+1} + l_t G_{t+1}].

    l_t is `lam` where step t+1 is real and 0 at the episode's last real step, so `lam=0` is the
    one-step target.

    Args:
        reward: [B, T, R]
        next_value: [B, T, R'], the value *after* each step; R' may be N where R is 1.
        terminated: [B, T, 1] bool, true ends only.
        valid: [B, T, 1] bool, true on real steps.
        gamma: discount per step.
        lam: lambda in [0, 1].

    Returns:
        [B, T, max(R, R')], meaningless where `valid` is false.
    """
    sizes = check(terminated, "B T 1")
    check(valid, "B T 1", sizes)
    check(reward, "B T R", sizes)
    discount = gamma * (~terminated)  # [B, T, 1]
    if lam == 0:
        return torch.addcmul(reward, discount, next_value)
    mix = lam * _next_is_real(valid)  # [B, T, 1]
    base = reward + discount * (1 - mix) * next_value  # [B, T, R']
    return _backward_sum(base, discount * mix)


def generalised_advantages(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    valid: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """GAE: A_t = delta_t + gamma lam (1 - d_t) A_{t+1}.

    The errors are delta_t = r_t + gamma (1 - d_t) V_{t+1} - V_t.

    Args:
        reward: [B, T, R]
        value: [B, T, R'], the value before each step.
        next_value: [B, T, R'], the value after each step.
        terminated: [B, T, 1] bool
        valid: [B, T, 1] bool
        gamma: discount per step.
        lam: lambda in [0, 1].

    Returns:
        [B, T, max(R, R')]; the target of the value function is this plus `value`. Meaningless where
        not `valid`.
    """
    discount = gamma * (~terminated)  # [B, T, 1]
    delta = reward + discount * next_value - value  # [B, T, R']
    return _backward_sum(delta, discount * lam * _next_is_real(valid))


def _next_is_real(valid: Tensor) -> Tensor:
    """True where the following step belongs to the same episode. valid: [B, T, 1] -> [B, T, 1]."""
    return torch.cat([valid[:, 1:], torch.zeros_like(valid[:, :1])], dim=1)


def _backward_sum(base: Tensor, weight: Tensor) -> Tensor:
    """x_t = base_t + weight_t x_{t+1}, from the last step to the first.

    This recursion is the one loop over time outside the runner: T elementwise operations on [B, R].
    """
    out = torch.empty_like(base)
    running = torch.zeros_like(base[:, 0])
    for t in range(base.shape[1] - 1, -1, -1):
        running = torch.addcmul(base[:, t], weight[:, t], running)
        out[:, t] = running
    return out
