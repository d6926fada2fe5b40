"""A record of Sacred in the run's folder, `sacred/`: one folder for each start of the run.

It holds configuration, host, git commit, status, result and metrics. The record in MongoDB
(`records/mongodb/`) is made from it.
"""

import subprocess
import sys
import threading
import traceback
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from records.logger import Counts, Logger, RunEnd, RunStart
from utils.invocation import DISTRIBUTION, IS_INSTALLED, REPOSITORY, SOURCE
from utils.registry import LOGGERS

if TYPE_CHECKING:
    from records.disk_record import DiskRecord

BEAT_SECONDS = 10.0  # between two writings
COMMAND = "experiment_main"  # what Sacred calls the function that trains


@LOGGERS.register("sacred")
class SacredLogger(Logger):
    """Hands a run's events to Sacred's observer of the disk, as Sacred's `Run` does.

    Sacred would run the training itself; here the training is one of several things that are
    logged, so this calls the observer instead.
    """

    _record: "DiskRecord"
    _beat: threading.Thread | None = None

    def start(self, run: RunStart) -> None:
        """Begin a record, and write it every ten seconds from then on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Sacred 0.8.7 imports pkg_resources, which warns
            from sacred import Experiment
            from sacred.host_info import get_host_info
            from sacred.metrics_logger import MetricsLogger
            from sacred.utils import IntervalTimer

            from records.disk_record import DiskRecord

            # A repository around an installed package is not that of its code.
            code, git = (SOURCE, False) if IS_INSTALLED else (REPOSITORY, _git_answers())
            experiment = Experiment(run.name, base_dir=str(code), save_git_info=git)
            if IS_INSTALLED:
                experiment.add_package_dependency(DISTRIBUTION, version(DISTRIBUTION))
        self._info = {"changes": list(run.changes)} if run.changes else {}
        self._metrics = MetricsLogger()
        self._record = DiskRecord(run.run_dir / "sacred")
        self._record.started_event(
            ex_info=experiment.get_experiment_info(),
            command=COMMAND,
            host_info=get_host_info(),
            start_time=_now(),
            config=run.settings,
            meta_info={
                "command": COMMAND,
                "options": experiment.get_default_options(),
                "named_configs": [],
            },
            _id=None,
        )
        self._stop, self._beat = IntervalTimer.create(self._write, BEAT_SECONDS)
        self._beat.start()

    def log(self, counts: Counts, seconds: float, metrics: dict[str, float]) -> None:
        """Record metrics over environment steps.

        Raises:
            UserError: if an earlier writing has failed.
        """
        self._record.require_complete()
        for key, value in metrics.items():
            self._metrics.log_scalar_metric(key, value, counts[0])

    def close(self, end: RunEnd) -> None:
        """Write the rest, and how the run has ended.

        Raises:
            UserError: if the record cannot be written.
        """
        if self._beat is None:
            return
        self._stop.set()
        self._beat.join()
        now = _now()
        if end.error is None:
            self._record.completed_event(now, end.result)
        elif isinstance(end.error, KeyboardInterrupt):
            self._record.interrupted_event(now, "INTERRUPTED")
        else:
            self._record.failed_event(now, traceback.format_exception(end.error))
        self._record.require_complete()

    def _write(self) -> None:
        from sacred.metrics_logger import linearize_metrics

        new = linearize_metrics(self._metrics.get_last_metrics())
        self._record.log_metrics(new, self._info)
        self._record.heartbeat_event(self._info, "", _now(), None)


def _now() -> datetime:
    """The time as Sacred writes it: UTC, without saying so."""
    return datetime.now(UTC).replace(tzinfo=None)


def _git_answers() -> bool:
    """Whether git knows the commit that is run; Sacred fails where git is missing or fails."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
    except OSError:
        pass
    print("git does not say which commit this is, so the record does not have it.", file=sys.stderr)
    return False
