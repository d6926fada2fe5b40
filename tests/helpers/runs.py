"""Tiny runs, and what the tests of whole runs read from their folders."""

import csv
from pathlib import Path
from typing import Any

import torch

from config.load import load_config
from config.schema import RunConfig
from records.checkpoint import LATEST, load_checkpoint
from records.metrics import TIMINGS
from run import Run

TINY = (
    "t_max=64",
    "batch_size_run=8",
    "batch_size=8",
    "buffer_size=20",
    "train_every_episodes=8",
    "test_interval=32",
    "test_nepisode=8",
    "test_batch_size_run=8",
    "log_interval=16",
    "checkpoint_interval=32",
    "show_progress=False",
)


OF_REPLAY = ("buffer_size", "train_every_episodes")


def tiny(alg: str, env: str, *overrides: str) -> RunConfig:
    """The configuration of a run that takes a fraction of a second."""
    return load_config(alg, env, [*tiny_settings(alg), "loggers=[csv]", *overrides])


def tiny_settings(alg: str) -> list[str]:
    """`TINY`, without what the method does not read."""
    replays = load_config(alg, None, []).buffer == "replay"
    return [setting for setting in TINY if replays or setting.split("=")[0] not in OF_REPLAY]


def train(config: RunConfig, run_dir: Path) -> Path:
    """Train in this process; returns the run's folder."""
    run_dir.mkdir(parents=True, exist_ok=True)
    Run(config).train(run_dir)
    return run_dir


def rows(run_dir: Path) -> list[dict[str, str]]:
    """`metrics.csv` without what the clock says."""
    with (run_dir / "metrics.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    for row in found:
        del row["seconds"]
    return [row for row in found if row["key"] not in TIMINGS]


def final_state(run_dir: Path) -> dict[str, Any]:
    """The latest checkpoint without what the clock says."""
    state = load_checkpoint(run_dir / "checkpoints" / LATEST)
    del state["log_position"], state["since_log"]
    for clock in ("seconds", "cpu_seconds"):
        del state["counters"][clock]
    return state


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Paths at which two nested structures differ in a single bit."""
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [f"{path}: {a.keys() ^ b.keys()}"]
        return [d for key in a for d in differences(a[key], b[key], f"{path}.{key}")]
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) != len(b):
            return [f"{path}: {len(a)} and {len(b)} entries"]
        pairs = enumerate(zip(a, b, strict=True))
        return [d for i, (x, y) in pairs for d in differences(x, y, f"{path}[{i}]")]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    return [] if type(a) is type(b) and a == b else [f"{path}: {a} and {b}"]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the bytes of the files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
