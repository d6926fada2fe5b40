"""Reading what runs left behind: `config.yaml`, `metrics.csv` and `evaluations.csv` of each folder.

No database and no other part of the framework is needed, so that results can be read anywhere.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from utils.errors import UserError
from utils.run_log import opponent_label

Curve = tuple[np.ndarray, np.ndarray]  # environment steps [n], values [n]


@dataclass(frozen=True)
class RunRecord:
    """One run's folder, read.

    Attributes:
        path: the folder.
        config: what `config.yaml` says.
        metrics: {key: (environment steps, values)}, in the order of the steps.
        evaluations: {key: value} of the last `evaluate=True` of its latest checkpoint under its own
            settings, empty without one. An evaluation made before the run went on does not count.
    """

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Curve]
    evaluations: dict[str, float]

    @property
    def method(self) -> str:
        """The algorithm's name, with the run's own name where one was given."""
        label = self.config["name"]
        return f"{self.config['alg_name']} ({label})" if label else str(self.config["alg_name"])

    @property
    def opponent(self) -> str:
        """Whom the learners played against; empty in an environment without opponents."""
        return opponent_label(self.config.get("env_args") or {})

    @property
    def env_steps(self) -> int:
        """Environment steps of the last row."""
        return _end(self.metrics)


def find_runs(*roots: str | Path) -> list[RunRecord]:
    """Every run below the given folders, sorted by path.

    Raises:
        FileNotFoundError: if there is none.
    """
    files = sorted({p for root in roots for p in Path(root).rglob("metrics.csv")})
    runs = [read_run(p.parent) for p in files if (p.parent / "config.yaml").is_file()]
    if not runs:
        raise FileNotFoundError(f"no runs below {', '.join(map(str, roots))}.")
    return runs


def read_run(path: Path) -> RunRecord:
    """Read one run's folder; the last line of a killed run may be incomplete and is left out."""
    config = yaml.safe_load((path / "config.yaml").read_text())
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with (path / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["value"]:
                rows[row["key"]].append((float(row["env_steps"]), float(row["value"])))
    metrics = {
        k: (np.array([s for s, _ in v]), np.array([x for _, x in v])) for k, v in rows.items()
    }
    evaluations: dict[str, float] = {}
    if (path / "evaluations.csv").is_file():
        with (path / "evaluations.csv").open(newline="") as file:
            evaluations = {
                row["key"]: float(row["value"])
                for row in csv.DictReader(file)
                if row["checkpoint"] == "latest.pt"
                and not row["changes"]
                and float(row["env_steps"]) >= _end(metrics)
            }
    return RunRecord(path, config, metrics, evaluations)


def _end(metrics: dict[str, Curve]) -> int:
    """Environment steps of the last row."""
    return int(max((steps[-1] for steps, _ in metrics.values()), default=0))


def by_method(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs grouped by method, and by opponent: {"iql" or "iql vs scripted": runs}."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        groups[f"{run.method} vs {run.opponent}" if run.opponent else run.method].append(run)
    return dict(groups)


def require_metric(runs: Iterable[RunRecord], key: str) -> None:
    """Refuse runs that lack a metric.

    Raises:
        UserError: naming the metric, the first run without it, and what its greedy tests measure.
    """
    for run in runs:
        if key not in run.metrics:
            tests = sorted(name for name in run.metrics if name.startswith("test_"))
            raise UserError(
                f"{run.path} has no '{key}'. Choose another metric with --key, or folders of one "
                f"environment. Its greedy tests measure: {', '.join(tests) or 'nothing yet'}."
            )


def last_values(runs: list[RunRecord], key: str) -> np.ndarray:
    """A metric of the last evaluation of each run, or of its last greedy test, [runs]."""
    return np.array([r.evaluations.get(key, r.metrics[key][1][-1]) for r in runs])


def cpu_seconds(runs: list[RunRecord]) -> float:
    """CPU seconds of a whole run with its tests, the median."""
    return float(np.median([run.metrics["cpu_seconds"][1][-1] for run in runs]))


def n_weights(run: RunRecord) -> int:
    """Weights that the run trains, those of its mixer and critics included.

    Raises:
        UserError: if the latest checkpoint is missing or damaged.
    """
    from utils.checkpoint import LATEST, load_checkpoint  # imports PyTorch

    online = load_checkpoint(run.path / "checkpoints" / LATEST)["learner"]["online"]
    return sum(weights.numel() for weights in online.values())


def curves_on_grid(
    runs: list[RunRecord], key: str, n_points: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """A metric of several runs at common environment steps.

    Args:
        runs: runs of one method against one opponent.
        key: the metric.
        n_points: points of the grid, from 0 to the shortest run's end.

    Returns:
        grid [n_points] and values [runs, n_points], linearly interpolated.

    Raises:
        KeyError: if a run never logged the metric.
    """
    curves = [run.metrics[key] for run in runs]
    grid = np.linspace(0, min(steps[-1] for steps, _ in curves), n_points)
    return grid, np.stack([np.interp(grid, steps, values) for steps, values in curves])


def reached(run: RunRecord, key: str, level: float, clock: str = "cpu_seconds") -> float:
    """When a metric first reached a level: the value of `clock` then, inf if it never did."""
    steps, values = run.metrics[key]
    above = np.flatnonzero(values >= level)
    if len(above) == 0:
        return float("inf")
    clock_steps, clock_values = run.metrics[clock]
    return float(np.interp(steps[above[0]], clock_steps, clock_values))
