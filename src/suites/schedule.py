"""Takes every job of a suite to its end, on any engine."""

import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from config.suite_file import Job
from engines.engine import Engine, Task
from resume import same_runs
from suites.exit_codes import verdict
from suites.jobs import Step, command_of, next_step
from suites.progress import Progress, read_progress
from suites.table import Display, Row
from utils.interruption import Interrupted, StopSignals

POLL_SECONDS = 0.1
LOCKED_SECONDS = 10.0  # until a run that another process trains is asked for again
State = Literal["queued", "started", "done", "failed"]


@dataclass(eq=False)
class Entry:
    """A job and where it stands.

    Attributes:
        job: what is asked for.
        retries: how many further failures are allowed.
        state: `started` from when an engine has its command.
        step: the step that was started last.
        task: its command at the engine.
        run_dir: the folder of its run, once it is known.
        not_before: moment of the monotonic clock before which it is not started.
        since: seconds of the epoch at which its command was started.
    """

    job: Job
    retries: int
    state: State = "queued"
    step: Step | None = None
    task: Task | None = None
    run_dir: Path | None = None
    not_before: float = 0.0
    since: float = 0.0

    @property
    def is_evaluation(self) -> bool:
        """Whether the step that was started last is an evaluation."""
        return self.step is not None and self.step.what == "evaluate"

    def progress(self) -> Progress | None:
        """How far its run has come; None if its process has written nothing yet."""
        if self.run_dir is None:
            found = same_runs(self.job.config, any_name=not self.job.has_given_name)
            self.run_dir = found[0] if found else None
        return read_progress(self.run_dir, self.since) if self.run_dir else None

    def row(self) -> Row:
        """The entry as a row of the table."""
        title, none = self.job.label, ("-", "-", "-")
        if self.state != "started":
            waits = self.state == "queued" and self.not_before > time.monotonic()
            return ("waiting" if waits else self.state, title, *none)
        if self.is_evaluation:
            return ("running", f"{title} (evaluation)", *none)
        now, t_max = self.progress(), self.job.config.t_max
        if now is None:  # waits for a machine, or starts up
            return ("queued", title, *none)
        steps = f"{now.env_steps:,} of {t_max:,}"
        return ("running", title, steps, now.left(t_max), now.last_test)


class Schedule:
    """Takes every job to its end, some at the same time.

    Args:
        jobs: what is asked for.
        engine: starts the commands.
        parallel: how many commands at the same time; None: all of them.
        retries: how often a job is started again after failures.
        signals: once one is received, nothing is started and what runs is asked to stop.
        is_enough: asked again and again; once it is true, the schedule stops in the same way.

    Attributes:
        entries: the jobs and where they stand.
    """

    def __init__(
        self,
        jobs: list[Job],
        engine: Engine,
        parallel: int | None,
        retries: int,
        signals: StopSignals,
        is_enough: Callable[[], bool] = lambda: False,
    ):
        self.engine, self.parallel = engine, parallel or len(jobs)
        self.signals, self.is_enough = signals, is_enough
        self.entries = [Entry(job, retries) for job in jobs]
        self._is_stopping = False
        self._display = Display(lambda: [entry.row() for entry in self.entries])

    def run(self) -> int:
        """Returns the exit code: 1 if a run failed.

        Raises:
            Interrupted: if a signal was received before all were done, once every command is gone.
        """
        self.signals.patient = True
        saved = "Those under way are saved."
        try:
            with self._display:
                self._loop()
        except Interrupted:  # a second Ctrl-C, which has reached local processes, too
            saved = "What came after the last checkpoints of those under way is lost."
        finally:
            self._stop()
            while any(task.ended() is None for _, task in self._started()):
                time.sleep(POLL_SECONDS)
        received, n_done, n_failed = self.signals.received, self._n("done"), self._n("failed")
        if received is not None and n_done + n_failed < len(self.entries):
            again = shlex.join(["python", *sys.argv])
            text = f"{n_done} of {len(self.entries)} runs are complete. {saved} Continue with"
            raise Interrupted(received, f"Stopped by {received.name}: {text}\n  {again}")
        return 1 if n_failed else 0

    def _loop(self) -> None:
        while self._started() or (self._n("queued") and not self._is_stopping):
            if not self._is_stopping and (self.signals.received or self.is_enough()):
                self._stop()
            for entry in self.entries:
                if self._is_due(entry):
                    self._advance(entry)
            for entry, task in self._started():
                end = task.ended()
                if end is not None:
                    self._take_back(entry, *end)
            self._display.redraw()
            if self._started() or self._n("queued"):
                time.sleep(POLL_SECONDS)

    def _started(self) -> list[tuple[Entry, Task]]:
        return [(entry, entry.task) for entry in self.entries if entry.task is not None]

    def _n(self, state: State) -> int:
        return sum(entry.state == state for entry in self.entries)

    def _is_due(self, entry: Entry) -> bool:
        return (
            entry.state == "queued"
            and not (self._is_stopping or self.signals.received)
            and entry.not_before <= time.monotonic()
            and self._n("started") < self.parallel
        )

    def _stop(self) -> None:
        self._is_stopping = True
        for _, task in self._started():
            task.stop()

    def _take_back(self, entry: Entry, code: int, errors: str) -> None:
        """Continue with a job whose command has ended."""
        entry.task, entry.state = None, "queued"
        what, title = verdict(code), entry.job.title
        if what == "done":
            self._advance(entry, entry.step)
        elif self._is_stopping or self.signals.received:
            pass
        elif what == "wait":
            entry.not_before = time.monotonic() + LOCKED_SECONDS
            self._display.say(f"locked {title}: another process trains it. It is asked for again.")
        elif what == "requeue":
            self._display.say(f"again  {title}: it was stopped (exit code {code}).")
        elif what == "retry" and entry.retries:
            entry.retries -= 1
            last = errors.splitlines()[-1:] or ["no message"]
            self._display.say(f"again  {title}: exit code {code}, {last[0]}")
        else:
            evaluation = " (evaluation)" if entry.is_evaluation else ""
            self._fail(entry, f"{evaluation}\n{errors}")

    def _advance(self, entry: Entry, before: Step | None = None) -> None:
        """Start what a job needs next, or say that it is complete.

        Args:
            entry: the job.
            before: the step that has just ended well.
        """
        step, run_dir = next_step(entry.job)
        if step.what == "finished":
            entry.state, entry.run_dir = "done", run_dir
            said = "had" if before is None else "done"
            self._display.say(f"{said:<6} {entry.job.title} -> {run_dir}")
        elif step == before:
            self._fail(entry, "\nIts process ended well and left no result of this step.")
        elif not (self._is_stopping or self.signals.received):
            command = command_of(entry.job, step, run_dir)
            entry.state, entry.step, entry.since = "started", step, time.time()
            entry.task = self.engine.start(command)

    def _fail(self, entry: Entry, text: str) -> None:
        entry.state = "failed"
        self._display.say(f"FAILED {entry.job.title}{text}")
