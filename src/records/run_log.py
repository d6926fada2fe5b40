"""The loggers of a run, as one."""

from types import TracebackType

from records.logger import Counts, Logger, RunEnd, RunStart
from records.loggers.csv import CsvLogger
from utils.errors import UserError


class RunLog:
    """Context manager: starts the loggers of a run, hands them its metrics, and closes them.

    Args:
        loggers: {name: logger}; `csv` is started first.
        run: the run.

    Attributes:
        result: metrics of the last greedy test.

    Raises:
        UserError: if a record cannot be begun or written.
    """

    def __init__(self, loggers: dict[str, Logger], run: RunStart):
        csv = loggers["csv"]
        assert isinstance(csv, CsvLogger)
        self._csv, self._run = csv, run
        self._loggers = [csv, *(logger for logger in loggers.values() if logger is not csv)]
        self._started: list[Logger] = []
        self.result: dict[str, float] = {}

    def __enter__(self) -> "RunLog":
        try:
            for logger in self._loggers:
                self._started.append(logger)
                logger.start(self._run)
        except BaseException as error:
            self._close(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        failure = self._close(error)
        if error is None and failure is not None:
            raise failure

    def write(self, counts: Counts, seconds: float, metrics: dict[str, float]) -> None:
        """Hand metrics to every logger, see `Logger.log`."""
        for logger in self._loggers:
            logger.log(counts, seconds, metrics)

    def flush(self) -> int:
        """Bring all rows of `metrics.csv` to the disk; returns the bytes written so far."""
        return self._csv.flush()

    def _close(self, error: BaseException | None) -> BaseException | None:
        """Close what has been started, and return the first error of all."""
        for logger in self._started:
            try:
                logger.close(RunEnd(self.result, error))
            except UserError as failure:
                error = error or failure
        return error
