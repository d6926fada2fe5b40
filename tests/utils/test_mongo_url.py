import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils import mongo_url
from utils.mongo_url import VARIABLE, find_url, hide_password, holds_secret, redact

SRC = Path(__file__).resolve().parents[2] / "src"


def test_the_command_line_goes_before_the_environment_and_that_before_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert find_url(None, "") == ""
    assert find_url(None, "setting") == "setting"
    monkeypatch.setenv(VARIABLE, "environment")
    assert find_url(None, "setting") == "environment"
    assert find_url("flag", "setting") == "flag"
    monkeypatch.setenv(VARIABLE, "")
    assert find_url(None, "setting") == "setting"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://host:27017/db?w=1", "mongodb://host:27017/db?w=1"),
        ("mongodb://ann:pw@host", "mongodb://***@host"),
        ("mongodb://ann:p@w@host and more", "mongodb://***@host and more"),
        ("'mongodb+srv://ann:my pw@host'", "'mongodb+srv://***@host'"),
        ("mongodb://ann:a\nb@host", "mongodb://***@host"),
        (
            "mongodb://h/?tlsCertificateKeyFilePassword=x&w=1",
            "mongodb://h/?tlsCertificateKeyFilePassword=***&w=1",
        ),
        (
            "mongodb://h/?authMechanismProperties=AWS_SESSION_TOKEN:x",
            "mongodb://h/?authMechanismProperties=***",
        ),
        ("a@b", "a@b"),
    ],
)
def test_what_is_secret_is_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert holds_secret(text) == (text != shown)


@pytest.mark.parametrize("given", [["--mongo=mongodb://a:pw@h"], ["--mongo", "mongodb://a:pw@h"]])
def test_a_password_leaves_the_command_line(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "main.py", *given, "with", "seed=3"])
    monkeypatch.setattr(os, "execv", lambda path, argv: started.append([path, *argv]))
    monkeypatch.setenv(VARIABLE, "mongodb://other")
    hide_password()
    assert started == [[sys.executable, sys.executable, "-u", "main.py", "with", "seed=3"]]
    assert os.environ[VARIABLE] == "mongodb://a:pw@h"
    said = capsys.readouterr().err
    assert f"set {VARIABLE} instead" in said.lower().replace(VARIABLE.lower(), VARIABLE)
    assert "pw" not in said.replace("password", "")


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--mongo"],
        ["--mongo=mongodb://host"],
        ["--mongo=mongodb://a:pw@h", "--mongo=mongodb://a:pw@h"],  # an error a moment later
    ],
)
def test_without_a_password_nothing_is_restarted(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "main.py", *given])
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started again"))
    hide_password()


def test_where_no_process_can_be_replaced_there_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "main.py", "--mongo=mongodb://a:pw@h"])
    monkeypatch.setattr(mongo_url.os, "name", "nt")
    monkeypatch.setattr(os, "execv", lambda *_: pytest.fail("started again"))
    hide_password()
    assert f"Set {VARIABLE} instead" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_the_process_list_shows_no_password() -> None:
    code = (
        f"import os, sys; sys.path.insert(0, {str(SRC)!r}); "
        "from utils.mongo_url import VARIABLE, hide_password; before = os.getpid(); "
        "hide_password(); print(open('/proc/self/cmdline').read()); print(os.environ[VARIABLE])"
    )
    url = "mongodb://ann:secret@host"
    words = [sys.executable, "-c", code, f"--mongo={url}", "with", "seed=3"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    command, environment = done.stdout.splitlines()
    assert "secret" not in command
    assert command.rstrip("\0").split("\0")[-2:] == ["with", "seed=3"]
    assert environment == url
    assert "secret" not in done.stderr
