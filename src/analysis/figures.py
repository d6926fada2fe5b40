"""Figures of results."""

import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from analysis.aggregate import PROFILE_LEVELS, Aggregate
from analysis.looks import LINES, MARKERS, Look, axis_label, looks
from analysis.results import CLOCKS, cpu_seconds, curves_on_grid, last_values, n_weights
from analysis.statistics import t_interval
from analysis.tables import Row
from utils.errors import UserError
from utils.files import reason

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

LETTERS_PER_INCH = 11  # of a banner
BANNER_GAP = 0.12  # inches between a figure and its banner
BANNER_BOX = {"facecolor": "#FFE08A", "edgecolor": "#7F0000", "boxstyle": "square,pad=0.5"}


def learning_curves(
    rows: list[Row],
    key: str,
    path: Path,
    title: str = "",
    lines: dict[str, float] | None = None,
    bottom: float | None = None,
    clock: str = "env_steps",
    banner: str = "",
) -> None:
    """Mean over seeds of each row, with the range from worst to best seed shaded.

    Args:
        rows: rows of one task's table.
        key: the metric, such as `test_success_mean`.
        path: file to write; its ending decides the format.
        title: above the axes.
        lines: {label: level}, horizontal reference lines.
        bottom: lowest value shown; None: the lowest value of the curves.
        clock: what the curves are drawn against, a key of `CLOCKS`.
        banner: see `save_figure`.

    Raises:
        UserError: if the file cannot be written, or a run has not logged the clock.
    """
    for run in (run for row in rows for run in row.runs):
        if clock != "env_steps" and clock not in run.metrics:
            raise UserError(f"{run.place} has no {clock}. Draw it with --clock env_steps.")
    height = max(4.5, 0.2 * len(rows))  # inches; the legend has a line for each row
    figure, axes = plt.subplots(figsize=(8, height), layout="constrained")
    curves = [curves_on_grid(row.runs, key, clock=clock) for row in rows]
    for i, look in _best_first(rows, [float(values[:, -1].mean()) for _, values in curves]):
        (grid, values), n = curves[i], len(rows[i].runs)
        axes.plot(
            grid,
            values.mean(axis=0),
            color=look.colour,
            linestyle=look.line,
            marker=look.marker or ("o" if grid[0] == grid[-1] else None),
            markevery=len(grid) // 8,
            markersize=4,
            label=f"{rows[i].full_label}, {n} seed{'s' if n > 1 else ''}",
        )
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(grid, low, high, color=look.colour, alpha=0.15, linewidth=0)
    reference_lines(axes, lines or {})
    axes.set(xlabel=CLOCKS[clock], ylabel=axis_label(key), title=title)
    axes.set_ylim(bottom=bottom)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.grid(alpha=0.3)
    axes.legend(
        loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8, handlelength=3
    )
    save_figure(figure, path, banner)


def reference_lines(axes: Axes, lines: dict[str, float]) -> None:
    """Draw horizontal lines, each with its label above its right end."""
    for label, level in lines.items():
        axes.axhline(level, color="black", linewidth=0.8, linestyle="--")
        axes.annotate(
            label,
            (0.995, level),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=8,
        )


