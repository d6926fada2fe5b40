"""Archives of runs."""

from pathlib import Path

import pytest
from tests.analysis.run_folders import evaluate_run, make_run

from analysis.archive import write_archive
from analysis.results import find_runs
from report import main
from utils.errors import UserError


def test_a_report_of_an_archive_is_that_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, end in enumerate([0.5, 0.7, 0.9]):
        evaluate_run(make_run(tmp_path / "runs", "agp", seed, [0.1, 0.2, end]), end)
    assert main(["runs"]) == 0
    expected = capsys.readouterr().out
    assert main(["runs", "--archive", "mine.tar.xz"]) == 0
    assert capsys.readouterr().out == "3 runs: mine.tar.xz\n"
    assert main(["mine.tar.xz"]) == 0
    assert capsys.readouterr().out == expected


def test_an_archive_keeps_which_settings_a_run_had_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = make_run(tmp_path / "runs", "agp", 1, [0.1, 0.2])
    (folder / "changes.csv").write_text("env_steps,setting,before,after\n40,lr,0.01,0.001\n")
    assert main(["runs", "--archive", "mine.tar.xz"]) == 0
    assert main(["mine.tar.xz"]) == 0
    assert "agp_seed1_1 (lr=0.01 before step 40)." in capsys.readouterr().out


def test_an_archive_can_be_archived_and_its_runs_are_shown_by_their_place_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "runs", "agp", 0, [0.1, 0.2])
    make_run(tmp_path / "runs", "vdn", 0, [0.1, 0.2], t_max=1_000_000)
    assert main(["runs", "--archive", "first.tar.xz"]) == 0
    assert main(["first.tar.xz", "--archive", "second.tar.xz"]) == 0
    assert Path("first.tar.xz").read_bytes() == Path("second.tar.xz").read_bytes()
    assert main(["first.tar.xz", "--html", "page"]) == 0
    assert (
        "Left out: 1 unfinished run, first.tar.xz/topk/vdn/vdn_seed0_1 (" in capsys.readouterr().out
    )
    assert "<code>first.tar.xz/topk/agp/agp_seed0_1</code>" in Path("page/index.html").read_text()


def test_equal_runs_make_equal_archives_without_the_folder_of_results(tmp_path: Path) -> None:
    files = []
    for place in ("here", "there"):
        make_run(tmp_path / place, "agp", 0, [0.1, 0.2])
        files.append(tmp_path / f"{place}.tar.xz")
        write_archive(files[-1], find_runs(tmp_path / place)[0])
    assert files[0].read_bytes() == files[1].read_bytes()


def test_runs_of_the_same_folder_are_an_error(tmp_path: Path) -> None:
    for place in ("here", "there"):
        make_run(tmp_path / place, "agp", 0, [0.1, 0.2])
    with pytest.raises(UserError, match="would both be topk/agp/agp_seed0_1"):
        write_archive(tmp_path / "x.tar.xz", find_runs(tmp_path)[0])


def test_another_ending_and_another_file_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path, "agp", 0, [0.1, 0.2])
    with pytest.raises(UserError, match=r"must end in \.tar\.xz"):
        write_archive(tmp_path / "x.zip", find_runs(tmp_path)[0])
    wrong = tmp_path / "wrong.tar.xz"
    wrong.write_text("no archive")
    assert main([str(wrong)]) == 2
    assert f"{wrong} is no archive of runs" in capsys.readouterr().err
