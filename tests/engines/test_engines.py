"""Engines take a plain argv and return an exit code; on Ray and with submitit where installed."""

import signal
import sys
import time
from pathlib import Path

import pytest

from engines.engine import OnDemand, Options, Task, open_engine
from engines.process import Process, missing, run, variables
from utils.errors import UserError

SAYS = "import sys, os; print(os.getcwd(), file=sys.stderr); sys.exit(7)"
WAITS = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
open(sys.argv[1], "w").close()
signal.sigwait({signal.SIGTERM})
sys.exit(143)
"""


def python(program: str, *argv: str) -> list[str]:
    return [sys.executable, "-c", program, *argv]


def end_of(task: Task) -> tuple[int, str]:
    while (end := task.ended()) is None:
        time.sleep(0.05)
    return end


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.05)


def test_a_command_ends_with_its_code_and_its_errors(tmp_path: Path) -> None:
    assert run(python(SAYS), str(tmp_path)) == (7, str(tmp_path))


def test_a_killed_command_has_the_code_of_a_shell(tmp_path: Path) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run(python(program), str(tmp_path))[0] == 137


def test_variables_of_the_program_go_with_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGP_CONFIG_PATH", "here")
    sent = variables()
    assert sent["AGP_CONFIG_PATH"] == "here"
    assert all(name.startswith("AGP_") for name in sent)
    monkeypatch.delenv("AGP_CONFIG_PATH")  # as on another machine
    says = python("import os, sys; print(os.environ['AGP_CONFIG_PATH'], file=sys.stderr)")
    assert run(says, str(tmp_path), (), sent) == (0, "here")


def test_a_signal_to_the_engine_lets_the_command_save(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR2)
    program = WAITS.replace("open(", "os.kill(os.getppid(), signal.SIGUSR2); open(")
    command = python(f"import os\n{program}", str(tmp_path / "started"))
    try:
        assert run(command, str(tmp_path), (signal.SIGUSR2,)) == (143, "")
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_an_interrupted_engine_lets_the_command_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []

    def interrupted(self: Process) -> tuple[int, str]:
        if not ends:
            wait_for(tmp_path / "started")
            ends.append(0)
            raise KeyboardInterrupt
        ends.append(end_of(self)[0])
        return 0, ""

    monkeypatch.setattr(Process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(python(WAITS, str(tmp_path / "started")), str(tmp_path))
    assert ends == [0, 143]


def test_what_a_machine_does_not_see(tmp_path: Path) -> None:
    assert missing([str(tmp_path), "/nowhere/at/all"]) == ["/nowhere/at/all"]


def test_an_engine_is_opened_by_its_first_command(tmp_path: Path) -> None:
    opened = []
    engine = OnDemand(lambda: opened.append(1) or open_engine("local", Options(), []))
    engine.close()
    assert not opened
    assert end_of(engine.start(python("")))[0] == end_of(engine.start(python("")))[0] == 0
    engine.close()
    assert opened == [1]


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_is_named(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"needs the package '{package}'.* -m pip install"):
        open_engine(name, Options(), [tmp_path])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_command_on_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(UserError, match="has 1 cores and 99 GPUs"):
        open_engine("ray", Options(gpus=99), [tmp_path])
    engine = open_engine("ray", Options(), [tmp_path])
    try:
        assert signal.getsignal(signal.SIGTERM) == before
        assert end_of(engine.start(python(SAYS))) == (7, str(tmp_path))
        task = engine.start(python(WAITS, str(tmp_path / "started")))
        wait_for(tmp_path / "started")
        task.stop()
        assert end_of(task)[0] == 143
    finally:
        engine.close()
    assert not list(tmp_path.glob(".probe*"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_command_through_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    from engines.slurm import Slurm

    monkeypatch.chdir(tmp_path)
    engine = Slurm(Options(minutes=5), [tmp_path], cluster="local")
    assert end_of(engine.start(python(SAYS))) == (7, str(tmp_path))
    warning = "import os, signal; os.kill(os.getpid(), signal.SIGUSR2)"  # is survived
    assert end_of(engine.start(python(warning))) == (0, "")
