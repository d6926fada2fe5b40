"""Differences between two methods, task by task: what one of them has that the other lacks.

With the right pair a difference isolates one cause: methods that see the same and differ in their
graph, methods with the same network that see different things, the same method with and without
memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.numbers import decimals
from analysis.results import last_values
from analysis.statistics import Interval, welch_interval
from analysis.tables import Row, Table
from utils.errors import UserError


@dataclass(frozen=True)
class Difference:
    """A method minus another on one task.

    Attributes:
        name: what the difference stands for.
        pair: labels of the two methods' rows.
        task: the task's name.
        mean: of the first method minus that of the second.
        interval: of the difference.
        n_seeds: of the two methods.
    """

    name: str
    pair: tuple[str, str]
    task: str
    mean: float
    interval: Interval
    n_seeds: tuple[int, int]


def parse_differences(texts: Sequence[str]) -> list[tuple[str, tuple[str, str]]]:
    """The arguments of `--difference`, `NAME=METHOD - METHOD` each, as (name, (first, second)).

    Raises:
        UserError: if one is not written like this.
    """
    found = []
    for text in texts:
        name, _, methods = text.partition("=")
        first, _, second = methods.partition(" - ")
        if not (name.strip() and first.strip() and second.strip()):
            raise UserError(
                f"--difference '{text}' is not a name and two methods. Write it like "
                f'--difference "graph=agp - vdn_joint".'
            )
        found.append((name.strip(), (first.strip(), second.strip())))
    return found


def differences(
    tables: Sequence[Table], wanted: Sequence[tuple[str, tuple[str, str]]]
) -> tuple[list[Difference], list[str]]:
    """Each wanted difference on each task that has both methods.

    Args:
        tables: of the tasks.
        wanted: names, each with the labels of two rows (`agp`, `agp (no_memory)`).

    Returns:
        The differences, and a sentence for each task that lacks one of two methods.

    Raises:
        UserError: if no task has both methods of a difference, or a label stands for several rows.
    """
    found, notes = [], []
    for name, pair in wanted:
        here = []
        for table in tables:
            rows = [_row(table, label) for label in pair]
            missing = [label for label, row in zip(pair, rows, strict=True) if row is None]
            if missing:
                notes.append(f"{name}: {table.task} has no {' and no '.join(missing)}.")
                continue
            first, second = (last_values(row.runs, table.key) for row in rows if row is not None)
            here.append(
                Difference(
                    name,
                    pair,
                    table.task,
                    float(first.mean() - second.mean()),
                    welch_interval(first, second),
                    (len(first), len(second)),
                )
            )
        if not here:
            known = sorted({row.label for table in tables for row in table.rows})
            raise UserError(
                f"--difference {name}: no task has both {pair[0]} and {pair[1]}. "
                f"Rows here: {', '.join(known)}."
            )
        found += here
    return found, notes


def differences_markdown(found: Sequence[Difference]) -> str:
    """A markdown table: a row for each difference, a column for each task."""
    tasks = list(dict.fromkeys(d.task for d in found))
    ends = {task: [(d.mean, *d.interval) for d in found if d.task == task] for task in tasks}
    digits = {task: decimals(np.array(ends[task]), of_rates=3) for task in tasks}
    cells = {(d.name, d.pair, d.task): _text(d, digits[d.task]) for d in found}
    lines = [f"| difference | {' | '.join(tasks)} |", "|---" * (len(tasks) + 1) + "|"]
    for name, pair in dict.fromkeys((d.name, d.pair) for d in found):
        values = [cells.get((name, pair, task), "-") for task in tasks]
        lines.append(f"| {name}: {' - '.join(pair)} | {' | '.join(values)} |")
    return "\n".join(lines)


def _row(table: Table, label: str) -> Row | None:
    """The row of a label: `METHOD`, or `METHOD, SETTING=VALUE` where settings tell rows apart."""
    rows = [row for row in table.rows if label in (row.label, row.full_label)]
    rows = rows or [row for row in table.rows if row.runs[0].method == label]
    if len(rows) > 1:
        raise UserError(
            f"'{label}' stands for {len(rows)} rows of {table.task}: "
            f"{'; '.join(row.full_label for row in rows)}. Write one of these."
        )
    return rows[0] if rows else None


def _text(difference: Difference, digits: int) -> str:
    """The difference, its interval, and seeds where there are too few for one."""
    low, high = difference.interval
    mean = f"{difference.mean:+.{digits}f}"
    if low != low:
        return f"{mean} ({' and '.join(map(str, difference.n_seeds))} seeds)"
    return f"{mean} ({low:+.{digits}f} to {high:+.{digits}f})"
