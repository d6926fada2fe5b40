"""Who steps the copies: this process, or workers that share one block of memory with it.

A step costs one semaphore each way per worker; observations, rewards and flags are written where
the parent reads them. The memory has no name in the file system: nothing is left behind, however a
process ends.
"""

import ctypes
import multiprocessing
import signal
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Semaphore
from time import monotonic
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from envs.python_worlds._arrays import Array, Arrays, Layout
from envs.python_worlds._copies import CLOSE, Copies, CopyFailure, MakeWorld, Rules
from envs.python_worlds._worker import Task, signals_blocked, work

STARTING = 120.0  # seconds that imports and constructors may take besides the timeout
LIFE_CHECK = 0.2  # seconds between two looks whether a worker still lives
PATIENCE = 2.0  # seconds that a worker has to close its environments
CLOSED = "it has been closed. Build it anew"


class CrewFailure(Exception):
    """A copy failed, or a worker did.

    Attributes:
        copy: which copy was at work.
        text: what is known: a traceback, or a sentence.
    """

    def __init__(self, copy: int, text: str):
        self.copy, self.text = copy, text
        super().__init__(copy, text)


class Crew(Protocol):
    """Steps the copies."""

    arrays: Arrays

    def run(self, command: int) -> None:
        """Let every copy obey.

        Raises:
            CrewFailure: if one cannot.
        """
        ...

    def close(self) -> None:
        """End it; a second call does nothing."""
        ...


class Here:
    """Steps the copies in this process."""

    def __init__(self, make: MakeWorld, rules: Rules, layout: Layout, batch_size: int):
        self.arrays = layout.views(np.zeros(layout.n_bytes, dtype=np.uint8))
        try:
            self.copies = Copies(make, rules, self.arrays, 0, batch_size)
        except CopyFailure as failure:
            raise CrewFailure(failure.copy, failure.text) from failure
        self.close = weakref.finalize(self, self.copies.close)

    def run(self, command: int) -> None:
        """See `Crew`."""
        if not self.close.alive:
            raise CrewFailure(0, CLOSED)
        try:
            self.copies.run(command)
        except CopyFailure as failure:
            raise CrewFailure(failure.copy, failure.text) from failure


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes begun within the block leave the main module alone; it would bring all of torch."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@dataclass
class _Member:
    """One worker, seen from the parent."""

    process: BaseProcess
    go: Semaphore
    done: Semaphore
    failures: Connection


class Workers:
    """Steps the copies in processes of their own.

    Args:
        make: builds a copy; it travels to the processes.
        rules: for every copy.
        layout: of the shared block.
        batch_size: B.
        n_workers: how many processes, at most B; each gets a run of neighbouring copies.
        timeout: seconds that a command may take; 0: any time.
    """

    def __init__(
        self,
        make: MakeWorld,
        rules: Rules,
        layout: Layout,
        batch_size: int,
        n_workers: int,
        timeout: float,
    ):
        methods = multiprocessing.get_all_start_methods()
        context: Any = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"
        )
        self.timeout = timeout
        shared = context.RawArray(ctypes.c_char, layout.n_bytes)
        self.arrays = layout.views(np.frombuffer(shared, dtype=np.uint8))
        self._members: list[_Member] = []
        self.close = weakref.finalize(self, _dismiss, self._members, self.arrays.control)
        firsts = [w * batch_size // n_workers for w in range(n_workers + 1)]
        for w, first in enumerate(firsts[:-1]):
            ours, theirs = context.Pipe(duplex=False)
            go, done = context.Semaphore(0), context.Semaphore(0)
            n = firsts[w + 1] - first
            task = Task(w, make, rules, layout, shared, first, n, go, done, theirs)
            process = context.Process(target=work, args=(task,), daemon=True)
            with _without_main(), signals_blocked():
                process.start()
            theirs.close()
            self._members.append(_Member(process, go, done, ours))
        self._wait(timeout and timeout + STARTING)

    def run(self, command: int) -> None:
        """See `Crew`."""
        if not self.close.alive:
            raise CrewFailure(0, CLOSED)
        self.arrays.control[0] = command
        for member in self._members:
            member.go.release()
        self._wait(self.timeout)

    def _wait(self, timeout: float) -> None:
        end = monotonic() + timeout if timeout else float("inf")
        for w, member in enumerate(self._members):
            text = _wait_for(member, end, timeout)
            copy = int(self.arrays.busy[w])
            if text is None and self.arrays.failed[w]:
                copy, text = member.failures.recv()
            if text is not None:
                self.close()
                raise CrewFailure(copy, text)


def _wait_for(member: _Member, end: float, timeout: float) -> str | None:
    """Wait until a worker is done; returns what went wrong."""
    while not member.done.acquire(timeout=min(LIFE_CHECK, max(end - monotonic(), 0))):
        code = member.process.exitcode
        if code is not None:
            if member.done.acquire(block=False):  # its last word
                return None
            return f"its worker process died ({_exit_text(code)})"
        if monotonic() >= end:
            return (
                f"there was no answer within {timeout:g} seconds. If that is no mistake of the "
                f"environment, raise env_args.timeout"
            )
    return None


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _dismiss(members: list[_Member], control: Array) -> None:
    """Ask every worker to close its environments and end it, by force if it must be."""
    control[0] = CLOSE
    for member in members:
        member.go.release()
    end = monotonic() + PATIENCE
    for member in members:
        member.process.join(max(end - monotonic(), 0))
        if member.process.exitcode is None:
            member.process.kill()
            member.process.join()
        member.process.close()
        member.failures.close()
    members.clear()
