import csv
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from records.logger import Logger, RunEnd, RunStart
from records.loggers.csv import CsvLogger
from records.loggers.tensorboard import TensorBoardLogger
from records.metrics import COLUMNS, RUN_METRICS, TIMINGS, Row, read_rows
from records.run_log import RunLog
from utils.errors import UserError
from utils.registry import NoSettings

END = RunEnd({})


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def started(run_dir: Path, position: int | None = None) -> CsvLogger:
    log = CsvLogger(NoSettings())
    log.start(RunStart(run_dir, "agp-topk", {}, 0, position))
    return log


def test_one_row_for_each_metric(tmp_path: Path) -> None:
    log = started(tmp_path)
    log.log((8, 4, 2), 1.239, {"loss": 1 / 3, "epsilon": 1.0})
    log.close(END)
    assert read(tmp_path / "metrics.csv") == [
        list(COLUMNS),
        ["8", "4", "2", "1.24", "loss", "0.333333333"],
        ["8", "4", "2", "1.24", "epsilon", "1"],
    ]


def test_rows_are_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    log = started(tmp_path)
    log.log((8, 4, 2), 1.0, {"loss": 1.0})
    assert len(read(tmp_path / "metrics.csv")) == 2
    log.close(END)


def test_a_new_log_replaces_and_a_resumed_one_continues(tmp_path: Path) -> None:
    log = started(tmp_path)
    log.log((8, 8, 1), 1.0, {"loss": 1.0})
    position = log.flush()
    log.log((16, 16, 2), 2.0, {"loss": 2.0})
    log.close(END)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("24,24,3,3.00,lo")  # torn by the end of the process
    log = started(tmp_path, position)
    assert log.flush() == position
    log.log((16, 16, 2), 2.5, {"loss": 2.0})
    log.close(END)
    assert [row[0] for row in read(tmp_path / "metrics.csv")] == ["env_steps", "8", "16"]
    started(tmp_path).close(END)
    assert read(tmp_path / "metrics.csv") == [list(COLUMNS)]


