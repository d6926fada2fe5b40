"""Several tasks at once: normalised scores of the methods that ran on all of them.

A score is (value - low) / (high - low) with the bounds of `bounds.yaml`, or of a file of the user.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from analysis.bounds import Bounds, limits
from analysis.groups import SHORT, group_of
from analysis.results import last_values
from analysis.statistics import (
    Array,
    Interval,
    bootstrap_interval,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)
from analysis.tables import Table

PROFILE_LEVELS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    interval: Interval


def _estimate(statistic: Callable[..., Array], *groups: list[Array]) -> Estimate:
    """A statistic of one number, with its bootstrap interval."""
    low, high = bootstrap_interval(statistic, *groups)
    return Estimate(float(statistic(*groups)), Interval(float(low), float(high)))


@dataclass(frozen=True)
class Aggregate:
    """Methods compared over tasks.

    Attributes:
        tasks: {task: (low, high)}, those with bounds.
        scores: {method: one array of scores for each task}, the best interquartile mean first.
        acts_on: {method: what it acts on}.
        notes: sentences on what is left out.
    """

    tasks: dict[str, tuple[float, float]]
    scores: dict[str, list[Array]]
    acts_on: dict[str, str]
    notes: list[str] = field(default_factory=list)

    def iqm(self, method: str) -> Estimate:
        """Interquartile mean of a method's scores."""
        return _estimate(interquartile_mean, self.scores[method])

    def improvement(self, ours: str, theirs: str) -> Estimate:
        """Probability that a run of one method scores higher than a run of another."""
        return _estimate(probability_of_improvement, self.scores[ours], self.scores[theirs])

    def profile(self, method: str) -> tuple[Array, Array, Array]:
        """Share of runs above each of `PROFILE_LEVELS`, with the lower and upper end."""

        def shares(scores: list[Array]) -> Array:
            return performance_profile(scores, PROFILE_LEVELS)

        return shares(self.scores[method]), *bootstrap_interval(shares, self.scores[method])


def aggregate(tables: list[Table], bounds: Bounds) -> Aggregate:
    """Normalised scores of every method that ran on each task with bounds."""
    notes, tasks = [], {}
    acts_on: dict[str, str] = {}
    found: dict[str, dict[str, Array]] = {}
    for table in tables:
        for row in table.rows:
            task = f"{table.task} vs {row.opponent}" if row.opponent else table.task
            ends = limits(table, [row], bounds)
            if ends is None:
                notes.append(
                    f"{task}: no bounds for {table.key} of {row.label}, so these runs are not "
                    f"among the normalised scores. Give some by --bounds."
                )
                continue
            low, high = tasks[task] = ends
            scores = (last_values(row.runs, table.key) - low) / (high - low)
            found.setdefault(row.label, {})[task] = scores
            acts_on[row.label] = SHORT[group_of(row.runs[0].config)]
    complete = {label: s for label, s in found.items() if s.keys() == tasks.keys()}
    lacking: dict[str, list[str]] = {}
    for label in sorted(found.keys() - complete.keys()):
        without = ", ".join(task for task in tasks if task not in found[label])
        lacking.setdefault(without, []).append(label)
    for without, labels in lacking.items():
        verb, they = ("has", "it is") if len(labels) == 1 else ("have", "they are")
        names = ", ".join(labels)
        notes.append(f"{names} {verb} no run on {without}, so {they} not compared over tasks.")
    every = {label: [s[task] for task in tasks] for label, s in complete.items()}
    order = sorted(every, key=lambda label: (-interquartile_mean(every[label]), label))
    return Aggregate(tasks, {label: every[label] for label in order}, acts_on, sorted(notes))


def aggregate_markdown(compared: Aggregate) -> str:
    """The comparison over tasks as text: interquartile means, and improvement by the best."""
    tasks = ", ".join(f"{t} [{low:g}, {high:g}]" for t, (low, high) in compared.tasks.items())
    best = next(iter(compared.scores))
    lines = [
        f"## {len(compared.tasks)} tasks",
        f"Scores are 0 at the lower and 1 at the upper bound: {tasks}. Last column: how often a "
        f"run of {best} scores higher.",
        "",
        f"| method | acts on | runs | IQM | 95 % interval | {best} is higher |",
        "|---|---|---|---|---|---|",
    ]
    for method, scores in compared.scores.items():
        iqm = compared.iqm(method)
        cells = [method, compared.acts_on[method], str(sum(map(len, scores))), f"{iqm.value:.3f}"]
        cells.append(_ends(iqm.interval, 3))
        if method == best:
            cells.append("-")
        else:
            p = compared.improvement(best, method)
            cells.append(f"{p.value:.2f} ({_ends(p.interval, 2)})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ends(interval: Interval, digits: int) -> str:
    """An interval; a dash where one seed for each task gives none."""
    if np.isnan(interval.low):
        return "-"
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
