"""Figures of results."""

from pathlib import Path

import matplotlib
import numpy as np

from analysis.results import (
    RunRecord,
    by_method,
    cpu_seconds,
    curves_on_grid,
    last_values,
    n_weights,
)

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


def learning_curves(
    runs: list[RunRecord],
    key: str,
    path: Path,
    title: str = "",
    lines: dict[str, float] | None = None,
    bottom: float | None = None,
) -> None:
    """Mean over seeds of each method, with the range from worst to best seed shaded.

    Args:
        runs: runs of one environment.
        key: the metric, such as `test_success_mean`.
        path: file to write; its ending decides the format.
        title: above the axes.
        lines: {label: level}, horizontal reference lines.
        bottom: lowest value shown; None: whatever there is.
    """
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    curves = {method: curves_on_grid(group, key) for method, group in by_method(runs).items()}
    best_first = sorted(curves, key=lambda m: -float(curves[m][1][:, -1].mean()))
    for colour, method in zip(_colours(len(curves)), best_first, strict=True):
        grid, values = curves[method]
        label = f"{method}, {len(values)} seed{'s' if len(values) > 1 else ''}"
        axes.plot(grid, values.mean(axis=0), color=colour, label=label)
        axes.fill_between(grid, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.15)
    for label, level in (lines or {}).items():
        axes.axhline(level, color="black", linewidth=0.8, linestyle="--")
        axes.annotate(
            label,
            (0.995, level),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
        )
    axes.set(xlabel="environment steps", ylabel=key, title=title)
    axes.set_ylim(bottom=bottom)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    _save(figure, path)


def costs(
    runs: list[RunRecord], key: str, path: Path, title: str = "", bottom: float | None = None
) -> None:
    """The last value of each method against what it costs: weights, and CPU time of a run.

    Args:
        runs: runs of one environment.
        key: the metric, such as `test_value_ratio`; dots are means, bars reach over all seeds.
        path: file to write; its ending decides the format.
        title: above the figure.
        bottom: lowest value shown; None: whatever there is.

    Raises:
        UserError: if a run has no checkpoint to count the weights of.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
    groups = by_method(runs)
    last = {method: last_values(group, key) for method, group in groups.items()}
    best_first = sorted(last, key=lambda m: -float(last[m].mean()))
    for colour, method in zip(_colours(len(last)), best_first, strict=True):
        group, values, mean = groups[method], last[method], last[method].mean()
        spread = [[mean - values.min()], [values.max() - mean]]
        look = {"marker": "o", "ls": "", "capsize": 3, "color": colour, "label": method}
        for axis, cost in zip(axes, (n_weights(group[0]), cpu_seconds(group)), strict=True):
            axis.errorbar([cost], [mean], spread, **look)
    for axis, label in zip(axes, ("weights", "CPU seconds of a run"), strict=True):
        axis.set(xscale="log", xlabel=label)
        axis.tick_params(axis="x", which="minor", labelsize=6)
        axis.grid(alpha=0.3)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    axes[0].set(ylabel=key)
    axes[0].set_ylim(bottom=bottom)
    figure.suptitle(title)
    _save(figure, path)


def _colours(n: int) -> np.ndarray:
    """A colour for each of n methods, all different up to 20. [n, 4]."""
    return plt.get_cmap("tab10" if n <= 10 else "tab20")(np.arange(n) % 20)


def _save(figure: Figure, path: Path) -> None:
    """Write the same bytes for the same figure."""
    plt.rcParams["svg.hashsalt"] = "curves"
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
