"""Every method on every task, in one table."""

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from analysis.groups import HEADINGS, SHORT, group_of
from analysis.numbers import decimals, number
from analysis.results import cpu_seconds, last_values
from analysis.statistics import Interval, t_interval
from analysis.tables import Row, Table


@dataclass(frozen=True)
class Entry:
    """A method on a task.

    Attributes:
        mean: over seeds.
        interval: of the mean; NaN with one seed.
        leads: whether it is the best on the task, or its interval overlaps the best one's.
        cpu_seconds: of a run, the median over seeds; NaN if not measured.
        digits: decimals of the column's numbers.
    """

    mean: float
    interval: Interval
    leads: bool
    cpu_seconds: float
    digits: int

    @property
    def text(self) -> str:
        """Mean and half-width."""
        width = (self.interval.high - self.interval.low) / 2
        mean = number(self.mean, self.digits)
        return mean if math.isnan(width) else f"{mean} ± {number(width, self.digits)}"


@dataclass(frozen=True)
class Overview:
    """A table with a row for each method.

    Attributes:
        columns: {task, with its opponent: metric}.
        acts_on: {method: what it acts on}, by that, then by the mean rank over the columns.
        entries: {(method, column): entry}.
    """

    columns: dict[str, str]
    acts_on: dict[str, str]
    entries: dict[tuple[str, str], Entry]

    @property
    def has_one_metric(self) -> bool:
        """Whether all columns have the same metric; else each heading names it."""
        return len(set(self.columns.values())) == 1

    @property
    def head(self) -> list[str]:
        """The columns' headings."""
        one = self.has_one_metric
        names = [name if one else f"{name}, {key}" for name, key in self.columns.items()]
        return ["method", "acts on", *names, "CPU s"]

    @property
    def explanation(self) -> str:
        """What the numbers are, and which are bold."""
        metric = f"{next(iter(self.columns.values()))} in " if self.has_one_metric else ""
        return (
            f"Means over seeds of {metric}the last evaluation or greedy test, with the half-width "
            f"of the 95 % t-interval. Bold: the best of a column, and methods whose interval "
            f"overlaps its interval. CPU s: of a run, mean over the columns."
        )

    def seconds(self, method: str) -> str:
        """CPU seconds of a run, the mean over the columns that have the method."""
        used = [e.cpu_seconds for (name, _), e in self.entries.items() if name == method]
        mean = float(np.mean(used))
        return "-" if math.isnan(mean) else f"{mean:.0f}"

    def cells(self, method: str) -> list[tuple[str, bool]]:
        """The text of each column, and whether it is bold."""
        found = [self.entries.get((method, column)) for column in self.columns]
        return [(e.text, e.leads) if e else ("-", False) for e in found]

    def markdown(self) -> str:
        """The table, with a heading."""
        lines = [f"| {' | '.join(self.head)} |", "|---" * len(self.head) + "|"]
        for method, what in self.acts_on.items():
            cells = [f"**{text}**" if bold else text for text, bold in self.cells(method)]
            lines.append(f"| {' | '.join([method, what, *cells, self.seconds(method)])} |")
        return "\n".join(["## Every task", "", self.explanation, "", *lines])


def overview(tables: list[Table]) -> Overview:
    """Every row of these tables; rows against different opponents have separate columns."""
    columns: dict[str, str] = {}
    rows: dict[str, dict[str, Row]] = defaultdict(dict)
    for table in tables:
        for row in table.rows:
            column = f"{table.task} vs {row.opponent}" if row.opponent else table.task
            columns[column] = table.key
            rows[column][row.label] = row
    groups = {m: group_of(row.runs[0].config) for c in rows.values() for m, row in c.items()}
    entries: dict[tuple[str, str], Entry] = {}
    ranks: dict[str, list[int]] = defaultdict(list)
    for column, found in rows.items():
        for rank, (method, entry) in enumerate(_entries(found, columns[column])):
            entries[method, column] = entry
            ranks[method].append(rank)
    order = sorted(groups, key=lambda m: (list(HEADINGS).index(groups[m]), np.mean(ranks[m]), m))
    return Overview(columns, {m: SHORT[groups[m]] for m in order}, entries)


def _entries(rows: dict[str, Row], key: str) -> list[tuple[str, Entry]]:
    """Methods and entries of a column, the best first."""
    values = {method: last_values(row.runs, key) for method, row in rows.items()}
    means = {method: float(v.mean()) for method, v in values.items()}
    intervals = {method: t_interval(v) for method, v in values.items()}
    order = sorted(means, key=lambda m: math.inf if math.isnan(means[m]) else -means[m])
    lowest = intervals[order[0]].low
    leads = {m: m == order[0] or intervals[m].high >= lowest for m in order}
    digits = decimals(*values.values(), of_rates=3)
    return [
        (m, Entry(means[m], intervals[m], leads[m], cpu_seconds(rows[m].runs), digits))
        for m in order
    ]
