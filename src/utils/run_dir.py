"""One folder for each run: `results/<env>/<alg>/<name>_seed<k>_<id>/`."""

import itertools
from pathlib import Path

from utils.errors import UserError


def create_run_dir(results_dir: str, env: str, alg: str, name: str, seed: int) -> Path:
    """Make a new folder; runs that start at the same moment get different ids.

    Raises:
        UserError: if the folder cannot be made.
    """
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
