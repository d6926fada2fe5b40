import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.helpers.runs import differences
from torch import nn

from records.checkpoint import (
    BEST,
    LATEST,
    PREVIOUS,
    all_checkpoints,
    find_checkpoint,
    fingerprint,
    load_checkpoint,
    load_into,
    resumption,
    run_folder,
    save_checkpoint,
)
from utils.errors import UserError

SRC = Path(__file__).resolve().parents[2] / "src"
STATE: dict[str, Any] = {
    "learner": {"weights": torch.arange(6.0).view(2, 3), "updates": 7},
    "names": ["a", "b"],
    "flags": torch.tensor([True, False]),
    "generator": torch.Generator().manual_seed(1).get_state(),
    "best": float("-inf"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "checkpoints" / LATEST


def test_what_is_saved_comes_back_bit_for_bit(path: Path) -> None:
    save_checkpoint(path, STATE)
    assert differences(load_checkpoint(path), STATE) == []
    assert [p.name for p in path.parent.iterdir()] == [LATEST]


def fail_after_some_bytes(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def half(state: object, file: Any) -> None:
        file.write(b"half a checkpoint")
        raise error

    monkeypatch.setattr(torch, "save", half)


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")]
)
def test_a_failed_save_leaves_the_old_file_and_no_rest(
    error: Exception, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(path, STATE)
    old = path.read_bytes()
    fail_after_some_bytes(monkeypatch, error)
    with pytest.raises(UserError, match="could not be written") as caught:
        save_checkpoint(path, {"learner": {}})
    assert f"resume={path.parents[1]}" in str(caught.value)
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == [LATEST]


def test_an_interrupted_save_leaves_the_old_file_and_no_rest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(path, STATE)
    old = path.read_bytes()
    fail_after_some_bytes(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {"learner": {}})
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == [LATEST]


def test_a_process_that_dies_while_saving_leaves_the_old_file(path: Path) -> None:
    save_checkpoint(path, STATE)
    code = (
        "import os, sys, pathlib; sys.path.insert(0, sys.argv[1]); import torch\n"
        "from records.checkpoint import save_checkpoint\n"
        "def die(state, file): file.write(b'half'); file.flush(); os._exit(9)\n"
        "torch.save = die\n"
        "save_checkpoint(pathlib.Path(sys.argv[2]), {'learner': {}})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(SRC), str(path)], check=False)
    assert done.returncode == 9
    assert differences(load_checkpoint(path), STATE) == []


def test_the_file_is_on_the_disk_before_it_gets_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(file: int) -> None:
        events.append("fsync")
        fsync(file)

    def spy_replace(source: Path, target: Path) -> None:
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "replace", spy_replace)
    save_checkpoint(path, STATE)
    assert events[:2] == ["fsync", "replace"]


class Harmful:
    """Creates a file when unpickled by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_checkpoint_is_not_run(path: Path, tmp_path: Path) -> None:
    sign = tmp_path / "ran"
    path.parent.mkdir(parents=True)
    torch.save({"learner": Harmful(sign)}, path)
    with pytest.raises(UserError, match="is damaged or not a checkpoint"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps({"learner": Harmful(sign)}))
    with pytest.raises(UserError, match="is damaged or not a checkpoint"):
        load_checkpoint(path)
    assert not sign.exists()


@pytest.mark.parametrize("state", [{"weights": torch.ones(2)}, torch.ones(2), [1, 2]])
def test_a_file_that_is_no_checkpoint_of_a_run(state: object, path: Path) -> None:
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    with pytest.raises(UserError, match="not a checkpoint of a run"):
        load_checkpoint(path)


def test_a_missing_file(path: Path) -> None:
    with pytest.raises(UserError, match=r"latest\.pt does not exist"):
        load_checkpoint(path)


def test_a_run_folder_means_its_latest_checkpoint(path: Path) -> None:
    save_checkpoint(path, STATE)
    run = path.parents[1]
    assert find_checkpoint(run) == path
    assert find_checkpoint(str(path)) == path
    assert run_folder(run) == run_folder(path) == run


def test_a_folder_without_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"no checkpoint at {tmp_path}"):
        find_checkpoint(tmp_path)


def test_the_file_from_before_is_kept(path: Path) -> None:
    previous = path.with_name(PREVIOUS)
    for n in range(3):
        save_checkpoint(path, {**STATE, "n": n}, previous)
    assert (load_checkpoint(path)["n"], load_checkpoint(previous)["n"]) == (2, 1)
    path.unlink()  # as if the process had died between two renamings
    assert find_checkpoint(path.parents[1]) == previous


def test_checkpoints_are_offered_best_first(path: Path) -> None:
    path.parent.mkdir()
    names = [LATEST, PREVIOUS, "000000000064.pt", "000000000032.pt", BEST]
    for name in reversed(names):
        (path.parent / name).touch()
    (path.parent / ".latest.pt.7.7.tmp").touch()
    assert [p.name for p in all_checkpoints(path.parents[1])] == names


def test_a_folder_that_is_gone_is_not_made_again(path: Path) -> None:
    path.parents[1].rmdir()
    with pytest.raises(UserError, match=r"could not be written \(No such file"):
        save_checkpoint(path, STATE)
    assert not path.parents[1].exists()


def test_a_single_wrong_bit_is_found(path: Path) -> None:
    save_checkpoint(path, STATE)
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<ff", 1.0, 2.0))  # within the weights
    data[at] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"is damaged .*wrong checksum"):
        load_checkpoint(path)


def test_the_message_of_a_resumed_run(path: Path) -> None:
    state = {"counters": {"env_steps": 1200}, "buffer": {"episodes": {}}}
    assert resumption(path, state).endswith("after 1,200 environment steps.")
    assert "buffer begins empty" in resumption(path, {**state, "buffer": {}})


def test_another_architecture_is_named(path: Path) -> None:
    weights = nn.Linear(3, 2).state_dict()
    load_into(nn.Linear(3, 2), weights, path)
    for other in (nn.Linear(4, 2), nn.Sequential(nn.Linear(3, 2))):
        with pytest.raises(UserError, match="another architecture") as caught:
            load_into(other, weights, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_fingerprint_distinguishes_weights() -> None:
    weights = {"a": torch.arange(6.0).view(2, 3).t(), "n": torch.tensor(3)}
    assert fingerprint(weights) == fingerprint({k: w.clone() for k, w in weights.items()})
    others = ({**weights, "n": torch.tensor(4)}, {"b": weights["a"], "n": weights["n"]})
    assert len({fingerprint(other) for other in (weights, *others)}) == 3
