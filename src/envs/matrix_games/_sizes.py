"""Sizes of a game that may differ from episode to episode: a number, or a range to draw from."""

import torch
from torch import Tensor

Size = int | tuple[int, int]  # 5: always five; [3, 8]: three to eight, each equally likely
MOST = 10_000  # agents, or actions of one
Share = float | tuple[float, float]  # 0.7: always that; [0.2, 0.6]: uniform between the two


def ends(size: Size | Share) -> tuple[float, float]:
    """The least and the largest value."""
    return size if isinstance(size, tuple) else (size, size)


def largest(size: Size) -> int:
    """The largest value, for which tensors are padded."""
    return int(ends(size)[1])


def size_problem(name: str, size: Size | Share, least: float, most: float) -> tuple[bool, str, str]:
    """A case for `validate`: sizes that do not lie in [least, most], or a range upside down."""
    low, high = ends(size)
    shown = list(size) if isinstance(size, tuple) else size
    text = f"{shown} must be between {least} and {most}; a range is [lowest, highest]."
    return not least <= low <= high <= most, name, text


def draw_size(size: Size, n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """A whole number for each of `n` episodes, [n] int64."""
    if isinstance(size, tuple):
        return torch.randint(size[0], size[1] + 1, (n,), generator=generator, device=device)
    return torch.full((n,), size, device=device)


def draw_share(share: Share, n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """A number for each of `n` episodes, [n]."""
    low, high = ends(share)
    if low == high:
        return torch.full((n,), low, device=device)
    return low + (high - low) * torch.rand(n, generator=generator, device=device)


def below(counts: Tensor, width: int) -> Tensor:
    """[B, width] bool, true in the first counts[b] places of row b."""
    return torch.arange(width, device=counts.device) < counts.unsqueeze(1)
