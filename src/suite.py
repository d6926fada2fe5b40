"""Runs a suite: several methods, environments and seeds, each through `main.py`, some at a time.

python src/suite.py topk --parallel 2
python src/suite.py topk --dry-run
python src/suite.py topk --parallel 2 with results_dir=/scratch/results

A suite is a file in `config/suites`, or any YAML file of that form; all of it is checked before the
first run starts. A run that is finished under the same settings is not repeated, one that was
stopped goes on, and one that lacks its evaluation is evaluated. So a suite can be started again.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Literal

from analysis.results import read_evaluations, read_run
from config.layers import available
from config.load import load_recorded, recorded_settings
from config.plain_data import changes
from config.schema import HARMLESS
from config.suite_file import Job, Suite, read_suite
from resume import is_closed, same_runs
from utils.command import guarded
from utils.errors import UserError
from utils.interruption import Interrupted, StopSignals

MAIN = Path(__file__).resolve().parent / "main.py"
POLL_SECONDS = 0.1
Step = Literal["train", "evaluate", "finished"]


def next_step(job: Job, evaluation: tuple[str, ...] | None) -> tuple[Step, Path | None]:
    """What a job needs next, and the folder of its run if there is one."""
    found = same_runs(job.config, any_name=not job.has_given_name)
    for run_dir in found:
        if not _is_finished(run_dir):
            continue
        if evaluation is None or _is_evaluated(run_dir, evaluation):
            return "finished", run_dir
        return "evaluate", run_dir
    return "train", found[0] if found else None


def _is_finished(run_dir: Path) -> bool:
    """Whether a run was trained to its end, and its last checkpoint saved."""
    try:
        return is_closed(run_dir) and read_run(run_dir).is_finished
    except UserError:
        return False


def _is_evaluated(run_dir: Path, evaluation: tuple[str, ...]) -> bool:
    """Whether a finished run was evaluated at its end, under these settings."""
    try:
        end, rows = read_run(run_dir).env_steps, read_evaluations(run_dir)
    except (UserError, ValueError, KeyError):
        return False
    wanted = load_recorded(run_dir, ["resume=", *_of_evaluation(run_dir, evaluation)])
    changed = " ".join(changes(recorded_settings(run_dir), wanted, HARMLESS))
    return any(
        row.checkpoint == "latest.pt"
        and row.env_steps >= end
        and row.n_episodes == wanted.test_nepisode
        and row.changes == changed
        for row in rows
    )


def _of_evaluation(run_dir: Path, evaluation: tuple[str, ...]) -> list[str]:
    return ["evaluate=True", f"checkpoint_path={run_dir}", *evaluation]


class Child:
    """A process of `main.py` that takes one step of a job.

    It shares this process's group, so that Ctrl-C in a terminal reaches it directly.
    """

    def __init__(self, job: Job, step: Step, command: list[str]):
        self.job, self.step = job, step
        self._errors = tempfile.TemporaryFile()
        env = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=self._errors, env=env
        )

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.poll() is not None

    def wait(self) -> str:
        """Wait for the end; returns what the process wrote to standard error."""
        self.process.wait()
        with self._errors as file:
            file.seek(0)
            return file.read().decode(errors="replace").strip()

    def stop(self) -> None:
        """Ask the process to save and end. It notes a further SIGTERM without stopping at once."""
        if not self.has_ended:
            self.process.send_signal(signal.SIGTERM)


def command_of(job: Job, step: Step, run_dir: Path | None, suite: Suite) -> list[str]:
    """The command line of a job's step."""
    main = [sys.executable, str(MAIN)]
    if step == "evaluate":
        assert run_dir is not None
        assert suite.evaluation is not None
        return [*main, "with", *_of_evaluation(run_dir, suite.evaluation)]
    name = [] if run_dir is None else [f"name={recorded_settings(run_dir)['name']!r}"]
    train = [*main, f"--config={job.alg}", f"--env-config={job.env}", "with", *job.settings, *name]
    return [*train, f"seed={job.config.seed}", "show_progress=False", "resume=auto"]


