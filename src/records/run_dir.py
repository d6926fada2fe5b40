"""One folder for each run: `results/<env>/<alg>/<name>_seed<k>_<id>/`.

`<env>` is the environment's name; that of an adapter is followed by its task (`task_name`).
"""

import itertools
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from utils.errors import LockedError, UserError
from utils.files import UNFINISHED, reason
from utils.invocation import IS_INSTALLED, REPOSITORY, near

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"  # file in a run's folder, locked by the process that trains it


# Settings that name one of several tasks, in an environment such as an adapter.
TASK_SETTINGS = ("task", "key", "scenario")


def results_root(results_dir: str) -> Path:
    """The results folder that a setting names.

    If it is empty, `results/` of the repository, or of the current folder if there is no repository
    because this is the installed package.
    """
    if results_dir or IS_INSTALLED:
        return Path(results_dir or "results")
    return near(REPOSITORY / "results")


def task_name(env_name: str, env_args: Mapping[str, Any]) -> str:
    """The environment's name, followed by the task that its settings choose, fit for a folder.

    `pettingzoo` with `task: simple_tag_v3` is `pettingzoo-simple_tag_v3`. A name that says the task
    already stays as it is: `mpe_tag` with `scenario: tag`.

    Args:
        env_name: name of the environment's YAML file.
        env_args: the environment's settings; those in its `kwargs` count, too.
    """
    places = (env_args, env_args.get("kwargs") or {})
    chosen = [place[name] for place in places for name in TASK_SETTINGS if name in place]
    labels = [re.sub(r"[^\w.-]+", "-", str(task)).strip("-.") for task in chosen]
    return "-".join([env_name, *(label for label in labels if not env_name.endswith(label))])


def folder_of_runs(results_dir: str, env: str, alg: str, name: str, seed: int) -> tuple[Path, str]:
    """Where runs of one kind stand, and how their folders' names begin before the number."""
    return results_root(results_dir) / env / alg, f"{name or alg}_seed{seed}_"


def create_run_dir(results_dir: str, env: str, alg: str, name: str, seed: int) -> Path:
    """Make a new folder; runs that start at the same moment get different ids.

    Raises:
        UserError: if the folder cannot be made.
    """
    for key, part in (("env_name", env), ("alg_name", alg), ("name", name or alg)):
        if part in (".", "..") or Path(part).name != part:
            raise UserError(f"{key}={part} is no name for a folder. Give a word without slashes.")
    parent, stem = folder_of_runs(results_dir, env, alg, name, seed)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = parent / f"{stem}{number}"
            try:
                path.mkdir()  # atomic: fails if another run was first
            except FileExistsError:
                continue
            probe = path / "checkpoints"
            probe.mkdir()
            return path
    except OSError as error:
        raise UserError(
            f"The results folder {parent} cannot be written ({error.strerror or error}). "
            f"Choose another with `with results_dir=<folder>`."
        ) from error
    raise AssertionError("unreachable")


def require_writable(run_dir: Path) -> Path:
    """The folder of a run to be resumed; nothing in it is changed.

    Raises:
        UserError: if it, or its metrics, cannot be written.
    """
    for path in (run_dir, run_dir / "metrics.csv"):
        if not os.access(path, os.W_OK):
            if not path.exists():
                raise UserError(
                    f"{path} does not exist, so this run cannot be resumed. Give a run's folder; "
                    f"one that src/export.py wrote holds a policy only, which "
                    f"checkpoint_path=<folder> starts from."
                )
            raise UserError(
                f"{path} cannot be written, so this run cannot be resumed. Make it writable, or "
                f"copy the run's folder and resume the copy with `with resume=<folder>`."
            )
    return run_dir


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Lock `run_dir` against other processes; the lock ends with the process, however it ends.

    Raises:
        LockedError: if another process does.
        UserError: if the lock's file cannot be written.
    """
    path = run_dir / LOCK
    try:
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({reason(error)}).") from error
    with file:
        _lock(run_dir, path, file.fileno())
        with suppress(OSError):  # a full disk; the holder's name is only a help
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n".encode())
        yield


def _lock(run_dir: Path, path: Path, descriptor: int) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"{run_dir} is being trained right now, by {path.read_text().strip()}. Wait for that "
            f"process or end it; a run cannot be trained twice at the same time."
        ) from error
    except OSError as error:
        print(
            f"warning: {path} cannot be locked ({reason(error)}): this file system has no locks. "
            f"Make sure that no other process trains this run.",
            file=sys.stderr,
        )


def sacred_records(run_dir: Path) -> list[Path]:
    """Sacred's records of a run, one per start, the newest last; folders that hold a `run.json`."""
    records = (path.parent for path in run_dir.glob("sacred/[0-9]*/run.json"))
    return sorted(records, key=lambda path: int(path.name))


def remove_unfinished(run_dir: Path) -> None:
    """Delete the temporary files that killed processes left; only for who holds the lock."""
    for path in run_dir.rglob(UNFINISHED):
        path.unlink(missing_ok=True)
