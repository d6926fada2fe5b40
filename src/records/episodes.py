"""`episodes.csv`: the return, length and metrics of every episode of an evaluation."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import reason, replacing


def write_episodes(
    run_dir: Path, about: Mapping[str, str], episodes: Mapping[str, Any], agents: Sequence[str]
) -> Path:
    """Write each episode of one evaluation to `episodes.csv`, in place of those of an earlier one.

    Args:
        run_dir: the run's folder.
        about: columns that are the same in every row, such as the checkpoint's file name.
        episodes: `returns` [n, R], and {name: [n]} of the other columns; tensors.
        agents: names of the agents, for a column each where rewards are individual (R above 1).

    Returns:
        The file.

    Raises:
        UserError: if the file cannot be written.
    """
    path = run_dir / "episodes.csv"
    returns = episodes["returns"].double()
    columns = {"return": returns.nanmean(dim=1)}
    if returns.shape[1] > 1:
        columns |= {f"return_{name}": returns[:, i] for i, name in enumerate(agents)}
    columns |= {name: column.double() for name, column in episodes.items() if name != "returns"}
    numbers = zip(*(column.tolist() for column in columns.values()), strict=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*about, "episode", *columns])
    for i, row in enumerate(numbers):
        writer.writerow([*about.values(), i, *(f"{value:.9g}" for value in row)])
    try:
        with replacing(path) as file:
            file.write(text.getvalue().encode())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({reason(error)}).") from error
    return path
