"""Content of `metrics.csv`: its columns, the metrics of every run, and how its rows are read.

It is in long form: env_steps, episodes, updates, seconds, key, value. `loggers/csv.py` writes it.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from utils.errors import UserError

METRICS = "metrics.csv"
COLUMNS = ("env_steps", "episodes", "updates", "seconds", "key", "value")

RUN_METRICS = {
    "return_mean": "mean undiscounted return of the episodes collected since the last row, "
    "averaged over agents where rewards are individual",
    "return_std": "standard deviation of those returns over episodes",
    "ep_length_mean": "mean length of those episodes in environment steps",
    "<metric>_mean": "mean of an environment's metric, such as success, over those episodes",
    "<ratio>": "mean of one metric divided by the mean of another, over those episodes",
    "test_return_mean": "as return_mean, over the episodes of a greedy test",
    "test_return_std": "as return_std, over the episodes of a greedy test",
    "test_ep_length_mean": "as ep_length_mean, over the episodes of a greedy test",
    "test_<metric>_mean": "mean of an environment's metric over the episodes of a greedy test",
    "test_<ratio>": "as <ratio>, over the episodes of a greedy test",
    "lost_episodes": "episodes lost by faults of environment workers since the last row, in no "
    "other number; only where there are some",
    "test_lost_episodes": "as lost_episodes, in a greedy test",
    "steps_per_s": "environment steps per second of wall time since the last row, with training",
    "startup_cpu_seconds": "CPU seconds from the start of the process to the first environment "
    "step, once",
    "cpu_seconds": "CPU seconds of the training process so far (all threads, without workers)",
    "time_train": "seconds spent in gradient steps since the last row",
}

# Keys that differ between two runs of the same seed.
TIMINGS = (
    "startup_cpu_seconds",
    "steps_per_s",
    "cpu_seconds",
    "time_act",
    "time_env",
    "time_store",
    "time_train",
)


class Row(NamedTuple):
    """One number of `metrics.csv`."""

    env_steps: int
    episodes: int
    updates: int
    seconds: float
    key: str
    value: float


def read_rows(path: Path, start: int = 0) -> tuple[list[Row], int]:
    """Every whole row of a `metrics.csv`, which may be growing.

    Args:
        path: the file; of one that does not exist yet there are no rows.
        start: bytes to pass over, as an earlier reading returned them.

    Returns:
        The rows, and the bytes of the file that have been read.

    Raises:
        UserError: if the file is damaged or cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
    except FileNotFoundError:  # a run just begun
        return [], 0
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error}). Restore the file.") from error
    data = data[: data.rfind(b"\n") + 1]
    return list(_rows(path, data, start == 0)), start + len(data)


def _rows(path: Path, data: bytes, has_header: bool) -> Iterator[Row]:
    line = 1
    try:
        for line, row in enumerate(csv.reader(data.decode().splitlines()), 1):
            env_steps, episodes, updates, seconds, key, value = row
            if line > has_header:
                numbers = (int(env_steps), int(episodes), int(updates), float(seconds))
                yield Row(*numbers, key, float(value))
    except (ValueError, csv.Error) as error:
        raise UserError(
            f"{path}, line {line}: cannot be read ({error}). Restore the file."
        ) from error
