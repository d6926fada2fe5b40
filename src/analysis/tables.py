"""From runs to the rows of a table: one table for each task, one row for each configuration.

A configuration is everything that a run recorded except its seed and what only says how the run was
recorded. A run that was trained with other settings before is one of another configuration. Notes
say which runs are left out, and why.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from analysis.older_records import of_one_version
from analysis.results import RunRecord
from config.schema import BESIDE_LEARNING
from utils.errors import UserError

# Settings that make numbers of different methods incomparable: a row that deviates says so.
PROTOCOL = ("t_max", "reward_aggregation", "env_args")
# Shown in a column, see `records.evaluations.opponent_label`.
OPPONENT = tuple(f"env_args.{x}" for x in ("opponent", "opponent_path", "protocol", "learners"))
# The first of these that the greedy tests of a task measure is the task's metric.
METRICS = ("test_success_mean", "test_value_ratio", "test_return_mean")
# (task, metric): the level whose time a table shows; the paper's figure for AGP.
LEVELS = {("topk", "test_success_mean"): 0.957}
MOST_NAMED = 5  # runs that one note names

Settings = dict[str, Any]  # dotted key: value


@dataclass(frozen=True)
class Row:
    """The runs of one configuration, one for each seed.

    Attributes:
        label: the method, the run's name, and the settings in which it differs from the other rows.
        runs: the runs, by seed.
    """

    label: str
    runs: list[RunRecord]

    @property
    def alg(self) -> str:
        """The algorithm's name."""
        return str(self.runs[0].config["alg_name"])

    @property
    def opponent(self) -> str:
        """Whom the learners played against; empty in an environment without opponents."""
        return self.runs[0].opponent

    @property
    def full_label(self) -> str:
        """The label, with the opponent if there is one."""
        return f"{self.label} vs {self.opponent}" if self.opponent else self.label


@dataclass(frozen=True)
class Table:
    """The rows of one task, which can be compared.

    Attributes:
        task: the task's name.
        key: the metric.
        rows: one for each configuration; none if no run can be shown.
        notes: sentences on what is left out and on what the rows have in common.
        anchors: {name: value of the metric} that a reader knows without training.
    """

    task: str
    key: str
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    anchors: dict[str, float] = field(default_factory=dict)


def tables(runs: Iterable[RunRecord], key: str | None, unfinished: bool = False) -> list[Table]:
    """One table for each task.

    Args:
        runs: runs of any tasks.
        key: the metric; None: the first of `METRICS` that the task's greedy tests measure.
        unfinished: also take runs that have not reached their `t_max`.

    Raises:
        UserError: if no run can be shown.
    """
    tasks: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for run in of_one_version(runs):
        tasks[run.task, str(run.config["env"])].append(run)
    names = Counter(name for name, _ in tasks)
    found = []
    for name, env in sorted(tasks):  # a name stands for two environments after `with env=...`
        title = name if names[name] == 1 else f"{name} (env={env})"
        found.append(_table(title, tasks[name, env], key, unfinished))
    if not any(table.rows for table in found):
        notes = [f"{table.task}: {note}" for table in found for note in table.notes]
        raise UserError("\n".join(["There is nothing to show.", *notes]))
    return found


def default_metric(runs: Iterable[RunRecord]) -> str:
    """The first of `METRICS` that the greedy tests of these runs measure."""
    measured = {key for run in runs for key in run.metrics}
    return next((key for key in METRICS if key in measured), METRICS[-1])


def settings_of(run: RunRecord) -> Settings:
    """The settings that decide what a run learns and measures, except its seed; dotted keys.

    `resumed` says with which others it was trained before.
    """
    beside = {"seed", *BESIDE_LEARNING}
    settings = dict(_leaves({k: v for k, v in run.config.items() if k not in beside}))
    return settings | {"resumed": f"({run.before})" if run.before else "no"}


