"""`evaluations.csv`: what greedy tests of a trained policy gave, a row for each number."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import reason, replacing

EVALUATION_COLUMNS = (
    "checkpoint",
    "env_steps",
    "n_episodes",
    "opponent",
    "changes",
    "key",
    "value",
)


def opponent_label(env_args: Mapping[str, Any]) -> str:
    """The opponent of the learners; empty if there was none.

    Read from settings that an environment with opponents has: `opponent`, with `opponent_path` for
    a trained one, `protocol` and `learners`. Results under different labels cannot be compared.
    """
    if env_args.get("protocol") == "two_team":
        return "learns too"
    name = str(env_args.get("opponent") or "none")
    if name == "none":
        return ""
    if name == "path":
        path = str(env_args["opponent_path"])
        name = path.removesuffix("/checkpoints/latest.pt").removesuffix("/")
    side = env_args.get("learners")
    return f"{name} ({side} learn)" if side else name


def append_evaluation(
    run_dir: Path,
    checkpoint: str,
    env_steps: int,
    n_episodes: int,
    opponent: str,
    changes: str,
    metrics: dict[str, float],
) -> None:
    """Add the results of one evaluation to `evaluations.csv`; an older file keeps its columns.

    Args:
        run_dir: the run's folder.
        checkpoint: the checkpoint's file name.
        env_steps: environment steps it was trained for.
        n_episodes: episodes played.
        opponent: whom they were played against, see `opponent_label`.
        changes: settings that differ from the run's own, as text.
        metrics: {key: value}.

    Raises:
        UserError: if the file cannot be written.
    """
    path = run_dir / "evaluations.csv"
    try:
        is_new = not path.exists()
        columns = EVALUATION_COLUMNS if is_new else path.read_text().split("\n")[0].split(",")
        head = {
            "checkpoint": checkpoint,
            "env_steps": env_steps,
            "n_episodes": n_episodes,
            "opponent": opponent,
            "changes": changes,
        }
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            if is_new:
                writer.writeheader()
            for key, value in metrics.items():
                writer.writerow({**head, "key": key, "value": f"{value:.9g}"})
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error


def drop_evaluations_after(run_dir: Path, env_steps: int) -> None:
    """Drop what later checkpoints earned, when a run goes on from an earlier one.

    Args:
        run_dir: the run's folder.
        env_steps: environment steps of the checkpoint from which it goes on.

    Raises:
        UserError: if the file cannot be read or written.
    """
    path = run_dir / "evaluations.csv"
    if not path.is_file():
        return
    try:
        text = path.read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        kept = [row for row in rows if int(row["env_steps"]) <= env_steps]
        if len(kept) < len(rows):
            whole = io.StringIO(newline="")
            writer = csv.DictWriter(whole, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)
            with replacing(path) as file:
                file.write(whole.getvalue().encode())
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(
            f"{path} cannot be used ({reason(error)}). Repair it or move it away."
        ) from error
