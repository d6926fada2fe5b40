"""`metrics.csv`, the record that resuming, suites and reports read; every run has it.

A row is written whole and flushed, so that a killed run leaves a readable prefix. `position` lets a
resumed run remove the rows after its checkpoint.
"""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from records.logger import Counts, Logger, RunEnd, RunStart, cannot_write
from records.metrics import COLUMNS, METRICS
from utils.registry import LOGGERS


@LOGGERS.register("csv")
class CsvLogger(Logger):
    """Writes `metrics.csv`: env_steps, episodes, updates, seconds, key, value."""

    path: Path
    _file: TextIO | None = None
    _writer: Any

    def start(self, run: RunStart) -> None:
        """Write the header, or remove the rows after the checkpoint."""
        self.path = run.run_dir / METRICS
        with self._writing():
            self._file = self.path.open("w" if run.position is None else "r+", newline="")
            self._writer = csv.writer(self._file, lineterminator="\n")
            if run.position is None:
                self._writer.writerow(COLUMNS)
            else:
                end = min(run.position, self.path.stat().st_size)  # less after a machine's crash
                self._file.seek(end)
                self._file.truncate()
            self._file.flush()

    def log(self, counts: Counts, seconds: float, metrics: dict[str, float]) -> None:
        """Write a row for each metric."""
        assert self._file is not None
        head = (*counts, f"{seconds:.2f}")
        with self._writing():
            self._writer.writerows((*head, key, f"{value:.9g}") for key, value in metrics.items())
            self._file.flush()
            os.stat(self.path)  # a file that was deleted takes rows all the same

    def flush(self) -> int:
        """Bring all rows to the disk; returns the bytes written so far.

        Raises:
            UserError: if the disk does not take them.
        """
        assert self._file is not None
        with self._writing():
            os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self, end: RunEnd) -> None:
        """Flush and close.

        Raises:
            UserError: if the last rows cannot be written.
        """
        if self._file is not None:
            with self._writing():
                self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self.path, error) from error
