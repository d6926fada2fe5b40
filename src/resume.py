"""Which run is resumed: the one that `resume` names, or the newest of these settings for `auto`.

The same settings: every setting that was recorded is the one asked for now, except those of
`BESIDE_LEARNING`. Newest: the highest number at the end of the folder's name.
"""

import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from config.history import changes_with, trained_before
from config.load import load_recorded
from config.plain_data import changes, to_dict
from config.schema import BESIDE_LEARNING, RunConfig
from records.checkpoint import all_checkpoints, find_checkpoint, load_checkpoint, run_folder
from records.run_dir import folder_of_runs, locked, require_writable, sacred_records, task_name
from utils.errors import UserError

AUTO = "auto"
MOST_NAMED = 3  # runs of other settings that are named


class Choice(NamedTuple):
    """A run that can be resumed, or has ended.

    Attributes:
        run_dir: its folder.
        checkpoint: from which it is resumed.
        finished: the message if there is nothing to train; empty if there is.
    """

    run_dir: Path
    checkpoint: Path
    finished: str


def find_run(config: RunConfig, held: ExitStack) -> Choice | None:
    """The run that `config.resume` asks for; None if a new one must begin.

    Args:
        config: what the command line asks for.
        held: receives the lock of the run's folder.

    Raises:
        UserError: if a process is training that run right now, or it cannot be resumed.
    """
    if config.resume == AUTO:
        choice = _newest_run(config, held)
        if choice is None:
            print("There is no run of this configuration to resume; a new one begins.")
        return choice
    if not config.resume:
        return None
    run_dir = require_writable(run_folder(config.resume))
    held.enter_context(locked(run_dir))
    checkpoint = find_checkpoint(config.resume)
    env_steps = load_checkpoint(checkpoint)["counters"]["env_steps"]
    return Choice(run_dir, checkpoint, _finished(run_dir, config, env_steps))


def _finished(run_dir: Path, config: RunConfig, env_steps: int) -> str:
    """The message of a run that has nothing to train; empty if it continues.

    A run that was killed after its last checkpoint continues, for a last record of Sacred. It does
    not if other settings are asked for: they would be recorded, but nothing is trained with them.
    """
    changed = changes_with(run_dir, config, env_steps)
    asked = [c.text for c in changed if c.env_steps == env_steps]
    if env_steps < config.t_max or not (asked or is_closed(run_dir)):
        return ""
    text = f"Finished already, after {env_steps:,} environment steps (t_max={config.t_max:,}). "
    if asked:
        text += (
            f"Nothing is trained, so {' '.join(asked)} would have no effect and is not recorded; "
            f"a t_max above {env_steps:,} trains on. "
        )
    return f"{text}Everything is in {run_dir}"


def _newest_run(config: RunConfig, held: ExitStack) -> Choice | None:
    """The run that `resume=auto` resumes; None if a new one must begin.

    Standard error says which runs are skipped, and why; of runs of other settings the newest ones.

    Args:
        config: what the command line asks for.
        held: receives the lock of the run's folder.

    Raises:
        UserError: if a process is training a run of this configuration right now, or the run's
            folder cannot be written.
    """
    n_skipped = 0
    for run_dir in _runs(config):
        why_not = difference(run_dir, config)
        if why_not:
            n_skipped += 1
            if n_skipped <= MOST_NAMED:
                _say(f"{run_dir} is skipped: {why_not}")
            elif n_skipped == MOST_NAMED + 1:
                _say("Older runs of other settings are skipped, too.")
            continue
        held.enter_context(locked(require_writable(run_dir)))
        for checkpoint in all_checkpoints(run_dir):
            try:
                env_steps = load_checkpoint(checkpoint)["counters"]["env_steps"]
            except UserError as error:
                _say(f"{error} The next best one is tried.")
                continue
            return Choice(run_dir, checkpoint, _finished(run_dir, config, env_steps))
        _say(f"{run_dir} is skipped: it has no checkpoint that can be read.")
        held.close()
    return None


def same_runs(config: RunConfig, any_name: bool = False) -> list[Path]:
    """Folders of the runs of this configuration, the newest first.

    Args:
        config: the configuration asked for.
        any_name: also those that differ from it in nothing but `name`, after the others.
    """
    ignored = (*BESIDE_LEARNING, "name")
    found = [run_dir for run_dir in _runs(config) if not difference(run_dir, config)]
    if any_name:
        parent, _ = folder_of_runs(*place_of(config), config.name, config.seed)
        others = set(parent.glob(f"*_seed{config.seed}_*/config.yaml"))
        dirs = sorted({path.parent for path in others} - set(found))
        found += [run_dir for run_dir in dirs if not difference(run_dir, config, ignored)]
    return found


def difference(run_dir: Path, config: RunConfig, ignored: tuple[str, ...] = BESIDE_LEARNING) -> str:
    """Why a recorded run is not one of this configuration, in words; empty if it is."""
    try:
        recorded = to_dict(load_recorded(run_dir, []))
        before = trained_before(run_dir, recorded)
    except UserError as error:
        return str(error).splitlines()[0]
    different = changes(recorded, config, ignored)
    if different:
        return f"here {' '.join(different)}."
    return f"it was trained with {before}." if before else ""


def place_of(config: RunConfig) -> tuple[str, str, str]:
    """The results folder, and the names of the environment's and the algorithm's folder in it."""
    env_args = to_dict(config)["env_args"]
    return config.results_dir, task_name(config.env_name, env_args), config.alg_name


def _runs(config: RunConfig) -> list[Path]:
    """Folders of runs of this environment, algorithm, name and seed, the newest first."""
    parent, stem = folder_of_runs(*place_of(config), config.name, config.seed)
    pattern = re.compile(re.escape(stem) + r"(\d+)")
    there = parent.iterdir() if parent.is_dir() else ()
    numbered = [(int(m[1]), path) for path in there if (m := pattern.fullmatch(path.name))]
    return [path for _, path in sorted(numbered, reverse=True) if (path / "config.yaml").is_file()]


def is_closed(run_dir: Path) -> bool:
    """Whether the last process of a run lived long enough to say that it had finished."""
    records = sacred_records(run_dir)
    try:
        return (
            not records
            or json.loads((records[-1] / "run.json").read_text())["status"] == "COMPLETED"
        )
    except (OSError, ValueError, KeyError):
        return False


def _say(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
