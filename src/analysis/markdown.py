"""Tables of one task as markdown."""

import math

import numpy as np

from analysis.changed_evaluations import changed_evaluations, columns, title
from analysis.results import cpu_seconds, last_values, n_weights, reached
from analysis.statistics import t_interval
from analysis.tables import Row


def markdown(rows: list[Row], key: str, level: float | None, with_weights: bool = False) -> str:
    """A markdown table, best row first; each opponent has separate rows.

    Args:
        rows: rows of one task.
        key: the metric; its value is that of the last `evaluate=True`, else of the last greedy
            test.
        level: the row says when the metric first reached this level during training; None: no
            such column.
        with_weights: also say how many weights a method trains, from its checkpoints.
    """
    lines = []
    has_opponents, with_return = any(row.opponent for row in rows), key != "test_return_mean"
    for row in rows:
        final, runs = last_values(row.runs, key), row.runs
        cells = [row.label]
        if has_opponents:
            cells.append(row.opponent or "-")
        cells += [str(len(runs)), _text(final.mean()), _span(*t_interval(final))]
        cells.append(_span(final.min(), final.max()))
        if with_return:
            measured = all("test_return_mean" in run.metrics for run in runs)
            cells.append(_text(last_values(runs, "test_return_mean").mean()) if measured else "-")
        if with_weights:
            cells.append(f"{n_weights(runs[0]):,}")
        cells.append(_seconds(cpu_seconds(runs)))
        if level is not None:
            cells.append(_seconds(float(np.median([reached(r, key, level) for r in runs]))))
        score = -math.inf if math.isnan(final.mean()) else final.mean()
        lines.append((score, f"| {' | '.join(cells)} |"))
    head = ["method", *["opponent"] * has_opponents, "seeds", key, "95 % interval", "range"]
    head += [*["return"] * with_return, *["weights"] * with_weights, "CPU s"]
    head += [] if level is None else [f"CPU s to {level:g}"]
    top = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*top, *(line for _, line in sorted(lines, reverse=True))])


def changed_markdown(rows: list[Row], key: str) -> list[str]:
    """Evaluations under other settings: a heading and a markdown table for each change."""
    head = columns(key)
    top = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    parts = []
    for settings, evaluations in changed_evaluations(rows, key).items():
        lines = [
            f"| {c.row.full_label} | {len(c.values)} | {_text(c.values.mean())} "
            f"| {_span(*t_interval(c.values))} | {_text(c.as_trained.mean())} |"
            for c in evaluations
        ]
        parts += [f"### {title(settings)}", "\n".join([*top, *lines])]
    return parts


def _text(x: float) -> str:
    """A rate with four decimals, a return with one."""
    return f"{x:.4f}" if abs(x) < 2 else f"{x:.1f}"


def _span(low: float, high: float) -> str:
    """An interval; a dash where one seed gives none."""
    return "-" if math.isnan(low) else f"{_text(low)} to {_text(high)}"


def _seconds(x: float) -> str:
    """Whole seconds; a dash for what never happened or was not measured."""
    return f"{x:.0f}" if math.isfinite(x) else "-"