def _table(task: str, runs: list[RunRecord], key: str | None, unfinished: bool) -> Table:
    notes = []
    key = key or default_metric(runs)
    left_out = [] if unfinished else [run for run in runs if not run.is_finished]
    if left_out:
        notes.append(
            f"Left out: {_count(left_out, 'unfinished run')}, {_places(left_out, key)}. "
            f"--unfinished includes them."
        )
    runs = [run for run in runs if run not in left_out]
    without = [run for run in runs if key not in run.metrics]
    if without:
        notes.append(
            f"Left out: {_count(without, 'run')} without '{key}', {_places(without, key)}."
        )
        tests = sorted({x for run in without for x in run.metrics if x.startswith("test_")})
        notes[-1] += f" Greedy tests there measure: {', '.join(tests) or 'nothing yet'}."
    incomplete = [run for run in runs if not run.is_finished and run not in without]
    if incomplete:
        notes.append(f"Unfinished: {_places(incomplete, key)}.")
    groups = _groups(run for run in runs if run not in without)
    for group in groups:
        notes += _drop_repeated_seeds(group)
    labels, common = _labels(groups)
    rows = [Row(label, group) for label, group in zip(labels, groups, strict=True)]
    resumed = [f"{run.place} ({run.before})" for row in rows for run in row.runs if run.before]
    if resumed:
        notes.append(f"Resumed with other settings: {', '.join(resumed)}.")
    notes += [*common, *_mixed_sources(rows, key)]
    return Table(task, key, rows, notes)


def _groups(runs: Iterable[RunRecord]) -> list[list[RunRecord]]:
    """Runs of the same settings, in the order in which they are found."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[json.dumps(settings_of(run), sort_keys=True, default=str)].append(run)
    return list(groups.values())


def _drop_repeated_seeds(group: list[RunRecord]) -> list[str]:
    """Keep one run for each seed, a finished one if there is, else the newest; say which."""
    notes = []
    by_seed: dict[int, list[RunRecord]] = defaultdict(list)
    for run in sorted(group, key=lambda run: (run.is_finished, run.began, str(run.path))):
        by_seed[int(run.config["seed"])].append(run)
    for seed, (*older, newest) in by_seed.items():
        if older:
            notes.append(
                f"Left out: {', '.join(run.place for run in older)}. {newest.method} ran with "
                f"seed {seed} more than once under the same settings; {newest.place} counts."
            )
    group[:] = [by_seed[seed][-1] for seed in sorted(by_seed)]
    return notes


def _labels(groups: list[list[RunRecord]]) -> tuple[list[str], list[str]]:
    """A label for each group, all different, and a note on what groups without a mark share."""
    settings = [settings_of(group[0]) for group in groups]
    marks: list[dict[str, str]] = [{} for _ in groups]
    common = []
    for key in differing(settings):
        if key in OPPONENT or key.split(".")[0] not in PROTOCOL:
            continue
        values = [shown(s, key) for s in settings]
        usual = Counter(values).most_common(1)[0][0]
        common.append(f"{key}={usual}")
        for mark, value in zip(marks, values, strict=True):
            if value != usual:
                mark[key] = value
    alike: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        alike[group[0].method, group[0].opponent].append(i)
    for places in alike.values():
        for key in differing([settings[i] for i in places]):
            for i in places:
                marks[i][key] = shown(settings[i], key)
    labels = [
        ", ".join([group[0].method, *(f"{key}={value}" for key, value in mark.items())])
        for group, mark in zip(groups, marks, strict=True)
    ]
    return labels, [f"Unless a row says otherwise: {', '.join(common)}."] if common else []


def _mixed_sources(rows: list[Row], key: str) -> list[str]:
    """Notes on rows in which some values are of an evaluation and others of a test in training."""
    notes = []
    for row in rows:
        tested = [run for run in row.runs if key not in run.evaluations]
        if 0 < len(tested) < len(row.runs):
            names = ", ".join(run.place for run in tested)
            notes.append(
                f"{row.full_label}: the values are those of evaluations (evaluate=True), but of "
                f"the last test in training for {names}."
            )
    return notes


def differing(settings: list[Settings]) -> list[str]:
    """Keys that do not have the same value everywhere, in the order of the settings."""
    keys = dict.fromkeys(key for s in settings for key in s)
    return [key for key in keys if len({shown(s, key) for s in settings}) > 1]


def shown(settings: Settings, key: str) -> str:
    """A value as it is written after `with`."""
    if key not in settings:
        return "(not recorded)"
    value = settings[key]
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _leaves(data: Settings, path: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted keys and values; an empty mapping counts as a value."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _count(runs: list[RunRecord], noun: str) -> str:
    return f"{len(runs)} {noun}{'s' if len(runs) > 1 else ''}"


def _places(runs: list[RunRecord], key: str) -> str:
    """Each run's folder and how far it has come."""
    parts = []
    for run in runs[:MOST_NAMED]:
        tested = "" if key in run.metrics else ", before its first test"
        steps = f"{run.env_steps:,} of {int(run.config['t_max']):,} steps"
        parts.append(f"{run.place} ({steps}{tested})")
    more = len(runs) - MOST_NAMED
    return ", ".join([*parts, f"and {more} more"] if more > 0 else parts)
