"""Learning curves as the numbers that the page's script draws."""

from typing import Any

import numpy as np

from analysis.looks import Look
from analysis.page.colours import colour_class
from analysis.results import RunRecord
from analysis.statistics import Array
from analysis.tables import Table

N_POINTS = 100  # of a curve
N_IN_TABLE = 6  # columns of the table


def curves_at(runs: list[RunRecord], key: str, grid: Array) -> Array:
    """A metric at given steps, [runs, n]; NaN before a run's first and after its last test."""
    return np.stack([np.interp(grid, *run.metrics[key], left=np.nan, right=np.nan) for run in runs])


def common_grid(table: Table, n_points: int) -> Array:
    """Steps from the first to the last test of any run."""
    steps = [run.metrics[table.key][0] for row in table.rows for run in row.runs]
    return np.linspace(min(s[0] for s in steps), max(s[-1] for s in steps), n_points)


def chart(table: Table, looks: list[Look], name: str) -> dict[str, Any]:
    """Data for the script that draws a task's curves: mean, lowest and highest of the seeds.

    Anchors are drawn as lines.

    Args:
        table: the task.
        looks: of its rows.
        name: of the HTML element.
    """
    grid = common_grid(table, N_POINTS)
    series = []
    for row, look in zip(table.rows, looks, strict=True):
        values = curves_at(row.runs, table.key, grid)
        dash = [] if isinstance(look.line, str) else [2 * x for x in look.line[1]]
        series.append(
            {
                "label": row.full_label,
                "colour": colour_class(look.colour),
                "dash": dash,
                "mean": _numbers(values.mean(axis=0)),
                "low": _numbers(values.min(axis=0)),
                "high": _numbers(values.max(axis=0)),
            }
        )
    anchors = [{"label": label, "level": level} for label, level in table.anchors.items()]
    steps = [round(float(x)) for x in grid]
    return {"id": name, "steps": steps, "series": series, "anchors": anchors}


def _numbers(values: Array) -> list[float | None]:
    """Five digits each; None for what JSON does not know."""
    return [float(f"{x:.5g}") if np.isfinite(x) else None for x in values]
