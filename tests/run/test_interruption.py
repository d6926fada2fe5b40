"""Signals: a run saves after the step under way, says how to resume, and loses nothing."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.runs import TINY, differences, final_state, rows

import run as run_module
from learners.base import Learner
from main import main
from records.checkpoint import LATEST, load_checkpoint
from records.disk_record import DiskRecord
from runners.batch_runner import BatchRunner

FLAGS = ["--config=agp", "--env-config=topk", "with", *TINY]


def folder(results: Path) -> Path:
    return results / "topk" / "agp" / "agp_seed1_1"


def status(run_dir: Path, record: int = 1) -> str:
    text = (run_dir / "sacred" / str(record) / "run.json").read_text()
    return str(json.loads(text)["status"])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("whole")
    assert main([*FLAGS, f"results_dir={results}"]) == 0
    return folder(results)


def signal_at(
    monkeypatch: pytest.MonkeyPatch,
    place: Any,
    name: str,
    *received: signal.Signals,
    call: int = 1,
    of_interest: Callable[..., bool] = lambda *_, **__: True,
) -> None:
    """Signals that arrive in the middle of the n-th call of a function that is of interest."""
    function, seen = getattr(place, name), []

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if of_interest(*args, **kwargs):
            seen.append(1)
            if len(seen) == call:
                for one in received:
                    signal.raise_signal(one)
        return function(*args, **kwargs)

    monkeypatch.setattr(place, name, interrupted)


MOMENTS: dict[str, tuple[tuple[Any, str], int, int]] = {  # where, which call, saved at which step
    "in Sacred's beginning": ((DiskRecord, "started_event"), 1, 8),
    "while collecting": ((BatchRunner, "collect"), 4, 24),  # the first test was a call, too
    "in a test": ((BatchRunner, "collect"), 2, 8),
    "in a gradient step": ((Learner, "train"), 3, 24),
    "while a checkpoint is written": ((torch, "save"), 2, 16),
    "while metrics are written": ((run_module.RunLog, "write"), 4, 16),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_a_resumed_run_equals_one_that_was_not_stopped(
    moment: str,
    received: signal.Signals,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    where, call, saved_at = MOMENTS[moment]
    signal_at(monkeypatch, *where, received, call=call)
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 128 + received
    monkeypatch.undo()
    run_dir = folder(tmp_path)
    said = capsys.readouterr().err
    assert f"python src/main.py with resume={run_dir}" in said
    assert f"Stopped after {saved_at} environment steps" in said
    assert caplog.text == ""  # no "Aborted after ..." of Sacred's: everything is saved
    state = load_checkpoint(run_dir / "checkpoints" / LATEST)
    assert state["counters"]["env_steps"] == saved_at
    assert state["log_position"] == (run_dir / "metrics.csv").stat().st_size
    assert status(run_dir) == "INTERRUPTED"
    assert main(["with", f"resume={run_dir}"]) == 0
    assert rows(run_dir) == rows(whole)
    assert differences(final_state(run_dir), final_state(whole)) == []
    assert status(run_dir, 2) == "COMPLETED"


def test_a_signal_during_start_up_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signal_at(monkeypatch, run_module, "build_buffer", signal.SIGTERM)
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 143
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "Stopped by SIGTERM; no training was under way.\n"


def test_a_signal_in_the_last_step_changes_nothing(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_at(
        monkeypatch,
        BatchRunner,
        "collect",
        signal.SIGTERM,
        of_interest=lambda _, env_steps, greedy=False: env_steps == 56,
    )
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 0
    assert status(folder(tmp_path)) == "COMPLETED"
    assert rows(folder(tmp_path)) == rows(whole)


def test_a_second_sigint_stops_at_once_and_leaves_the_checkpoint(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signal_at(monkeypatch, BatchRunner, "collect", signal.SIGINT, signal.SIGINT, call=7)
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 130
    monkeypatch.undo()
    run_dir = folder(tmp_path)
    assert "Stopped at once" in capsys.readouterr().err
    state = load_checkpoint(run_dir / "checkpoints" / LATEST)
    assert state["counters"]["env_steps"] == 32
    assert status(run_dir) == "INTERRUPTED"
    assert main(["with", f"resume={run_dir}"]) == 0
    assert rows(run_dir) == rows(whole)


def test_numbered_checkpoints_are_those_of_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_at(monkeypatch, BatchRunner, "collect", signal.SIGTERM, call=4)
    keep = "keep_numbered_checkpoints=True"
    assert main([*FLAGS, f"results_dir={tmp_path}", keep]) == 143
    names = {path.name for path in (folder(tmp_path) / "checkpoints").iterdir()}
    assert names == {LATEST, "previous.pt", "best.pt", "000000000008.pt"}
