"""Who steps the copies: this process, or workers that share one block of memory with it.

A step costs one semaphore each way per worker; observations, rewards and flags are written where
the parent reads them. The memory has no name in the file system: nothing is left behind, however a
process ends.
"""

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
import weakref
from collections.abc import Iterable, Iterator
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
from envs.python_worlds._worker import TELLS_STACK, Task, signals_blocked, work

STARTING = 120.0  # seconds that imports and constructors may take besides the timeout
LIFE_CHECK = 0.2  # seconds between two looks whether a worker still lives
PATIENCE = 2.0  # seconds that a worker has to close its environments, or to say where it hangs
CLOSED = "it has been closed. Build it anew"


class CrewFailure(Exception):
    """A copy failed, or a worker did.

    Attributes:
        copy: which copy was at work.
        text: what is known: a traceback, or a sentence.
        is_final: a new worker would fail too.
        worker: which worker.
    """

    def __init__(self, copy: int, text: str, is_final: bool = False, worker: int = 0):
        self.copy, self.text, self.is_final, self.worker = copy, text, is_final, worker
        super().__init__(copy, text)


class Crew(Protocol):
    """Steps the copies."""

    arrays: Arrays

    def run(self, command: int) -> list[CrewFailure]:
        """Let every copy obey; returns the failures of those that could not, one per worker."""
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

    def run(self, command: int) -> list[CrewFailure]:
        """See `Crew`."""
        if not self.close.alive:
            return [CrewFailure(0, CLOSED, is_final=True)]
        try:
            self.copies.run(command)
        except CopyFailure as failure:
            return [CrewFailure(failure.copy, failure.text, failure.mendable)]
        return []


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

    Raises:
        CrewFailure: if a copy cannot be built.
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
        self._context: Any = multiprocessing.get_context(
            "forkserver" if "forkserver" in methods else "spawn"
        )
        self._make, self._rules, self._layout, self.timeout = make, rules, layout, timeout
        shared: Any = self._context.RawArray(ctypes.c_char, layout.n_bytes)
        self._block = shared
        self.arrays = layout.views(np.frombuffer(shared, dtype=np.uint8))
        self._firsts = [w * batch_size // n_workers for w in range(n_workers + 1)]
        self._members: list[_Member] = []
        self.close = weakref.finalize(self, _dismiss, self._members, self.arrays.control)
        atexit.register(self.close)  # before multiprocessing waits for every process it began
        for w in range(n_workers):
            self._members.append(self._begin(w))
        self._wait_until_built(range(n_workers))

    def is_of(self, worker: int) -> Array:
        """Which copies are a worker's, [B] bool."""
        places = np.arange(self._firsts[-1])
        return (places >= self._firsts[worker]) & (places < self._firsts[worker + 1])

    def run(self, command: int) -> list[CrewFailure]:
        """See `Crew`."""
        if not self.close.alive:
            return [CrewFailure(0, CLOSED, is_final=True)]
        self.arrays.control[0] = command
        for member in self._members:
            member.go.release()
        return self._wait(range(len(self._members)), self.timeout)

    def restart(self, worker: int) -> None:
        """Put a new process in a worker's place; its copies rest until the next reset.

        Raises:
            CrewFailure: if a copy cannot be built again.
        """
        _dismiss([self._members[worker]], self.arrays.control)
        self.arrays.failed[worker] = 0
        self._members[worker] = self._begin(worker)
        self._wait_until_built([worker])

    def _begin(self, worker: int) -> _Member:
        ours, theirs = self._context.Pipe(duplex=False)
        go, done = self._context.Semaphore(0), self._context.Semaphore(0)
        first = self._firsts[worker]
        task = Task(
            worker=worker,
            make=self._make,
            rules=self._rules,
            layout=self._layout,
            block=self._block,
            first=first,
            n=self._firsts[worker + 1] - first,
            go=go,
            done=done,
            failures=theirs,
        )
        process = self._context.Process(target=work, args=(task,), daemon=True)
        with _without_main(), signals_blocked():
            process.start()
        theirs.close()
        return _Member(process, go, done, ours)

    def _wait_until_built(self, workers: Iterable[int]) -> None:
        for failure in self._wait(workers, self.timeout and self.timeout + STARTING):
            self.close()
            raise failure

    def _wait(self, workers: Iterable[int], timeout: float) -> list[CrewFailure]:
        """Wait until these workers are done, or have failed."""
        end = monotonic() + timeout if timeout else float("inf")
        failures = []
        for w in workers:
            member = self._members[w]
            text, is_final = _wait_for(member, end, timeout), False
            if text is None and self.arrays.failed[w]:
                text, is_final = _told_by(member)
            if text is not None:
                failures.append(CrewFailure(int(self.arrays.busy[w]), text, is_final, w))
        return failures


def _wait_for(member: _Member, end: float, timeout: float) -> str | None:
    """Wait until a worker is done; returns why it never will be."""
    while not member.done.acquire(timeout=min(LIFE_CHECK, max(end - monotonic(), 0))):
        code = member.process.exitcode
        if code is not None:
            if member.done.acquire(block=False):  # its last word
                return None
            return f"its worker process died ({_exit_text(code)}){_stack(member)}"
        if monotonic() >= end:
            if TELLS_STACK and member.process.pid is not None:
                os.kill(member.process.pid, signal.SIGUSR1)
            text = (
                f"there was no answer within {timeout:g} seconds. If that is no mistake of the "
                f"environment, raise env_args.timeout{_stack(member)}"
            )
            member.process.kill()
            return text
    return None


def _told_by(member: _Member) -> tuple[str, bool]:
    """The failure of a copy, as its worker tells it: what, and whether it is final."""
    try:
        text, mendable = member.failures.recv()
    except EOFError:
        return "its worker process died while it was telling of a failure", False
    return text, mendable


def _stack(member: _Member) -> str:
    """Where a worker was when it died or got SIGUSR1, as `faulthandler` wrote it into the pipe."""
    text, patience = b"", PATIENCE
    while TELLS_STACK and member.failures.poll(patience):
        part = os.read(member.failures.fileno(), 2**16)
        if not part:
            break
        text, patience = text + part, LIFE_CHECK
    return f":\n{text.decode(errors='replace').strip()}" if text else ""


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
