"""Differences between two rows of a table."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_ind
from tests.analysis.run_folders import make_run

from analysis.differences import differences, differences_markdown, parse_differences
from analysis.results import find_runs
from analysis.statistics import welch_interval
from analysis.tables import Table, tables
from report import main
from utils.errors import UserError

AGP, VDN = (0.9, 0.8, 0.95), (0.4, 0.5, 0.2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, (agp, vdn) in enumerate(zip(AGP, VDN, strict=True)):
        make_run(tmp_path, "agp", seed, [0.1, agp])
        make_run(tmp_path, "agp", seed, [0.1, agp / 2], name="no_memory", use_rnn=False)
        make_run(tmp_path, "vdn", seed, [0.1, vdn])
    return tmp_path


def read(root: Path) -> list[Table]:
    return tables(find_runs(str(root))[0], None)


def test_mean_and_interval(root: Path) -> None:
    wanted = [("graph", ("agp", "vdn")), ("memory", ("agp", "agp (no_memory)"))]
    found, notes = differences(read(root), wanted)
    assert notes == []
    graph, memory = found
    assert graph.mean == pytest.approx(np.mean(AGP) - np.mean(VDN))
    assert memory.mean == pytest.approx(np.mean(AGP) / 2)
    assert graph.n_seeds == (3, 3)
    expected = ttest_ind(AGP, VDN, equal_var=False).confidence_interval(0.95)
    assert graph.interval == pytest.approx((expected.low, expected.high))
    text = differences_markdown(found)
    assert text.startswith("| difference | topk |\n|---|---|\n| graph: agp - vdn | +0.517 (")
    assert "\n| memory: agp - agp (no_memory) | +0.442 (" in text
    assert "+0.517 (" in text


def test_no_interval_from_one_seed_and_none_without_spread() -> None:
    assert np.isnan(welch_interval(np.array([1.0]), np.array([1.0, 2.0]))).all()
    assert welch_interval(np.full(3, 2.0), np.ones(2)) == (1.0, 1.0)


def test_a_method_that_no_task_has_is_an_error_with_the_rows(root: Path) -> None:
    with pytest.raises(UserError, match=r"no task has both agp and qmix.*agp \(no_memory\)"):
        differences(read(root), [("x", ("agp", "qmix"))])


def test_a_label_of_several_rows_is_an_error(root: Path) -> None:
    make_run(root, "agp", 9, [0.1, 0.2], lr=0.01)
    with pytest.raises(UserError, match=r"'agp' stands for 2 rows.*lr"):
        differences(read(root), [("x", ("agp", "vdn"))])
    found, _ = differences(read(root), [("x", ("agp, lr=0.01", "vdn"))])
    assert found[0].n_seeds == (1, 3)
    assert "(1 and 3 seeds)" in differences_markdown(found)


def test_a_task_without_both_is_a_note(root: Path) -> None:
    make_run(root, "agp", 0, [0.1, 0.2], number=5, env_name="other", env="topk")
    found, notes = differences(read(root), [("graph", ("agp", "vdn"))])
    assert len(found) == 1
    assert notes == ["graph: other has no vdn."]


@pytest.mark.parametrize("text", ["graph", "=a - b", "graph=agp-vdn", "graph=agp - "])
def test_what_is_no_difference_is_an_error(text: str) -> None:
    with pytest.raises(UserError, match="not a name and two methods"):
        parse_differences([text])


def test_report_prints_them(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = ["agp - vdn", "agp - agp (no_memory)"]  # one name may stand for several pairs
    assert main([str(root), *(f"--difference=graph={pair}" for pair in pairs)]) == 0
    said = capsys.readouterr().out.partition("## Differences\n\n| difference | topk |\n")[2]
    assert [line.split(" | ")[0] for line in said.splitlines()[1:3]] == [
        f"| graph: {pair}" for pair in pairs
    ]
