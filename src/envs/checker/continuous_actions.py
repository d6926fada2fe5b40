"""Continuous actions in `env_checker.py`: their bounds, and random ones within them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from components.spaces import Box
from envs.base import EnvInfo


def bounds_of(info: EnvInfo) -> Tensor:
    """The bounds of every agent's own numbers, 0 for those it lacks: [2, N, A] float32."""
    bounds = torch.zeros(2, info.n_agents, info.n_actions)
    for i, space in enumerate(info.spaces):
        assert isinstance(space, Box)
        bounds[:, i, : space.size] = torch.tensor((space.low, space.high))
    return bounds


def wrong_numbers(info: EnvInfo) -> Iterator[tuple[str, str]]:
    """What contradicts itself in the sizes of continuous actions: (rule, sentence)."""
    if info.dynamic_avail:
        yield (
            "dynamic_avail",
            "info.dynamic_avail is True, but the actions are numbers: an agent has the same ones "
            "at every step. Set dynamic_avail=False.",
        )
    low, high = bounds_of(info)
    for i, (name, space) in enumerate(zip(info.agent_names, info.spaces, strict=True)):
        assert isinstance(space, Box)
        own = slice(space.size)
        wrong = ~(low[i, own].isfinite() & high[i, own].isfinite() & (low[i, own] < high[i, own]))
        if wrong.any():
            k = int(wrong.nonzero()[0])
            yield (
                "bounds",
                f"number {k} of the actions of {name} lies in [{space.low[k]}, {space.high[k]}], "
                f"which is empty or infinite in float32. Choose bounds that differ in "
                f"float32, and scale inside.",
            )


def choose_numbers(info: EnvInfo, uniform: Tensor) -> Tensor:
    """Every agent's own numbers, each uniform within its bounds, a tenth on a bound; else 0.

    Args:
        info: of an environment with continuous actions.
        uniform: [B or 1, N, A], in [0, 1)

    Shapes:
        out: [B or 1, N, A] float32
    """
    low, high = bounds_of(info).to(uniform.device)
    share = ((uniform - 0.5) / 0.9 + 0.5).clamp(0, 1)
    return torch.minimum(torch.maximum(low + share * (high - low), low), high)
