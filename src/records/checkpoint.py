"""Checkpoints: written whole or not at all, read without running code.

A checkpoint is one nested dictionary of tensors, numbers and text. It is written to a temporary
file in the same folder, flushed to the disk and then renamed, so that a file under its final name
is always complete. The file format has a checksum for every tensor, which is compared on reading.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import reason, replacing

LATEST, BEST = "latest.pt", "best.pt"
PREVIOUS = "previous.pt"  # what was `latest` before; it differs from it by one interval


def save_checkpoint(path: Path, state: dict[str, Any], keep_as: Path | None = None) -> None:
    """Write `state` to `path`, replacing an older file only once the new one is on the disk.

    Args:
        path: the file, in the folder `checkpoints` of a run's folder, which must exist.
        state: see `load_checkpoint`.
        keep_as: another name that the older file keeps; None: it goes.

    Raises:
        UserError: if the folder cannot be written; an older file stays as it was.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        with replacing(path, keep_as) as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        raise UserError(
            f"The checkpoint {path} could not be written ({reason(error)}). "
            f"Free space or make the folder writable, then continue the "
            f"run with `with resume={path.parents[1]}`."
        ) from error


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file meant by a run folder (its latest) or by the file itself.

    Raises:
        UserError: if there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    for name in (LATEST, PREVIOUS):  # a process may have died between two renamings
        candidate = path / "checkpoints" / name
        if candidate.is_file():
            return candidate
    raise UserError(
        f"There is no checkpoint at {path}. Give a run folder with checkpoints/{LATEST}, or a "
        f".pt file in such a folder."
    )


def all_checkpoints(run_dir: Path) -> list[Path]:
    """The checkpoint files of a run, the best ones to resume from first."""
    found = sorted((run_dir / "checkpoints").glob("*.pt"), reverse=True)
    order = {LATEST: 0, PREVIOUS: 1, BEST: 3}
    return sorted(found, key=lambda path: order.get(path.name, 2))


def run_folder(path: str | Path) -> Path:
    """The run folder that a path to it, or to one of its checkpoints, belongs to."""
    file = find_checkpoint(path)
    return file.parent.parent


def load_checkpoint(
    path: Path, device: torch.device | str = "cpu", mapped: bool = False
) -> dict[str, Any]:
    """Read a checkpoint; no code in it is run.

    Args:
        path: the file.
        device: where its tensors go.
        mapped: leave the tensors in the file until they are used, for readers of a few of them.

    Raises:
        UserError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"The checkpoint {path} does not exist.")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch itself does not look at the checksums
        if damaged is not None:
            raise ValueError(f"wrong checksum of {damaged}")
        state: dict[str, Any] = torch.load(
            path, map_location=device, weights_only=True, mmap=mapped
        )
    except Exception as error:  # torch raises many types for a damaged file
        raise UserError(
            f"The checkpoint {path} is damaged or not a checkpoint ({reason(error)}). "
            f"Use another one from {path.parent}."
        ) from error
    if not isinstance(state, dict) or "learner" not in state:
        raise UserError(
            f"{path} is a PyTorch file, but not a checkpoint of a run. Give a file from a run "
            f"folder's checkpoints/."
        )
    return state


def resumption(path: Path, state: dict[str, Any]) -> str:
    """The message of a run that is resumed from a checkpoint."""
    text = f"Resumed from {path}, after {state['counters']['env_steps']:,} environment steps."
    if "episodes" not in state["buffer"]:
        text += (
            " This checkpoint holds no episodes: the buffer begins empty, so the results will "
            "differ from those of an uninterrupted run."
        )
    return text


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """A short text that differs if a single weight does."""
    digest = hashlib.sha256()
    for name, weight in weights.items():
        digest.update(name.encode())
        digest.update(weight.cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def agent_weights(online: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the controller's network, among all that a learner trains.

    Args:
        online: `learner.online` of a checkpoint, where that network is called `agent`.
    """
    prefix = "agent."
    return {k.removeprefix(prefix): w for k, w in online.items() if k.startswith(prefix)}


def load_into(target: Any, state: dict[str, Any], path: Path, how: str = "load_state_dict") -> None:
    """`target.load_state_dict(state)`, with a readable error for another architecture.

    Args:
        target: what receives the state.
        state: the state.
        path: the checkpoint that it is from.
        how: another method of `target` to call.

    Raises:
        UserError: if names or shapes of the weights differ.
    """
    try:
        getattr(target, how)(state)
    except (RuntimeError, KeyError, ValueError, TypeError) as error:
        lines = [line.strip() for line in str(error).split("\n")][:4]
        raise UserError(
            f"The checkpoint {path} belongs to another architecture than this configuration "
            f"({' '.join(lines)}). Use the configuration it was trained with: its run folder's "
            f"config.yaml has it, and evaluate=True or resume=<run folder> read it by themselves."
        ) from error