def costs(
    rows: list[Row],
    key: str,
    path: Path,
    title: str = "",
    bottom: float | None = None,
    banner: str = "",
) -> None:
    """The last value of each row against what it costs: weights, and CPU time of a run.

    Args:
        rows: rows of one task's table.
        key: the metric, such as `test_value_ratio`; small dots are seeds, bars the t-interval.
        path: file to write; its ending decides the format.
        title: above the figure.
        bottom: lowest value shown; None: the lowest value of the curves.
        banner: see `save_figure`.

    Raises:
        UserError: if a run has no checkpoint to count the weights of, or the file cannot be
            written.
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
    last = [last_values(row.runs, key) for row in rows]
    for i, look in _best_first(rows, [float(values.mean()) for values in last]):
        row, values, mean = rows[i], last[i], last[i].mean()
        half = np.nan_to_num(t_interval(values).high - mean)
        shape = look.marker or MARKERS[1 + LINES.index(look.line)]
        style = {"marker": shape, "ls": "", "capsize": 3, "color": look.colour}
        for axis, cost in zip(axes, (n_weights(row.runs[0]), cpu_seconds(row.runs)), strict=True):
            axis.errorbar([cost], [mean], half, **style, label=row.full_label)
            axis.scatter([cost] * len(values), values, s=8, color=look.colour, alpha=0.6)
    for axis, label in zip(axes, ("weights", "CPU seconds of a run"), strict=True):
        axis.set(xscale="log", xlabel=label)
        axis.tick_params(axis="x", which="minor", labelsize=6)
        axis.grid(alpha=0.3)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    axes[0].set(ylabel=axis_label(key))
    axes[0].set_ylim(bottom=bottom)
    figure.suptitle(title)
    save_figure(figure, path, banner)


def seed_dots(rows: list[Row], key: str, path: Path, title: str = "", banner: str = "") -> None:
    """The last value of every seed as a dot, the mean and its t-interval, the best row on top.

    Args:
        rows: rows of one task's table.
        key: the metric.
        path: file to write; its ending decides the format.
        title: above the axes.
        banner: see `save_figure`.

    Raises:
        UserError: if the file cannot be written.
    """
    figure, axis = plt.subplots(figsize=(7, 1.2 + 0.3 * len(rows)), layout="constrained")
    last = [last_values(row.runs, key) for row in rows]
    order = _best_first(rows, [float(values.mean()) for values in last])
    for place, (i, look) in enumerate(order):
        mean = last[i].mean()
        half = np.nan_to_num(t_interval(last[i]).high - mean)
        axis.errorbar([mean], [place], xerr=half, fmt="|", ms=12, color=look.colour, capsize=3)
        axis.scatter(last[i], [place] * len(last[i]), s=18, color=look.colour, alpha=0.6)
    axis.set_yticks(range(len(rows)), [rows[i].full_label for i, _ in order])
    axis.invert_yaxis()
    axis.set(xlabel=axis_label(key), title=title)
    axis.grid(axis="x", alpha=0.3)
    save_figure(figure, path, banner)


def profiles(compared: Aggregate, path: Path, banner: str = "") -> None:
    """Share of runs that score above each level, with stratified bootstrap bands.

    Args:
        compared: methods compared over tasks.
        path: file to write; its ending decides the format.
        banner: see `save_figure`.

    Raises:
        UserError: if the file cannot be written.
    """
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    chosen = looks([method.split(",")[0].split(" ")[0] for method in compared.scores])
    for method, look in zip(compared.scores, chosen, strict=True):
        share, low, high = compared.profile(method)
        axis.plot(PROFILE_LEVELS, share, color=look.colour, linestyle=look.line, label=method)
        axis.fill_between(PROFILE_LEVELS, low, high, color=look.colour, alpha=0.15, linewidth=0)
    axis.set(xlabel="normalised score", ylabel="share of runs above it", xlim=(0, 1))
    axis.grid(alpha=0.3)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    save_figure(figure, path, banner)


def _best_first(rows: list[Row], scores: list[float]) -> list[tuple[int, Look]]:
    """Index and look of each row, the highest score first; the looks do not follow the scores."""
    by_name = sorted(range(len(rows)), key=lambda i: (rows[i].alg, rows[i].full_label))
    chosen = dict(zip(by_name, looks([rows[i].alg for i in by_name]), strict=True))
    order = sorted(chosen, key=lambda i: (-np.nan_to_num(scores[i], nan=-np.inf), i))
    return [(i, chosen[i]) for i in order]


def save_figure(figure: Figure, path: Path, banner: str = "") -> None:
    """Write the same bytes for the same figure.

    Args:
        figure: what to write; it is closed.
        path: file to write; its ending decides the format.
        banner: a sentence above the figure, in a box that cannot be overlooked; empty: none.

    Raises:
        UserError: if the file cannot be written.
    """
    plt.rcParams["svg.hashsalt"] = "curves"
    options: dict[str, Any] = {"metadata": {"Date": None} if path.suffix == ".svg" else None}
    if banner:
        text = textwrap.fill(banner, int(LETTERS_PER_INCH * figure.get_figwidth()))
        above = 1 + BANNER_GAP / figure.get_figheight()
        style: dict[str, Any] = {"ha": "center", "va": "bottom", "fontweight": "bold"}
        figure.text(0.5, above, text, bbox=BANNER_BOX, **style)
        options["bbox_inches"] = "tight"
    try:
        figure.savefig(path, **options)
    except OSError as error:
        raise UserError(
            f"The figure {path} cannot be written ({reason(error)}). Choose another file."
        ) from error
    finally:
        plt.close(figure)
