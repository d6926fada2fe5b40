"""Checkpoints: written whole or not at all, read without running code.

A checkpoint is one nested dictionary of tensors, numbers and text. It is written to a temporary
file in the same folder, flushed to the disk and then renamed, so that a file under its final name
is always complete.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError

LATEST, BEST = "latest.pt", "best.pt"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path`, replacing an older file only once the new one is on the disk.

    Raises:
        UserError: if the folder cannot be written; an older file stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0][:200]
        raise UserError(
            f"The checkpoint {path} could not be written ({reason}). "
            f"Free space or make the folder writable, then continue the "
            f"run with `with resume={path.parents[1]}`."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)  # gone already, unless something went wrong


def find_checkpoint(path: str | Path) -> Path:
    """The checkpoint file meant by a run folder (its latest) or by the file itself.

    Raises:
        UserError: if there is none.
    """
    path = Path(path)
    if path.is_file():
        return path
    candidate = path / "checkpoints" / LATEST
    if candidate.is_file():
        return candidate
    raise UserError(
        f"There is no checkpoint at {path}. Give a run folder with checkpoints/{LATEST}, or a "
        f".pt file in such a folder."
    )


def run_folder(path: str | Path) -> Path:
    """The run folder that a path to it, or to one of its checkpoints, belongs to."""
    file = find_checkpoint(path)
    return file.parent.parent


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; no code in it is run.

    Raises:
        UserError: if the file is missing or damaged.
    """
    if not path.is_file():
        raise UserError(f"The checkpoint {path} does not exist.")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file
        reason = str(error).split("\n")[0][:200]
        raise UserError(
            f"The checkpoint {path} is damaged or is not one of ours ({reason}). "
            f"Use another one from {path.parent}."
        ) from error
    if not isinstance(state, dict) or "learner" not in state:
        raise UserError(
            f"{path} is a PyTorch file, but no checkpoint of a run. Give a file from a run "
            f"folder's checkpoints/."
        )
    return state


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """A short text that differs if a single weight does."""
    digest = hashlib.sha256()
    for name, weight in weights.items():
        digest.update(name.encode())
        digest.update(weight.cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def load_into(target: Any, state: dict[str, Any], path: Path) -> None:
    """`target.load_state_dict(state)`, with a readable error for another architecture.

    Raises:
        UserError: if names or shapes of the weights differ.
    """
    try:
        target.load_state_dict(state)
    except (RuntimeError, KeyError, ValueError) as error:
        lines = [line.strip() for line in str(error).split("\n")][:4]
        raise UserError(
            f"The checkpoint {path} belongs to another architecture than this configuration "
            f"({' '.join(lines)}). Use the configuration it was trained with: its run folder's "
            f"config.yaml has it, and evaluate=True or resume=<run folder> read it by themselves."
        ) from error
