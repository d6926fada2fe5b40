"""Searches: trials continue after a stop, weak ones are pruned, the winner gets fresh seeds."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.helpers.runs import TINY

import search
from config.search_space import Range, Search
from config.suite_file import Study
from main import main as train
from records.run_dir import locked
from suites.trials import STARTUP_TRIALS, Pruning, Trials

pytest.importorskip("optuna", reason="optuna is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")

SPACE = {"lr": Range(1e-4, 1e-1, log=True), "hidden_dim": (8, 16), "batch_size": Range(4, 8)}
SEARCH = Search(7, (8,), SPACE, "test_return_mean")
STUDY = Study("iql", "one_hot", ("t_max=64",), (1, 2))


def test_trials_go_on_where_they_were(tmp_path: Path) -> None:
    (tmp_path / "twin").mkdir()
    twin = Trials(SEARCH, STUDY, tmp_path / "twin")
    trials = Trials(SEARCH, STUDY, tmp_path)
    first = trials.next()
    assert twin.settings(twin.next()) == trials.settings(first)
    chosen = trials.settings(first)
    assert chosen["hidden_dim"] in (8, 16)
    assert isinstance(chosen["batch_size"], int)
    assert chosen["lr"] == float(f"{chosen['lr']:.3g}")
    again = Trials(SEARCH, STUDY, tmp_path)
    assert again.settings(again.next()) == chosen
    again.tell(again.next(), 0.5)
    twin.tell(twin.next(), 0.5)
    restarted = Trials(SEARCH, STUDY, tmp_path)
    second = restarted.settings(restarted.next())
    assert second != chosen
    assert second == twin.settings(twin.next())
    for score in (0.9, None, 0.1, 0.2, 0.3, 0.4):
        trials.tell(trials.next(), score)
    assert Trials(SEARCH, STUDY, tmp_path).next() is None
    assert trials.best().value == 0.9


def test_other_settings_are_another_study(tmp_path: Path) -> None:
    other = Study("iql", "one_hot", ("t_max=65",), (1, 2))
    assert Trials(SEARCH, STUDY, tmp_path).name != Trials(SEARCH, other, tmp_path).name


def test_a_trial_below_the_median_is_pruned(tmp_path: Path) -> None:
    def curves(*means: float) -> list:
        values = np.array(means)
        return [(np.arange(len(means)), values - 1), (np.arange(len(means)), values + 1)]

    trials = Trials(SEARCH, STUDY, tmp_path)
    for score in range(STARTUP_TRIALS):
        trial = trials.next()
        assert not Pruning(trial).see(curves(score, score))
        trials.tell(trial, score)
    trial = trials.next()
    pruning = Pruning(trial)
    assert not pruning.see([])
    assert not pruning.see(curves(9))
    trials.tell(trial, 9)
    weak = trials.next()
    assert Pruning(weak).see(curves(0))
    assert Pruning(weak).see(curves(0, 0))  # continues with what it has reported
    trials.prune(weak)


class InProcess:
    """Runs each command here, at once."""

    def start(self, argv: list[str]) -> "InProcess":
        self.code = train(argv[2:])
        return self

    def ended(self) -> tuple[int, str]:
        return self.code, ""

    def stop(self) -> None:
        pass

    close = stop


def write(folder: Path) -> str:
    data = {
        "runs": [
            {
                "algs": ["iql"],
                "envs": ["one_hot"],
                "seeds": [1],
                "with": dict(text.split("=") for text in TINY),
            }
        ],
        "search": {"trials": 1, "fresh_seeds": [2], "space": {"lr": [0.01]}},
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def test_the_winner_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(search, "engine_of", lambda given, jobs: InProcess())
    given = [write(tmp_path), "--parallel", "2", "with", f"results_dir={tmp_path}/results"]
    assert search.main(given) == 0
    runs = sorted(path.name for path in (tmp_path / "results/one_hot/iql").iterdir())
    assert runs == ["lr=0.01_seed1_1", "lr=0.01_seed2_1"]
    assert "1 fresh seeds" in capsys.readouterr().out
    with locked(tmp_path / "results/search/mine"):
        assert search.main(given) == 75
    assert search.main(["swap"]) == 2
    assert "does not say what to search" in capsys.readouterr().err
