import multiprocessing
import os
from pathlib import Path

import pytest

from utils.errors import UserError
from utils.run_dir import create_run_dir, require_writable


def make(results: str) -> Path:
    return create_run_dir(results, "topk", "agp", "trial", 3)


def test_the_path_says_what_runs(tmp_path: Path) -> None:
    path = make(str(tmp_path / "deep" / "results"))
    assert path == tmp_path / "deep" / "results" / "topk" / "agp" / "trial_seed3_1"
    assert (path / "checkpoints").is_dir()


def test_ids_count_on_over_what_is_there(tmp_path: Path) -> None:
    assert [make(str(tmp_path)).name[-1] for _ in range(3)] == ["1", "2", "3"]
    (tmp_path / "topk" / "agp" / "trial_seed3_4").write_text("a file is in the way")
    assert make(str(tmp_path)).name == "trial_seed3_5"


def test_runs_that_start_at_once_get_different_folders(tmp_path: Path) -> None:
    # 16 tasks in processes that race; `fork` would copy this process with its threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["utils.run_dir"])
    with context.Pool(4) as pool:
        paths = pool.map(make, [str(tmp_path)] * 16, chunksize=1)
    assert len(set(paths)) == 16
    assert {path.name for path in paths} == {f"trial_seed3_{i}" for i in range(1, 17)}


@pytest.mark.parametrize("name", ["a/b", "..", "a/", "/"])
def test_a_name_is_one_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no name for a folder"):
        create_run_dir(str(tmp_path), "topk", "agp", name, 3)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .* `with results_dir=<folder>`"):
        make(str(tmp_path / "results"))


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)  # root may write everywhere
    with pytest.raises(UserError, match=r"cannot be written \(Permission denied\)"):
        make(str(tmp_path))


def test_a_run_that_is_to_go_on_must_be_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"metrics\.csv does not exist"):
        require_writable(tmp_path)
    (tmp_path / "metrics.csv").touch()
    assert require_writable(tmp_path) == tmp_path
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match="cannot be written, so this run cannot go on"):
        require_writable(tmp_path)