class Schedule:
    """Takes every job of a suite to its end, some at the same time.

    Args:
        suite: the jobs.
        parallel: how many processes at the same time.
        signals: once one is received, no process is started and those that run are asked to stop.
    """

    def __init__(self, suite: Suite, parallel: int, signals: StopSignals):
        self.suite, self.parallel, self.signals = suite, parallel, signals
        self.waiting, self.running = deque(suite.jobs), list[Child]()
        self.n_complete = self.n_failed = 0

    def run(self) -> int:
        """Returns the exit code: 1 if a run failed.

        Raises:
            Interrupted: if a signal was received before all were done, once every process is gone.
        """
        self.signals.patient = True
        saved = "Those under way are saved."
        try:
            self._loop()
        except Interrupted:  # a second Ctrl-C, which has reached the processes, too
            saved = "What came after the last checkpoints of those under way is lost."
        finally:
            for child in self.running:
                child.stop()
            for child in self.running:
                child.wait()
        received, n_jobs = self.signals.received, len(self.suite.jobs)
        if received is not None and self.n_complete + self.n_failed < n_jobs:
            again = shlex.join(["python", *sys.argv])
            text = f"Stopped by {received.name}: {self.n_complete} of {n_jobs} runs are complete."
            raise Interrupted(received, f"{text} {saved} Go on with\n  {again}")
        return 1 if self.n_failed else 0

    def _loop(self) -> None:
        has_asked = False
        while self.running or (self.waiting and not self.signals.received):
            while self.waiting and len(self.running) < self.parallel and not self.signals.received:
                self._advance(self.waiting.popleft())
            if self.signals.received and not has_asked:
                has_asked = True
                for child in self.running:
                    child.stop()
            for child in [child for child in self.running if child.has_ended]:
                self.running.remove(child)
                self._take_back(child)
            if self.running:
                time.sleep(POLL_SECONDS)

    def _take_back(self, child: Child) -> None:
        """Go on with a job whose process has ended."""
        errors = child.wait()
        if child.process.returncode == 0:
            self._advance(child.job, child.step)
        elif not self.signals.received:
            what = "" if child.step == "train" else " (evaluation)"
            self._fail(f"{child.job.title}{what}\n{errors}")

    def _advance(self, job: Job, before: Step | None = None) -> None:
        """Start what a job needs next, or say that it is complete."""
        step, run_dir = next_step(job, self.suite.evaluation)
        if step == "finished":
            self.n_complete += 1
            print(f"{'had' if before is None else 'done':<6}{job.title} -> {run_dir}", flush=True)
        elif step == before:
            self._fail(f"{job.title}\nIts process ended well and left no result of this step.")
        elif not self.signals.received:
            self.running.append(Child(job, step, command_of(job, step, run_dir, self.suite)))

    def _fail(self, text: str) -> None:
        self.n_failed += 1
        print(f"FAILED {text}", flush=True)


def run(given: argparse.Namespace, signals: StopSignals) -> int:
    """Check the suite that the command line names, then run or list it."""
    if given.settings and given.settings[0] != "with":
        raise UserError(
            f"'{given.settings[0]}' is not understood. Settings come after `with`: "
            f"`python src/suite.py {given.suite} with key=value`."
        )
    if given.parallel < 1:
        raise UserError(f"--parallel {given.parallel}: write 1 or more.")
    suite = read_suite(given.suite, given.settings[1:])
    if not given.dry_run:
        return Schedule(suite, given.parallel, signals).run()
    for job in suite.jobs:
        print(f"{next_step(job, suite.evaluation)[0]:<9} {job.title}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(available("suites"))
    parser.add_argument("suite", help=f"one of {names}, or a YAML file")
    parser.add_argument("--parallel", type=int, default=1, help="runs at the same time")
    parser.add_argument("--dry-run", action="store_true", help="only list the runs and their step")
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args(argv)
    return guarded(lambda signals: run(given, signals))


if __name__ == "__main__":
    sys.exit(main())
