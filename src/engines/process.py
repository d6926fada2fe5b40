"""One command as a child process, on whichever machine it is started.

Engines send this file to other machines as text, so it imports the standard library only. Machines
of a cluster need not have the environment of this one, so what is meant for the program is sent.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping

POLL_SECONDS = 0.1
OURS = "AGP_"  # how the names of the program's environment variables begin


class Process:
    """A command that runs beside this one, its output dropped, its errors kept.

    Args:
        argv: the command.
        folder: the folder in which it runs.
        variables: further environment variables.
    """

    def __init__(self, argv: list[str], folder: str, variables: Mapping[str, str] | None = None):
        self._errors = tempfile.TemporaryFile()
        self._end: tuple[int, str] | None = None
        env = {"OMP_NUM_THREADS": "1", **os.environ, **(variables or {})}
        self._process = subprocess.Popen(
            argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=self._errors, env=env
        )

    def ended(self) -> tuple[int, str] | None:
        """The exit code and what was written to standard error; None while it runs.

        The code is 128 plus the number of the signal that killed the process, as in a shell.
        """
        code = self._process.poll()
        if self._end is None and code is not None:
            with self._errors as file:
                file.seek(0)
                text = file.read().decode(errors="replace").strip()
            self._end = (code if code >= 0 else 128 - code), text
        return self._end

    def stop(self) -> None:
        """Ask the process to save and end. It notes a further SIGTERM without stopping at once."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> tuple[int, str]:
        """Wait for the end; returns what `ended` does."""
        while (end := self.ended()) is None:
            time.sleep(POLL_SECONDS)  # unlike a wait in the system, ends by an exception
        return end


def variables() -> dict[str, str]:
    """The environment variables of this process that are meant for the program."""
    return {name: value for name, value in os.environ.items() if name.startswith(OURS)}


def run(
    argv: list[str],
    folder: str,
    stop_on: tuple[int, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a command to its end; if this is interrupted, the command is asked to save first.

    Args:
        argv: the command.
        folder: the folder in which it runs.
        stop_on: signals to this process that mean that the command must save and end.
        variables: further environment variables.

    Returns:
        The exit code, and what the command wrote to standard error.
    """
    process = Process(argv, folder, variables)
    for number in stop_on:
        signal.signal(number, lambda *_: process.stop())
    try:
        return process.wait()
    finally:
        process.stop()
        process.wait()


def missing(paths: list[str]) -> list[str]:
    """Those of the paths that this machine does not see."""
    return [path for path in paths if not os.path.exists(path)]