def test_a_position_beyond_the_file_adds_no_gap(tmp_path: Path) -> None:
    log = started(tmp_path)
    end = log.flush()
    log.close(END)
    log = started(tmp_path, end + 100)
    log.log((8, 8, 1), 1.0, {"loss": 1.0})
    log.close(END)
    assert b"\0" not in (tmp_path / "metrics.csv").read_bytes()
    assert len(read(tmp_path / "metrics.csv")) == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.csv cannot be written \(No such file"):
        started(tmp_path / "gone")


def test_a_full_disk(tmp_path: Path) -> None:
    started(tmp_path).close(END)
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    log = CsvLogger(NoSettings())
    with pytest.raises(UserError, match=r"\(No space left on device\).*`with resume="):
        log.start(RunStart(tmp_path, "agp-topk", {}))
    with pytest.raises(UserError, match="No space left on device"):
        log.close(END)
    (tmp_path / "metrics.csv").unlink()
    log = started(tmp_path)
    os.dup2(os.open("/dev/full", os.O_WRONLY), log._file.fileno())
    with pytest.raises(UserError, match="No space left on device"):
        log.log((8, 4, 2), 1.0, {"loss": 1.0})
    with pytest.raises(UserError, match="No space left on device"):
        log.close(END)


def test_a_file_that_vanishes_is_missed(tmp_path: Path) -> None:
    log = started(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"metrics\.csv cannot be written \(No such file"):
        log.log((8, 4, 2), 1.0, {"loss": 1.0})
    log.close(END)


def test_rows_can_be_brought_to_the_disk(tmp_path: Path) -> None:
    log = started(tmp_path)
    log.log((8, 4, 2), 1.0, {"loss": 1.0})
    assert log.flush() == (tmp_path / "metrics.csv").stat().st_size
    log.close(END)


def test_rows_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    assert read_rows(path) == ([], 0)
    log = started(tmp_path)
    log.log((8, 4, 2), 1.25, {"loss": 0.5})
    rows, read_until = read_rows(path)
    assert rows == [Row(8, 4, 2, 1.25, "loss", 0.5)]
    log.log((16, 8, 4), 2.5, {"loss": float("inf")})
    with path.open("a") as file:
        file.write("24,12,6,3.00,lo")  # a row that is being written
    rows, read_until = read_rows(path, read_until)
    assert rows == [Row(16, 8, 4, 2.5, "loss", float("inf"))]
    assert read_rows(path, read_until) == ([], read_until)
    log.close(END)


class Recorder(Logger):
    """Keeps what it receives; its start or its end may fail."""

    def __init__(self, fails: str = "") -> None:
        super().__init__(NoSettings())
        self.fails, self.seen = fails, list[Any]()

    def start(self, run: RunStart) -> None:
        self.seen.append("start")
        if self.fails == "start":
            raise UserError("no start")

    def log(self, counts: tuple[int, int, int], seconds: float, metrics: dict[str, float]) -> None:
        self.seen.append((counts, seconds, metrics))

    def close(self, end: RunEnd) -> None:
        self.seen.append(end)
        if self.fails == "close":
            raise UserError("no end")


def run_log(run_dir: Path, *others: Recorder) -> RunLog:
    named = {str(i): other for i, other in enumerate(others)}
    start = RunStart(run_dir, "agp-topk", {})
    return RunLog({**named, "csv": CsvLogger(NoSettings())}, start)


def test_every_logger_gets_everything(tmp_path: Path) -> None:
    first, second = Recorder(), Recorder()
    with run_log(tmp_path, first, second) as log:
        log.write((8, 4, 2), 1.0, {"loss": 0.5})
        log.result = {"test_return_mean": 1.0}
        assert log.flush() == (tmp_path / "metrics.csv").stat().st_size
    end = RunEnd({"test_return_mean": 1.0})
    assert first.seen == second.seen == ["start", ((8, 4, 2), 1.0, {"loss": 0.5}), end]
    assert len(read(tmp_path / "metrics.csv")) == 2


def test_a_logger_that_does_not_start_leaves_none_open(tmp_path: Path) -> None:
    good, bad, later = Recorder(), Recorder("start"), Recorder()
    with pytest.raises(UserError, match="no start"), run_log(tmp_path, good, bad, later):
        raise AssertionError("not reached")
    assert isinstance(good.seen[1].error, UserError)
    assert len(bad.seen) == 2
    assert later.seen == []


def test_the_first_error_is_the_one_that_is_raised(tmp_path: Path) -> None:
    bad, later = Recorder("close"), Recorder()
    with pytest.raises(UserError, match="no end"), run_log(tmp_path, bad, later):
        pass
    assert str(later.seen[-1].error) == "no end"
    bad, later = Recorder("close"), Recorder()
    with pytest.raises(KeyboardInterrupt), run_log(tmp_path, bad, later):
        raise KeyboardInterrupt
    assert isinstance(later.seen[-1].error, KeyboardInterrupt)


def test_tensorboard_hides_what_came_after_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged = []

    def writer(folder: str, purge_step: int | None) -> SimpleNamespace:
        purged.append(purge_step)
        return SimpleNamespace(close=lambda: None)

    fake = SimpleNamespace(SummaryWriter=writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    monkeypatch.setattr("records.loggers.tensorboard.require_package", lambda name: None)
    for place in ((0, None), (64, 0)):
        logger = TensorBoardLogger(NoSettings())
        logger.start(RunStart(tmp_path, "agp-topk", {}, *place))
        logger.close(END)
    assert purged == [None, 65]


def test_timings_are_described_where_the_run_writes_them() -> None:
    ours = {key for key in TIMINGS if key not in ("time_act", "time_env", "time_store")}
    assert ours <= set(RUN_METRICS)
