"""How far a run under way has come, from the end of its `metrics.csv`."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from analysis.tables import METRICS
from records.console import duration
from records.metrics import COLUMNS

TAIL = 2**16  # bytes read from the end of the file; several tests fit in
SLACK = 2.0  # seconds by which the clocks of two machines may differ


@dataclass(frozen=True)
class Progress:
    """The last rows of a run's metrics.

    Attributes:
        env_steps: environment steps so far.
        seconds: wall time of training so far.
        tests: {metric: value} of the last greedy test; empty before it.
    """

    env_steps: int
    seconds: float
    tests: dict[str, float]

    def left(self, t_max: int) -> str:
        """The time left at the average pace so far."""
        if self.env_steps == 0:
            return "-"
        return duration(self.seconds / self.env_steps * (t_max - self.env_steps))

    @property
    def last_test(self) -> str:
        """The task's metric in the last greedy test, in words."""
        shown = [f"{key} {self.tests[key]:.4g}" for key in METRICS if key in self.tests]
        return shown[0] if shown else "-"


def read_progress(run_dir: Path, since: float = 0.0) -> Progress | None:
    """How far a run has come; None if nothing was written since a moment.

    Args:
        run_dir: the run's folder.
        since: seconds of the epoch; a file that is older belongs to an earlier process.
    """
    try:
        with (run_dir / "metrics.csv").open("rb") as file:
            if os.fstat(file.fileno()).st_mtime < since - SLACK:
                return None
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = text.split("\n")[1:-1]  # the first is the header or a part, the last incomplete
    rows = [row for row in csv.reader(lines) if len(row) == len(COLUMNS)]
    if not rows:
        return None
    end = rows[-1]
    tests = {row[4]: float(row[5]) for row in rows if row[4].startswith("test_")}
    return Progress(int(end[0]), float(end[3]), tests)
