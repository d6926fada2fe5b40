"""A disk that is full, a folder that is gone: the run says so, and its last checkpoint is whole."""

import json
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.runs import TINY, rows

import records.disk_record
from main import main
from records.checkpoint import LATEST, load_checkpoint
from runners.batch_runner import BatchRunner

FLAGS = ["--config=vdn", "--env-config=topk", "with", *TINY, "checkpoint_interval=8"]


def run_dir(results: Path) -> Path:
    return results / "topk" / "vdn" / "vdn_seed1_1"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("whole")
    assert main([*FLAGS, f"results_dir={results}"]) == 0
    return run_dir(results)


@contextmanager
def no_file_larger_than(n_bytes: int) -> Iterator[None]:
    """A limit of the operating system that meets writes as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def at_step(monkeypatch: pytest.MonkeyPatch, env_steps: int, action: Callable[[], object]) -> None:
    """Do something while the episodes after so many steps are collected."""
    collect = BatchRunner.collect

    def collected(self: BatchRunner, at: int, greedy: bool = False) -> Any:
        if at == env_steps and not greedy:
            action()
        return collect(self, at, greedy)

    monkeypatch.setattr(BatchRunner, "collect", collected)


def said(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert message.count("error: ") == 1
    for part in parts:
        assert part in message


def go_on(results: Path, whole: Path) -> None:
    """The run ends as if nothing had happened, once there is room again."""
    assert not [path for path in results.rglob("*.tmp")]
    assert main(["with", f"resume={run_dir(results)}"]) == 0
    assert rows(run_dir(results)) == rows(whole)


@pytest.mark.parametrize(
    ("n_bytes", "what"),
    [(0, "commands.txt"), (2_000, "sacred"), (20_000, "checkpoints/best.pt")],
)
def test_a_disk_that_is_full_from_the_beginning(
    n_bytes: int, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with no_file_larger_than(n_bytes):
        assert main([*FLAGS, f"results_dir={tmp_path}"]) == 2
    said(capsys, what, "(File too large)", "Free space", "resume=")


@pytest.mark.parametrize("file", ["checkpoint", "metrics.csv"])
def test_a_disk_that_becomes_full(
    file: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fill() -> None:
        size = (run_dir(tmp_path) / "metrics.csv").stat().st_size
        soft = 20_000 if file == "checkpoint" else size + 30
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    at_step(monkeypatch, 40 if file == "checkpoint" else 24, fill)
    with no_file_larger_than(resource.RLIM_INFINITY):
        assert main([*FLAGS, f"results_dir={tmp_path}"]) == 2
    said(capsys, file, "(File too large)", f"resume={run_dir(tmp_path)}")
    state = load_checkpoint(run_dir(tmp_path) / "checkpoints" / LATEST)
    assert state["counters"]["env_steps"] == (40 if file == "checkpoint" else 24)
    monkeypatch.undo()
    go_on(tmp_path, whole)


def test_a_folder_that_vanishes_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_step(monkeypatch, 40, lambda: shutil.rmtree(run_dir(tmp_path)))
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 2
    said(capsys, str(run_dir(tmp_path)), "(No such file or directory)")
    assert not run_dir(tmp_path).exists()


@pytest.mark.parametrize(
    ("module", "file"), [("config.plain_data", "config.yaml"), ("config.history", "changes.csv")]
)
def test_a_configuration_that_cannot_be_written(
    module: str,
    file: str,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = shutil.copytree(whole, tmp_path / "run")
    before = (copy / "config.yaml").read_bytes()
    monkeypatch.setattr(f"{module}.replacing", Full(after=0))
    assert main(["with", f"resume={copy}", "t_max=128"]) == 2
    said(capsys, f"{file} cannot be written (No space left on device)")
    assert (copy / "config.yaml").read_bytes() == before


class Full:
    """Stands for `replacing` on a disk that is full from the n-th file on."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.replacing = records.disk_record.replacing

    def __call__(self, path: Path) -> Any:
        self.left -= 1
        if self.left < 0:
            raise OSError(28, "No space left on device")
        return self.replacing(path)


def test_sacreds_record_that_cannot_be_written_stops_the_run(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(records.disk_record, "replacing", Full(after=2))

    def beat() -> None:
        """What Sacred's own thread does every ten seconds."""
        thread = next(t for t in threading.enumerate() if type(t).__name__ == "IntervalTimer")
        thread.func()  # type: ignore[attr-defined]

    at_step(monkeypatch, 24, beat)
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 2
    said(capsys, "Sacred's record", "(No space left on device)", f"resume={run_dir(tmp_path)}")
    monkeypatch.undo()
    go_on(tmp_path, whole)


def test_a_record_of_sacred_that_cannot_be_ended_is_reported(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(records.disk_record, "replacing", Full(after=2))
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 2
    said(capsys, "Sacred's record")
    assert rows(run_dir(tmp_path)) == rows(whole)
    status = json.loads((run_dir(tmp_path) / "sacred" / "1" / "run.json").read_text())["status"]
    assert status == "RUNNING"  # whole, if old


def test_a_console_that_is_gone_does_not_matter(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = Path("/dev/full").open("w")
    monkeypatch.setattr("sys.stdout", full)
    assert main([*FLAGS, f"results_dir={tmp_path}"]) == 0
    monkeypatch.undo()
    with suppress(OSError):
        full.close()
    assert rows(run_dir(tmp_path)) == rows(whole)
