from pathlib import Path

import pytest

from utils.files import UNFINISHED, reason, replacing


def write(path: Path, text: str, keep_as: Path | None = None) -> None:
    with replacing(path, keep_as) as file:
        file.write(text.encode())


def test_a_file_is_replaced_and_may_keep_another_name(tmp_path: Path) -> None:
    path, old = tmp_path / "new", tmp_path / "old"
    for text in "abc":
        write(path, text, old)
    assert (path.read_text(), old.read_text()) == ("c", "b")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "old"]


def test_what_is_unfinished_is_found_by_its_name_and_goes_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, "old")

    def fail() -> None:
        with replacing(path) as file:
            file.write(b"half")
            assert len(list(tmp_path.glob(UNFINISHED))) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write(tmp_path / "gone" / "a", "x")
    assert reason(caught.value) == "No such file or directory"
    assert reason(RuntimeError("first line\nsecond")) == "first line"


def test_what_the_operating_system_said_counts_most() -> None:
    def fail() -> None:
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 64 vs 0")

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert reason(caught.value) == "No space left on device"
