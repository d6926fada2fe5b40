"""What a value of a task's metric means: bounds of normalised scores, and anchors.

Anchors are values that a reader knows without training: random play, a rule, a bound that was
proved. Both are in `bounds.yaml`, and in a file of the user; they hold for the settings of the
environment, and the ways to add up its agents' rewards, that stand beside them.
"""

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from analysis.tables import Row, Table
from utils.errors import UserError
from utils.files import reason

OURS = Path(__file__).with_name("bounds.yaml")

Entry = dict[str, Any]  # bounds, env_args, reward_aggregation, anchors, anchors_env_args, from
Bounds = dict[str, dict[str, Entry]]  # task: metric: entry


def read_bounds(path: Path | None) -> Bounds:
    """The bounds and anchors of this repository, and those of a file, which go before.

    Raises:
        UserError: if the file cannot be read or an entry is not complete.
    """
    bounds: Bounds = yaml.safe_load(OURS.read_text(encoding="utf-8"))
    if path is None:
        return bounds
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        for task, metrics in given.items():
            for entry in metrics.values():
                low, high = map(float, entry["bounds"])
                if not low < high:
                    raise ValueError(f"{task}: {low} is not below {high}")
                entry["anchors"] = {
                    str(k): float(x) for k, x in (entry.get("anchors") or {}).items()
                }
            bounds[task] = {**bounds.get(task, {}), **metrics}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise UserError(
            f"--bounds {path} cannot be used ({reason(error)}). Write entries like "
            f"`my_task: {{test_return_mean: {{bounds: [0, 10]}}}}`, the lower bound first."
        ) from error
    return bounds


def limits(table: Table, rows: list[Row], bounds: Bounds) -> tuple[float, float] | None:
    """The bounds that hold for all runs of these rows; None without."""
    entry = _entry(table, rows, bounds)
    if entry is None:
        return None
    low, high = entry["bounds"]
    return float(low), float(high)


def with_anchors(table: Table, bounds: Bounds) -> Table:
    """The same table with the anchors that hold for all of its runs."""
    entry = _entry(table, table.rows, bounds)
    if entry is None or not _hold(table.rows, entry.get("anchors_env_args", {})):
        return table
    return dataclasses.replace(table, anchors=entry.get("anchors", {}))


def _entry(table: Table, rows: list[Row], bounds: Bounds) -> Entry | None:
    """What is known of a table's metric, if it holds for all runs of these rows."""
    entry = bounds.get(table.task, {}).get(table.key)
    if entry is None or not _hold(rows, entry.get("env_args", {})):
        return None
    sums = entry.get("reward_aggregation")
    found = {run.config.get("reward_aggregation") for row in rows for run in row.runs}
    return entry if sums is None or found <= {None, *sums} else None  # None: not recorded


def _hold(rows: list[Row], env_args: dict[str, Any]) -> bool:
    """Whether all runs of these rows have these settings of the environment."""
    settings = [run.config.get("env_args") or {} for row in rows for run in row.runs]
    return all(own.get(key) == value for own in settings for key, value in env_args.items())
