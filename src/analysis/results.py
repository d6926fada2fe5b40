"""Reading what runs left behind: `config.yaml`, `metrics.csv` and `evaluations.csv` of each folder.

No database is needed and no PyTorch, so that results can be read anywhere.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from config.history import trained_before
from records.evaluations import opponent_label
from records.run_dir import sacred_records, task_name
from utils.errors import UserError
from utils.files import reason

Curve = tuple[np.ndarray, np.ndarray]  # environment steps [n], values [n]
YAML_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # ten times faster
NEEDED = ("alg_name", "env_name", "env", "name", "seed", "t_max")  # settings that a report reads

CLOCKS = {  # what curves can be drawn against
    "env_steps": "environment steps",
    "cpu_seconds": "CPU seconds, tests included",
    "seconds": "seconds, tests included",
}


@dataclass(frozen=True)
class Evaluation:
    """One number of one `evaluate=True`, a row of `evaluations.csv`."""

    checkpoint: str  # file name of the checkpoint
    env_steps: int  # environment steps it was trained for
    n_episodes: int
    changes: str  # settings that differed from the run's own; empty: none
    key: str
    value: float


@dataclass(frozen=True, eq=False)
class RunRecord:
    """One run's folder, read.

    Attributes:
        path: the folder.
        config: what `config.yaml` says.
        metrics: {key: (environment steps, values)}, in the order of the steps.
        evaluations: {key: value} of the last `evaluate=True` of its latest checkpoint under its own
            settings, empty without one. One made before the run was resumed does not count.
        changed_evaluations: {changed settings: {key: value}}, the same under other settings.
        place: the folder as it is shown to the reader; of a run in an archive, its place there.
        before: other settings that it was trained with before it was resumed with those of
            `config`, as text; empty: none.
    """

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Curve]
    evaluations: dict[str, float]
    changed_evaluations: dict[str, dict[str, float]]
    place: str
    before: str = ""

    @property
    def method(self) -> str:
        """The algorithm's name, with the run's own name where one was given."""
        return method_label(str(self.config["alg_name"]), self.config["name"])

    @property
    def task(self) -> str:
        """The task that the run was trained on, as the folder of its results says it."""
        return task_name(str(self.config["env_name"]), self.config.get("env_args") or {})

    @property
    def opponent(self) -> str:
        """Whom the learners played against; empty in an environment without opponents."""
        return opponent_label(self.config.get("env_args") or {})

    @property
    def env_steps(self) -> int:
        """Environment steps of the last row."""
        return _end(self.metrics)

    @property
    def is_finished(self) -> bool:
        """Whether the run was trained for `t_max` environment steps."""
        return self.env_steps >= int(self.config["t_max"])

    @property
    def began(self) -> tuple[str, int]:
        """Sorts runs by age: when the run began as Sacred recorded it, and its folder's number."""
        number = self.path.name.rpartition("_")[2]
        return _start_time(self.path), int(number) if number.isdigit() else 0


def method_label(alg: str, name: str) -> str:
    """How tables call a method: the algorithm, with the run's name where one was given."""
    return f"{alg} ({name})" if name else alg


def find_runs(*roots: str | Path) -> tuple[list[RunRecord], list[str]]:
    """Every run below the given folders, sorted by path, and a sentence on each that is damaged.

    Raises:
        UserError: if there is none, or a folder is missing.
    """
    missing = [str(root) for root in roots if not Path(root).exists()]
    if missing:
        raise UserError(
            f"There is no folder {', '.join(missing)}. Give folders that hold runs, such as "
            f"results/topk."
        )
    files = {
        p.parent.resolve(): p.parent for root in roots for p in Path(root).rglob("metrics.csv")
    }
    runs, notes = [], []
    for path in sorted(files.values()):
        if not (path / "config.yaml").is_file():
            continue
        try:
            runs.append(read_run(path))
        except UserError as error:
            notes.append(f"Left out: {error}")
    if not runs:
        raise UserError(
            "\n".join([f"There are no runs below {', '.join(map(str, roots))}.", *notes])
        )
    return runs, notes


def read_run(path: Path) -> RunRecord:
    """Read one run's folder; the last line of a killed run may be incomplete and is left out.

    Raises:
        UserError: if a file in it is damaged.
    """
    try:
        config = yaml.load((path / "config.yaml").read_text(encoding="utf-8"), YAML_LOADER)
        if not isinstance(config, dict):
            raise ValueError("config.yaml is no mapping")
        lacks = [key for key in NEEDED if key not in config]
        if lacks:
            raise ValueError(f"config.yaml lacks {', '.join(lacks)}")
        metrics = _read_metrics(path / "metrics.csv")
        evaluations: dict[str, dict[str, float]] = defaultdict(dict)
        for row in read_evaluations(path):
            if row.checkpoint == "latest.pt" and row.env_steps >= _end(metrics):
                evaluations[row.changes][row.key] = row.value
        before = trained_before(path, config)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"the run in {path} cannot be read ({reason(error)}).") from error
    as_trained = evaluations.pop("", {})
    return RunRecord(path, config, metrics, as_trained, dict(evaluations), str(path), before)


