import csv
from pathlib import Path

import pytest

from records.evaluations import append_evaluation, drop_evaluations_after, opponent_label
from utils.errors import UserError


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


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


def test_evaluations_of_steps_that_are_trained_again_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "evaluations.csv"
    drop_evaluations_after(tmp_path, 32)
    assert not path.exists()
    for steps in (32, 64):
        append_evaluation(tmp_path, "latest.pt", steps, 9, "", "lr=1, a", {"test_return_mean": 0.5})
    whole = path.read_text()
    drop_evaluations_after(tmp_path, 64)
    assert path.read_text() == whole
    path.write_text(whole + "latest.pt,96,9,,lr=1,test_re")  # the last row torn
    drop_evaluations_after(tmp_path, 32)
    assert path.read_text() == "\n".join([*whole.split("\n")[:2], ""])
    path.write_text("checkpoint,env_steps\nlatest.pt,x\n")
    with pytest.raises(UserError, match=r"cannot be used .*Repair it"):
        drop_evaluations_after(tmp_path, 32)


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
