"""The table of every method on every task."""

from pathlib import Path

import pytest
from tests.analysis.run_folders import make_run

import report
from analysis.overview import Overview, overview
from analysis.results import find_runs
from analysis.tables import tables

FAR = {"controller": "agp_controller"}
OWN = {"controller": "basic_controller"}
HEIGHTS = {"agp": (0.8, 0.9), "dcg": (0.7, 0.8), "iql": (0.1, 0.2), "vdn": (0.2, 0.3)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for alg, ends in HEIGHTS.items():
        settings = FAR if alg in ("agp", "dcg") else OWN
        for seed, end in enumerate(ends):
            make_run(tmp_path / "topk", alg, seed, [0.0, end], **settings)
    for opponent in ("scripted", "random"):
        settings = {"env_name": "tag", "env": "mpe", "env_args": {"opponent": opponent}}
        make_run(tmp_path / opponent, "iql", 1, [0.0, 0.4], metric="x", **OWN, **settings)
    return tmp_path


def found_in(root: Path) -> Overview:
    return overview(tables(find_runs(root)[0], None))


def test_the_best_and_what_cannot_be_told_from_it_lead(root: Path) -> None:
    entries = found_in(root).entries
    assert entries["agp", "topk"].leads
    assert entries["dcg", "topk"].leads  # 0.75 plus and minus 0.64
    assert entries["iql", "topk"].leads  # two seeds tell little
    for seed in range(2, 30):
        make_run(root / "topk", "iql", seed, [0.0, 0.15], **OWN)
        make_run(root / "topk", "agp", seed, [0.0, 0.85], **FAR)
    assert not found_in(root).entries["iql", "topk"].leads


def test_each_opponent_has_a_column(root: Path) -> None:
    found = found_in(root)
    assert found.columns == {
        "topk": "test_success_mean",
        "tag vs scripted": "test_return_mean",
        "tag vs random": "test_return_mean",
    }
    assert ("agp", "tag vs random") not in found.entries


def test_methods_are_ordered_by_what_they_act_on_and_by_rank(root: Path) -> None:
    assert list(found_in(root).acts_on.items()) == [
        ("iql", "own history"),
        ("vdn", "own history"),
        ("agp", "shared"),
        ("dcg", "shared"),
    ]


def test_the_table_is_printed_for_several_tasks(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main([str(root)]) == 0
    text = capsys.readouterr().out
    assert " | topk, test_success_mean | CPU s |\n" in text
    assert "| agp | shared | - | - | **0.850 ± 0.635** | 10 |" in text
    assert "**-0.200**" in text  # one seed has no interval
    assert report.main([str(root / "topk")]) == 0
    assert "Every task" not in capsys.readouterr().out
