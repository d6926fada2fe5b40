"""Which run `resume=auto` goes on with: the newest of the same configuration that has not ended.

The same configuration: every setting that was recorded is the one asked for now, save those of
`BESIDE_LEARNING`. Newest: the highest number at the end of the folder's name.
"""

import json
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from config.load import changes, load_recorded, to_dict
from config.schema import FILM_SETTINGS, MONGO_SETTINGS, SPEED_SETTINGS, RunConfig
from utils.checkpoint import all_checkpoints, load_checkpoint
from utils.errors import UserError
from utils.run_dir import folder_of_runs, locked, require_writable, sacred_records

AUTO = "auto"
# Settings that change no number of `metrics.csv`: where and how a run is recorded, what is shown.
BESIDE_LEARNING = (
    "preset",
    "resume",
    "results_dir",
    "show_progress",
    "use_tensorboard",
    "checkpoint_interval",
    "checkpoint_seconds",
    "checkpoint_replay",
    "keep_numbered_checkpoints",
    "plugins",  # where components stand; `plugin_files` tells whether they have changed
    *FILM_SETTINGS,
    *MONGO_SETTINGS,
    *SPEED_SETTINGS,
)


class Choice(NamedTuple):
    """A run that can go on, or has ended."""

    run_dir: Path
    checkpoint: Path
    is_finished: bool


def choose_run(config: RunConfig, held: ExitStack) -> Choice | None:
    """The run that `resume=auto` goes on with; None if a new one must begin.

    What is passed over, and why, is said on standard error.

    Args:
        config: what the command line asks for.
        held: receives the lock of the run's folder.

    Raises:
        UserError: if a process is training a run of this configuration right now, or the run's
            folder cannot be written.
    """
    for run_dir in _runs(config):
        try:
            recorded = load_recorded(run_dir, [])
        except UserError as error:
            _say(f"{run_dir} is passed over: {str(error).splitlines()[0]}")
            continue
        different = changes(to_dict(recorded), to_dict(config), BESIDE_LEARNING)
        if different:
            _say(f"{run_dir} is passed over: here {' '.join(different)}.")
            continue
        held.enter_context(locked(require_writable(run_dir)))
        for checkpoint in all_checkpoints(run_dir):
            try:
                env_steps = load_checkpoint(checkpoint)["counters"]["env_steps"]
            except UserError as error:
                _say(f"{error} The next best one is tried.")
                continue
            return Choice(run_dir, checkpoint, env_steps >= config.t_max and _is_closed(run_dir))
        _say(f"{run_dir} is passed over: it has no checkpoint that can be read.")
        held.close()
    return None


def _runs(config: RunConfig) -> list[Path]:
    """Folders of runs of this environment, algorithm, name and seed, the newest first."""
    parent, stem = folder_of_runs(
        config.results_dir, config.env_name, config.alg_name, config.name, config.seed
    )
    pattern = re.compile(re.escape(stem) + r"(\d+)")
    there = parent.iterdir() if parent.is_dir() else ()
    numbered = [(int(m[1]), path) for path in there if (m := pattern.fullmatch(path.name))]
    return [path for _, path in sorted(numbered, reverse=True) if (path / "config.yaml").is_file()]


def _is_closed(run_dir: Path) -> bool:
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
