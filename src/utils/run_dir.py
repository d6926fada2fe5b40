"""One folder for each run: `results/<env>/<alg>/<name>_seed<k>_<id>/`."""

import itertools
import os
from pathlib import Path

from utils.errors import UserError


def create_run_dir(results_dir: str, env: str, alg: str, name: str, seed: int) -> Path:
    """Make a new folder; runs that start at the same moment get different ids.

    Raises:
        UserError: if the folder cannot be made.
    """
    for key, part in (("env_name", env), ("alg_name", alg), ("name", name)):
        if part in (".", "..") or Path(part).name != part:
            raise UserError(f"{key}={part} is no name for a folder. Give a word without slashes.")
    parent = Path(results_dir) / env / alg
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = parent / f"{name}_seed{seed}_{number}"
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
    """The folder of a run that is to go on; nothing in it is touched.

    Raises:
        UserError: if it, or its metrics, cannot be written.
    """
    for path in (run_dir, run_dir / "metrics.csv"):
        if not os.access(path, os.W_OK):
            what = "cannot be written" if path.exists() else "does not exist"
            raise UserError(
                f"{path} {what}, so this run cannot go on. Make it writable, or copy the run's "
                f"folder and resume the copy with `with resume=<folder>`."
            )
    return run_dir
