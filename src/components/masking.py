"""Which entries of a batch count: real steps, agents that take part, actions that were taken."""

import torch
from torch import Tensor

from components.episode_batch import EpisodeBatch


def taken(x: Tensor, actions: Tensor) -> Tensor:
    """Entries of x [B, L, N, A] at the actions [B, L, N] -> [B, L, N]."""
    return x.gather(3, actions.unsqueeze(3)).squeeze(3)


def of_present(x: Tensor, batch: EpisodeBatch, steps: slice) -> Tensor:
    """Values [B, L, N] at `steps` of the batch, zero for agents that take no part."""
    return x if batch.is_active is None else torch.where(batch.is_active[:, steps], x, 0.0)


def real_entries(batch: EpisodeBatch, per_agent: bool, fixed_length: bool) -> Tensor | None:
    """Which steps, or agents at steps, count: [B, T, 1] or [B, T, N] bool; None: all."""
    if batch.is_active is not None and per_agent:
        return batch.valid & batch.is_active[:, : batch.n_steps]
    return None if fixed_length else batch.valid


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of x [B, T, R] where `mask` (bool, broadcastable) is true; None: everywhere."""
    if mask is None:
        return x.mean()
    weight = mask.expand_as(x)
    return torch.where(weight, x, 0.0).sum() / weight.sum()
