"""Tables of one task as markdown."""

import math

import numpy as np

from analysis.changed_evaluations import changed_evaluations, columns, title
from analysis.numbers import decimals, number, span
from analysis.results import cpu_seconds, last_values, mean_return, n_weights, reached
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
    digits = decimals(*(last_values(row.runs, key) for row in rows))
    digits_of_return = decimals(*(np.array(mean_return(row.runs)) for row in rows))
    has_opponents, with_return = any(row.opponent for row in rows), key != "test_return_mean"
    for row in rows:
        final, runs = last_values(row.runs, key), row.runs
        cells = [row.label]
        if has_opponents:
            cells.append(row.opponent or "-")
        cells += [str(len(runs)), number(final.mean(), digits)]
        cells += [span(*t_interval(final), digits), span(final.min(), final.max(), digits)]
        if with_return:
            cells.append(number(mean_return(runs), digits_of_return))
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
        digits = decimals(*(c.values for c in evaluations))
        lines = [
            f"| {c.row.full_label} | {len(c.values)} | {number(c.values.mean(), digits)} "
            f"| {span(*t_interval(c.values), digits)} | {number(c.as_trained.mean(), digits)} |"
            for c in evaluations
        ]
        parts += [f"### {title(settings)}", "\n".join([*top, *lines])]
    return parts


def _seconds(x: float) -> str:
    """Whole seconds; a dash for what never happened or was not measured."""
    return f"{x:.0f}" if math.isfinite(x) else "-"
