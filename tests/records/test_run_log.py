import csv
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from records.run_log import COLUMNS, RUN_METRICS, TIMINGS, RunLog, append_evaluation, opponent_label
from utils.errors import UserError


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_one_row_for_each_metric(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write((8, 4, 2), 1.239, {"loss": 1 / 3, "epsilon": 1.0})
    log.close()
    assert read(tmp_path / "metrics.csv") == [
        list(COLUMNS),
        ["8", "4", "2", "1.24", "loss", "0.333333333"],
        ["8", "4", "2", "1.24", "epsilon", "1"],
    ]


def test_rows_are_in_the_file_before_it_is_closed(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write((8, 4, 2), 1.0, {"loss": 1.0})
    assert len(read(tmp_path / "metrics.csv")) == 2
    log.close()


def test_a_new_log_replaces_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write((8, 8, 1), 1.0, {"loss": 1.0})
    position = log.position
    log.write((16, 16, 2), 2.0, {"loss": 2.0})
    log.close()
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("24,24,3,3.00,lo")  # torn by the end of the process
    log = RunLog(tmp_path, position=position)
    assert log.position == position
    log.write((16, 16, 2), 2.5, {"loss": 2.0})
    log.close()
    assert [row[0] for row in read(tmp_path / "metrics.csv")] == ["env_steps", "8", "16"]
    RunLog(tmp_path).close()
    assert read(tmp_path / "metrics.csv") == [list(COLUMNS)]


def test_a_position_beyond_the_file_adds_no_gap(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    end = log.position
    log.close()
    log = RunLog(tmp_path, position=end + 100)
    log.write((8, 8, 1), 1.0, {"loss": 1.0})
    log.close()
    assert b"\0" not in (tmp_path / "metrics.csv").read_bytes()
    assert len(read(tmp_path / "metrics.csv")) == 2


def test_metrics_also_go_to_the_scalar(tmp_path: Path) -> None:
    seen: list[tuple[str, float, int]] = []
    log = RunLog(tmp_path, scalar=lambda *row: seen.append(row))
    log.write((8, 4, 2), 1.0, {"loss": 0.5, "lr": 0.1})
    log.close()
    assert seen == [("loss", 0.5, 8), ("lr", 0.1, 8)]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.csv cannot be written \(No such file"):
        RunLog(tmp_path / "gone")


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    RunLog(tmp_path).close()
    (tmp_path / "metrics.csv").unlink()
    (tmp_path / "metrics.csv").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"\(No space left on device\).*`with resume="):
        RunLog(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    log = RunLog(tmp_path)
    os.dup2(os.open("/dev/full", os.O_WRONLY), log._file.fileno())
    with pytest.raises(UserError, match="No space left on device"):
        log.write((8, 4, 2), 1.0, {"loss": 1.0})
    log.close()


def test_a_file_that_vanishes_is_missed(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(UserError, match=r"metrics\.csv cannot be written \(No such file"):
        log.write((8, 4, 2), 1.0, {"loss": 1.0})
    log.close()


def test_rows_can_be_brought_to_the_disk(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write((8, 4, 2), 1.0, {"loss": 1.0})
    assert log.secure() == log.position == (tmp_path / "metrics.csv").stat().st_size
    log.close()


def test_tensorboard_hides_what_came_after_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    purged = []

    def writer(folder: str, purge_step: int | None) -> SimpleNamespace:
        purged.append(purge_step)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr("records.run_log.tensorboard_writer", lambda: writer)
    RunLog(tmp_path, use_tensorboard=True).close()
    RunLog(tmp_path, use_tensorboard=True, position=0, env_steps=64).close()
    assert purged == [None, 65]


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="-m pip install tensorboard`"):
        RunLog(tmp_path, use_tensorboard=True)


def test_evaluations_are_appended(tmp_path: Path) -> None:
    append_evaluation(tmp_path, "latest.pt", 64, 100, "", "", {"test_return_mean": 0.5})
    append_evaluation(tmp_path, "best.pt", 32, 100, "random", "lr=1", {"test_return_mean": 0.75})
    assert read(tmp_path / "evaluations.csv") == [
        ["checkpoint", "env_steps", "n_episodes", "opponent", "changes", "key", "value"],
        ["latest.pt", "64", "100", "", "", "test_return_mean", "0.5"],
        ["best.pt", "32", "100", "random", "lr=1", "test_return_mean", "0.75"],
    ]
    with pytest.raises(UserError, match=r"evaluations\.csv cannot be written"):
        append_evaluation(tmp_path / "gone", "latest.pt", 64, 100, "", "", {})


def test_an_older_file_of_evaluations_keeps_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.csv"
    path.write_text("checkpoint,env_steps,n_episodes,changes,key,value\n")
    append_evaluation(tmp_path, "latest.pt", 64, 9, "random", "lr=1", {"test_return_mean": 0.5})
    assert read(path)[1] == ["latest.pt", "64", "9", "lr=1", "test_return_mean", "0.5"]


@pytest.mark.parametrize(
    ("env_args", "label"),
    [
        ({}, ""),
        ({"opponent": "none", "protocol": "all_common"}, ""),
        ({"opponent": "none", "protocol": "two_team"}, "learns too"),
        ({"opponent": "random", "learners": None}, "random"),
        ({"opponent": "random", "learners": "good"}, "random (good learn)"),
        ({"opponent": "path", "opponent_path": "results/a/"}, "results/a"),
        ({"opponent": "path", "opponent_path": "results/a/checkpoints/latest.pt"}, "results/a"),
        ({"opponent": "path", "opponent_path": "a/checkpoints/best.pt"}, "a/checkpoints/best.pt"),
    ],
)
def test_opponents_are_labelled(env_args: dict, label: str) -> None:
    assert opponent_label(env_args) == label


def test_timings_are_described_where_the_run_writes_them() -> None:
    ours = {key for key in TIMINGS if key not in ("time_act", "time_env", "time_store")}
    assert ours <= set(RUN_METRICS)
