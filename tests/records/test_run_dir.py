import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from records.run_dir import (
    create_run_dir,
    locked,
    remove_unfinished,
    require_writable,
    task_name,
)
from utils.errors import UserError


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
    context.set_forkserver_preload(["records.run_dir"])
    with context.Pool(4) as pool:
        paths = pool.map(make, [str(tmp_path)] * 16, chunksize=1)
        # The server may block SIGTERM (environment workers start it so); `terminate` would wait.
        pool.close()
        pool.join()
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
    with pytest.raises(UserError, match="cannot be written, so this run cannot be resumed"):
        require_writable(tmp_path)


def test_a_folder_is_locked_for_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path):
        said = f"trained right now, by process {os.getpid()} on "
        with pytest.raises(UserError, match=said), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "from records.run_dir import locked\n"
        "with locked(pathlib.Path(sys.argv[2])):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    src = Path(__file__).resolve().parents[2] / "src"
    command = [sys.executable, "-c", code, str(src), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match=f"process {process.pid} on"), locked(tmp_path):
            pass
        process.kill()
        process.wait()
        with locked(tmp_path):
            pass


def test_a_file_system_without_locks_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("records.run_dir.fcntl.flock", none)
    with locked(tmp_path):
        assert "cannot be locked (Function not implemented)" in capsys.readouterr().err


def test_a_lock_in_a_folder_that_is_gone(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"lock cannot be written \(No such"),
        locked(tmp_path / "x"),
    ):
        pass


def test_what_killed_processes_left_unfinished_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    kept, rest = tmp_path / "checkpoints" / "latest.pt", tmp_path / "checkpoints" / ".a.pt.7.7.tmp"
    kept.touch()
    rest.touch()
    (tmp_path / ".config.yaml.7.7.tmp").touch()
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [kept.parent, kept]


@pytest.mark.parametrize(
    ("env_name", "env_args", "said"),
    [
        ("topk", {"n_agents": 6, "k": 2}, "topk"),
        ("pettingzoo", {"task": "simple_tag_v3"}, "pettingzoo-simple_tag_v3"),
        (
            "gymma",
            {"key": "lbforaging:Foraging-8x8-2p-3f-v3"},
            "gymma-lbforaging-Foraging-8x8-2p-3f-v3",
        ),
        ("gymma", {"key": "a:b", "kwargs": {"scenario": "balance"}}, "gymma-a-b-balance"),
        ("pettingzoo", {"task": "../x/y:make"}, "pettingzoo-x-y-make"),
        ("mpe_tag", {"scenario": "tag"}, "mpe_tag"),
        ("mpe_tag", {"scenario": "push"}, "mpe_tag-push"),
    ],
)
def test_the_folder_of_an_adapter_says_the_task(
    env_name: str, env_args: dict[str, object], said: str, tmp_path: Path
) -> None:
    assert task_name(env_name, env_args) == said
    assert create_run_dir(str(tmp_path), said, "agp", "", 1).parts[-3] == said
