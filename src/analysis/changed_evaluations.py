"""Evaluations under other settings than those of the training, such as another opponent."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.results import last_values
from analysis.statistics import Array
from analysis.tables import Row

TITLE = "Evaluated under other settings"


def columns(key: str) -> list[str]:
    """The columns of a table of these evaluations."""
    return ["evaluated with", "method", "seeds", key, "95 % interval", "as trained"]


@dataclass(frozen=True)
class ChangedEvaluation:
    """A row's runs, evaluated under other settings.

    Attributes:
        settings: what was changed, as it is written after `with`.
        row: the configuration.
        values: the metric of each run that was evaluated so, by seed; of the last such evaluation
            of its latest checkpoint.
        as_trained: the metric of the same runs under the settings of their training.
    """

    settings: str
    row: Row
    values: Array
    as_trained: Array


def changed_evaluations(rows: Iterable[Row], key: str) -> list[ChangedEvaluation]:
    """All evaluations of these rows under other settings, by the settings and then the best first.

    Args:
        rows: of one task.
        key: the metric.
    """
    found = []
    for row in rows:
        for settings in dict.fromkeys(c for run in row.runs for c in run.changed_evaluations):
            runs = [run for run in row.runs if key in run.changed_evaluations.get(settings, {})]
            if runs:
                values = np.array([run.changed_evaluations[settings][key] for run in runs])
                found.append(ChangedEvaluation(settings, row, values, last_values(runs, key)))
    return sorted(found, key=lambda c: (c.settings, -c.values.mean()))
