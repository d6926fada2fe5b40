"""`episodes.csv`: one row for each episode of an evaluation."""

import csv
from pathlib import Path

import pytest
import torch

from records.episodes import write_episodes
from utils.errors import UserError

ABOUT = {"checkpoint": "latest.pt", "changes": ""}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_team_reward_is_one_column(tmp_path: Path) -> None:
    episodes = {"returns": torch.tensor([[1.5], [0.0]]), "ep_length": torch.tensor([3, 4])}
    path = write_episodes(tmp_path, ABOUT, episodes, ("a", "b"))
    assert rows(path)[0] == {**ABOUT, "episode": "0", "return": "1.5", "ep_length": "3"}
    assert [row["episode"] for row in rows(path)] == ["0", "1"]


def test_individual_rewards_are_a_column_each_and_their_mean(tmp_path: Path) -> None:
    episodes = {"returns": torch.tensor([[1.0, 3.0], [5.0, torch.nan]])}
    found = rows(write_episodes(tmp_path, ABOUT, episodes, ("a", "b")))
    assert [(row["return"], row["return_a"], row["return_b"]) for row in found] == [
        ("2", "1", "3"),
        ("5", "5", "nan"),
    ]


def test_a_later_evaluation_replaces_the_file(tmp_path: Path) -> None:
    for n in (5, 2):
        path = write_episodes(tmp_path, ABOUT, {"returns": torch.zeros(n, 1)}, ("a",))
    assert len(rows(path)) == 2


def test_a_folder_that_is_gone_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"episodes\.csv cannot be written"):
        write_episodes(tmp_path / "gone", ABOUT, {"returns": torch.zeros(1, 1)}, ("a",))