def read_evaluations(path: Path) -> list[Evaluation]:
    """The rows of a run's `evaluations.csv`, the oldest first; none if it was never evaluated."""
    file = path / "evaluations.csv"
    rows = _whole_rows(file) if file.is_file() else []
    return [
        Evaluation(
            row["checkpoint"],
            int(row["env_steps"]),
            int(row["n_episodes"]),
            row["changes"],
            row["key"],
            float(row["value"]),
        )
        for row in rows
    ]


def n_weights(run: RunRecord) -> int:
    """Weights that the run trains, those of its mixer and critics included.

    Raises:
        UserError: if the latest checkpoint is missing or damaged.
    """
    from records.checkpoint import LATEST, load_checkpoint  # imports PyTorch

    online = load_checkpoint(run.path / "checkpoints" / LATEST)["learner"]["online"]
    return sum(weights.numel() for weights in online.values())


def last_values(runs: list[RunRecord], key: str) -> np.ndarray:
    """A metric of the last evaluation of each run, or of its last greedy test, [runs]."""
    return np.array([r.evaluations.get(key, r.metrics[key][1][-1]) for r in runs])


def mean_return(runs: list[RunRecord]) -> float:
    """Mean return of the same episodes as `last_values`; NaN if a run did not measure it."""
    if not all("test_return_mean" in run.metrics for run in runs):
        return np.nan
    return float(last_values(runs, "test_return_mean").mean())


def cpu_seconds(runs: Iterable[RunRecord]) -> float:
    """CPU seconds of a whole run with its tests, the median; NaN if a run did not log them."""
    used = [
        run.metrics["cpu_seconds"][1][-1] if "cpu_seconds" in run.metrics else np.nan
        for run in runs
    ]
    return float(np.median(used))


def curves_on_grid(
    runs: list[RunRecord], key: str, n_points: int = 200, clock: str = "env_steps"
) -> tuple[np.ndarray, np.ndarray]:
    """A metric of several runs at common environment steps, or at common values of a clock.

    Args:
        runs: runs of one configuration.
        key: the metric.
        n_points: points of the grid, from where all runs have logged the metric to the end of the
            shortest one.
        clock: `env_steps`, or a metric that grows with them, as `cpu_seconds`.

    Returns:
        grid [n_points] and values [runs, n_points], linearly interpolated.

    Raises:
        KeyError: if a run never logged the metric or the clock.
    """
    curves = [run.metrics[key] for run in runs]
    if clock != "env_steps":
        clocks = [run.metrics[clock] for run in runs]
        curves = [(np.interp(c[0], *at), c[1]) for c, at in zip(curves, clocks, strict=True)]
    end = min(steps[-1] for steps, _ in curves)
    grid = np.linspace(min(max(steps[0] for steps, _ in curves), end), end, n_points)
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in curves])


def reached(run: RunRecord, key: str, level: float, clock: str = "cpu_seconds") -> float:
    """When a metric first reached a level: the value of `clock` then, inf if it never did."""
    steps, values = run.metrics[key]
    above = np.flatnonzero(values >= level)
    if len(above) == 0 or clock not in run.metrics:
        return float("inf")
    clock_steps, clock_values = run.metrics[clock]
    return float(np.interp(steps[above[0]], clock_steps, clock_values))


def _read_metrics(file: Path) -> dict[str, Curve]:
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in _whole_rows(file):
        rows[row["key"]].append((float(row["env_steps"]), float(row["value"])))
    return {k: (np.array([s for s, _ in v]), np.array([x for _, x in v])) for k, v in rows.items()}


def _whole_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, without a last one that a killed process did not end."""
    text = file.read_text(encoding="utf-8")
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))


def _end(metrics: dict[str, Curve]) -> int:
    """Environment steps of the last row."""
    return int(max((steps[-1] for steps, _ in metrics.values()), default=0))


def _start_time(run_dir: Path) -> str:
    """When a run began, as text that sorts; empty if no record says it."""
    for record in sacred_records(run_dir)[:1]:
        try:
            return str(json.loads((record / "run.json").read_text())["start_time"])
        except (OSError, ValueError, KeyError):
            break
    return ""
