"""SIGTERM and SIGINT: a run that is asked to stop finishes its step, saves, and says how to resume.

The exit code is 128 plus the signal's number, as in a shell: 143 for SIGTERM, 130 for SIGINT.
"""

import os
import shlex
import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from utils.invocation import main_command

PROMISE = (
    "\n{} received: finishing this step and saving. Ctrl-C (SIGINT) from now on stops at once.\n"
)


class Interrupted(KeyboardInterrupt):
    """A signal ends the process. Sacred records a KeyboardInterrupt as INTERRUPTED.

    Attributes:
        exit_code: of the process.
    """

    def __init__(self, received: signal.Signals, text: str):
        self.exit_code = 128 + received
        super().__init__(text)


class StopSignals:
    """Context manager that receives SIGTERM and SIGINT; one that is ignored stays ignored.

    A signal raises `Interrupted`, unless the block is patient: then it is only noted, and a SIGINT
    after it raises.

    Attributes:
        received: the first signal, None before.
        patient: the code that sets it must check `received` and stop in good order.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.patient = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # others receive no signals
            for wanted in (signal.SIGTERM, signal.SIGINT):
                if signal.getsignal(wanted) != signal.SIG_IGN:
                    self._before[wanted] = signal.signal(wanted, self._receive)
        return self

    def __exit__(self, *error: object) -> None:
        for wanted, handler in self._before.items():
            signal.signal(wanted, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        signal_, first = signal.Signals(number), self.received is None
        self.received = self.received or signal_
        if not self.patient:
            raise Interrupted(signal_, f"Stopped by {signal_.name}; no training was under way.")
        if first:
            with suppress(OSError):  # printing is not allowed here: it may have been under way
                os.write(2, PROMISE.format(signal_.name).encode())
        elif signal_ == signal.SIGINT:
            raise Interrupted(
                signal_, "Stopped at once. What came after the last checkpoint is lost."
            )


def stopped_message(run_dir: Path, env_steps: int) -> str:
    """The message of a run that has saved and ends."""
    return (
        f"Stopped after {env_steps:,} environment steps; everything is saved. Continue with\n"
        f"  {main_command()} with resume={shlex.quote(str(run_dir))}"
    )
