import sys
from pathlib import Path

import pytest

from utils import invocation
from utils.errors import UserError
from utils.invocation import (
    COMMANDS,
    REPOSITORY,
    main_command,
    near,
    pip_install,
    record_command,
    recorded_commands,
    require_packages,
)


def test_near_is_relative_below_the_current_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert near(tmp_path / "a" / "b") == Path("a/b")
    assert near(tmp_path.parent / "c") == tmp_path.parent / "c"


@pytest.mark.parametrize(
    ("on_path", "running", "expected"),
    [
        ("/usr/bin/python", "/usr/bin/python", "python src/main.py"),
        ("/usr/bin/python", "{root}/.venv/bin/python", ".venv/bin/python src/main.py"),
        (None, "/opt/my python", "'/opt/my python' src/main.py"),
    ],
)
def test_the_command_works_in_the_shell_that_started_it(
    on_path: str | None, running: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("shutil.which", lambda name: on_path)
    monkeypatch.setattr(sys, "executable", running.format(root=REPOSITORY))
    assert main_command() == expected
    assert pip_install("lbforaging") == expected.replace("src/main.py", "-m pip install lbforaging")


def test_elsewhere_the_whole_path_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert str(REPOSITORY / "src" / "main.py") in main_command()


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, run by an interpreter without torch and yaml."""
    have = {"torch", "yaml"}
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in have else "a module"
    )
    monkeypatch.setattr(invocation, "REPOSITORY", tmp_path)
    monkeypatch.setattr(invocation, "MAIN", tmp_path / "src" / "main.py")
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_package_names_the_interpreter_that_has_it(bare: Path) -> None:
    python = bare / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    with pytest.raises(UserError) as caught:
        require_packages()
    text = str(caught.value)
    assert text.startswith("torch, yaml are not installed for /usr/bin/python3.")
    assert "\n  .venv/bin/python src/main.py ...\n" in text
    assert "`source .venv/bin/activate`" in text


def test_without_an_environment_make_setup_is_named(bare: Path) -> None:
    with pytest.raises(UserError, match=r"`make setup` and then `source \.venv/bin/activate`"):
        require_packages()


def test_an_environment_without_them_is_not_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = bare / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(UserError, match="make setup"):
        require_packages()


def test_here_nothing_is_missing() -> None:
    require_packages()


def test_the_commands_of_a_run_are_kept_in_order_and_without_passwords(tmp_path: Path) -> None:
    assert recorded_commands(tmp_path) == ""
    record_command(tmp_path, ["--config=agp", "with", "name=two words"])
    record_command(tmp_path, ["--mongo=mongodb://me:secret@host", "with", "resume=here"])
    first, second = recorded_commands(tmp_path).split("\n")
    assert first == "python src/main.py --config=agp with 'name=two words'"
    assert "secret" not in second
    assert second.endswith("with resume=here")


def test_commands_that_cannot_be_read_or_written_are_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / COMMANDS).mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        record_command(tmp_path, [])
    with pytest.raises(UserError, match="cannot be read"):
        recorded_commands(tmp_path)
