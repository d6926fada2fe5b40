"""Means over collected episodes, for a row of metrics."""

from typing import Any

import torch
from torch import Tensor


class Statistics:
    """Remembers episodes' results; they are only reduced when they are asked for.

    Args:
        ratios: {name: two metrics}, see `EnvInfo.metric_ratios`. Where the means of few episodes
            would be divided by zero, the ratio is NaN.
    """

    def __init__(self, ratios: dict[str, tuple[str, str]] | None = None) -> None:
        self._ratios = ratios or {}
        self._parts: list[tuple[Tensor, ...]] = []
        self._names: tuple[str, ...] = ()
        self._n_lost = 0

    def add(
        self, returns: Tensor, lengths: Tensor, metrics: dict[str, Tensor], n_lost: int = 0
    ) -> None:
        """Remember B episodes.

        Args:
            returns: [B, R], undiscounted; NaN for an agent that took no part.
            lengths: [B], in environment steps.
            metrics: {name: [B]}, the environment's own.
            n_lost: episodes that were lost beside these.
        """
        self._n_lost += n_lost
        self._names = tuple(metrics)
        self._parts.append((returns, lengths, *metrics.values()))

    def episodes(self, n_episodes: int) -> dict[str, Tensor]:
        """Results of the first `n_episodes`, one by one; they stay remembered.

        Returns:
            `returns` [n, R], `ep_length` [n], and {name: [n]} of the environment's metrics.
        """
        columns = [torch.cat(parts)[:n_episodes] for parts in zip(*self._parts, strict=True)]
        return dict(zip(("returns", "ep_length", *self._names), columns, strict=True))

    def means(self, n_episodes: int | None = None, prefix: str = "") -> dict[str, float]:
        """Means over the first `n_episodes` (default all), then forget them."""
        if not self._parts:
            return {}
        columns = [torch.cat(parts)[:n_episodes] for parts in zip(*self._parts, strict=True)]
        returns = columns[0].double().nanmean(dim=1)  # [B], over agents if rewards are individual
        out = {
            "return_mean": returns.mean().item(),
            "return_std": returns.std(correction=0).item(),
            "ep_length_mean": columns[1].double().mean().item(),
        }
        for name, column in zip(self._names, columns[2:], strict=True):
            out[f"{name}_mean"] = column.double().mean().item()
        for name, (above, below) in self._ratios.items():
            divisor = out[f"{below}_mean"]
            out[name] = out[f"{above}_mean"] / divisor if divisor else float("nan")
        if self._n_lost:
            out["lost_episodes"] = self._n_lost
        self._parts, self._n_lost = [], 0
        return {prefix + key: value for key, value in out.items()}

    def state_dict(self) -> dict[str, Any]:
        """The values added since the last `means`."""
        columns = [torch.cat(parts).clone() for parts in zip(*self._parts, strict=True)]
        return {"names": list(self._names), "columns": columns, "n_lost": self._n_lost}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._names, self._n_lost = tuple(state["names"]), int(state["n_lost"])
        self._parts = [tuple(state["columns"])] if state["columns"] else []
