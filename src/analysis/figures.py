"""Figures of results."""

from pathlib import Path

import matplotlib
import numpy as np

from analysis.results import RunRecord, by_method, curves_on_grid

matplotlib.use("Agg")
import matplotlib.pyplot as plt


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
    plt.rcParams["svg.hashsalt"] = "curves"
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    groups = by_method(runs)
    palette = "tab10" if len(groups) <= 10 else "tab20"
    colours = plt.get_cmap(palette)(np.arange(len(groups)) % 20)
    order = sorted(groups, key=lambda m: -float(curves_on_grid(groups[m], key)[1][:, -1].mean()))
    for colour, method in zip(colours, order, strict=True):
        grid, values = curves_on_grid(groups[method], key)
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
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)
