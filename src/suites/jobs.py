"""What a job of a suite needs next, and the command that does it."""

import sys
from pathlib import Path
from typing import Literal, NamedTuple

from analysis.results import read_evaluations, read_run
from config.history import evaluated_with
from config.load import load_recorded, recorded_settings
from config.suite_file import Job
from resume import is_closed, same_runs
from utils.errors import UserError
from utils.invocation import MAIN


class Step(NamedTuple):
    """What is done next for a job.

    Attributes:
        what: its kind.
        evaluation: settings of the evaluation, if it is one.
    """

    what: Literal["train", "evaluate", "finished"]
    evaluation: tuple[str, ...] = ()


def next_step(job: Job) -> tuple[Step, Path | None]:
    """What a job needs next, and the folder of its run if there is one."""
    found = same_runs(job.config, any_name=not job.has_given_name)
    for run_dir in found:
        if not _is_finished(run_dir):
            continue
        for evaluation in job.evaluations:
            if not _is_evaluated(run_dir, evaluation):
                return Step("evaluate", evaluation), run_dir
        return Step("finished"), run_dir
    return Step("train"), found[0] if found else None


def command_of(job: Job, step: Step, run_dir: Path | None) -> list[str]:
    """The command line of a job's step."""
    main = [sys.executable, str(MAIN)]
    if step.what == "evaluate":
        assert run_dir is not None
        return [*main, "with", *_of_evaluation(run_dir, step.evaluation)]
    name = [] if run_dir is None else [f"name={recorded_settings(run_dir)['name']!r}"]
    train = [*main, f"--config={job.alg}", f"--env-config={job.env}", "with", *job.settings, *name]
    return [*train, f"seed={job.config.seed}", "show_progress=False", "resume=auto"]


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
    changed = evaluated_with(run_dir, wanted)
    return any(
        row.checkpoint == "latest.pt"
        and row.env_steps >= end
        and row.n_episodes == wanted.test_nepisode
        and row.changes == changed
        for row in rows
    )


def _of_evaluation(run_dir: Path, evaluation: tuple[str, ...]) -> list[str]:
    return ["evaluate=True", f"checkpoint_path={run_dir}", *evaluation]
