"""Evaluations under other settings than those of the training, such as another opponent."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.results import last_values
from analysis.statistics import Array
from analysis.tables import Row


def title(settings: str) -> str:
    """The heading of a table of these evaluations."""
    return f"Evaluated with {settings}"


def columns(key: str) -> list[str]:
    """The columns of such a table."""
    return ["method", "seeds", key, "95 % interval", "as trained"]


@dataclass(frozen=True)
class ChangedEvaluation:
    """A row's runs, evaluated under other settings.

    Attributes:
        row: the configuration.
        values: the metric of each run that was evaluated so, by seed; of the last such evaluation
            of its latest checkpoint.
        as_trained: the metric of the same runs under the settings of their training.
    """

    row: Row
    values: Array
    as_trained: Array


def changed_evaluations(rows: Iterable[Row], key: str) -> dict[str, list[ChangedEvaluation]]:
    """All evaluations of these rows under other settings, the best first.

    Args:
        rows: of one task.
        key: the metric.

    Returns:
        {what was changed, as it is written after `with`: evaluations}.
    """
    found: dict[str, list[ChangedEvaluation]] = {}
    for row in rows:
        for settings in dict.fromkeys(c for run in row.runs for c in run.changed_evaluations):
            runs = [run for run in row.runs if key in run.changed_evaluations.get(settings, {})]
            if runs:
                values = np.array([run.changed_evaluations[settings][key] for run in runs])
                evaluation = ChangedEvaluation(row, values, last_values(runs, key))
                found.setdefault(settings, []).append(evaluation)
    return {s: sorted(found[s], key=lambda c: -c.values.mean()) for s in sorted(found)}
