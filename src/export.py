"""A trained policy alone: configuration and weights, without optimiser, replay and curves.

    python src/export.py results/topk/agp/agp_seed1_1 pretrained/topk/agp
    python src/export.py results/topk/agp/agp_seed1_1 pretrained/topk/agp --half

Settings after `with` are recorded in place of the run's, such as those that its code did not have.
The folder that is written is one of a run for everything that plays: `evaluate=True
checkpoint_path=...`, films, `src/attention.py`, `policy.load_policy`, trained opponents. A run
cannot be resumed from it.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from config.load import load_recorded
from config.plain_data import dump
from config.schema import RunConfig
from records.checkpoint import LATEST, find_checkpoint, load_checkpoint, run_folder, save_checkpoint
from utils.command import guarded, settings_after_with
from utils.errors import UserError
from utils.files import reason
from utils.invocation import as_typed


def export(run: Path, folder: Path, overrides: list[str], half: bool = False) -> str:
    """Write the policy of a run's latest checkpoint, or of a checkpoint file, to a new folder.

    Args:
        run: the run's folder, or the file.
        folder: must not exist.
        overrides: settings in place of the run's.
        half: round weights to 16 bits (three digits), which halves the file.

    Returns:
        What to say of it.

    Raises:
        UserError: if there is no readable checkpoint, or the folder exists or cannot be written.
    """
    checkpoint = find_checkpoint(run)
    config = load_recorded(run_folder(run), overrides)
    state = load_checkpoint(checkpoint)
    env_steps = state["counters"]["env_steps"]
    try:
        folder.mkdir(parents=True)
        dump(dataclasses.replace(config, results_dir=RunConfig.results_dir), folder / "config.yaml")
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({reason(error)}). Name a folder that does not exist yet."
        ) from error
    online = state["learner"]["online"]
    if half:
        online = {k: w.half() if w.is_floating_point() else w for k, w in online.items()}
    kept = {"learner": {"online": online}, "counters": {"env_steps": env_steps}}
    save_checkpoint(folder / "checkpoints" / LATEST, kept)
    n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{folder}: the policy after {env_steps:,} environment steps, {n_bytes / 1e6:.2f} MB."


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a run, or a checkpoint file in it")
    parser.add_argument("folder", type=Path, help="new folder for the policy")
    parser.add_argument("--half", action="store_true", help="weights of 16 bits: half the size")
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args(argv)

    def command(_: object) -> int:
        example = as_typed("python src/export.py <run> <folder> with key=value")
        settings = settings_after_with(given.settings, example)
        print(export(given.run, given.folder, settings, given.half))
        return 0

    return guarded(command)


if __name__ == "__main__":
    sys.exit(main())
