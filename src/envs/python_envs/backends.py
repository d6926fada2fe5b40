"""Backends that step the parallel environments: this process, or worker processes.

Workers share one block of memory with this process. A step costs one semaphore each way per worker;
observations, rewards and flags are written where the parent reads them. The memory has no name in
the file system: nothing is left behind, however a process ends.
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

from envs.python_envs.parallel_envs import CLOSE, EpisodeRules, MakeEnv, ParallelEnvs, SlotFailure
from envs.python_envs.shared_memory import Array, Arrays, MemoryLayout
from envs.python_envs.worker import REPORTS_STACK, WorkerSpec, run_worker, signals_blocked

STARTUP_TIME = 120.0  # seconds that imports and constructors may take besides the timeout
POLL_INTERVAL = 0.2  # seconds between two checks whether a worker still lives
CLOSE_TIMEOUT = (
    2.0  # seconds that a worker has to close its environments, or to report where it hangs
)
CLOSED = "it has been closed. Build a new one"


class BackendFailure(Exception):
    """An environment failed, or a worker did.

    Attributes:
        slot: the slot of the environment that was running.
        text: what is known: a traceback, or a sentence.
        is_final: a new worker would fail too.
        worker: which worker.
    """

    def __init__(self, slot: int, text: str, is_final: bool = False, worker: int = 0):
        self.slot, self.text, self.is_final, self.worker = slot, text, is_final, worker
        super().__init__(slot, text)


class Backend(Protocol):
    """Steps the parallel environments."""

    arrays: Arrays

    def run(self, command: int) -> list[BackendFailure]:
        """Run a command in every environment; returns the failures, at most one per worker."""
        ...

    def close(self) -> None:
        """Close all environments; a second call does nothing."""
        ...


class InProcessBackend:
    """Steps the environments in this process."""

    def __init__(self, make: MakeEnv, rules: EpisodeRules, layout: MemoryLayout, batch_size: int):
        self.arrays = layout.views(np.zeros(layout.n_bytes, dtype=np.uint8))
        try:
            self.parallel_envs = ParallelEnvs(make, rules, self.arrays, 0, batch_size)
        except SlotFailure as failure:
            raise BackendFailure(failure.slot, failure.text) from failure
        self.close = weakref.finalize(self, self.parallel_envs.close)

    def run(self, command: int) -> list[BackendFailure]:
        """Run a command in this process; the first failure ends it."""
        if not self.close.alive:
            return [BackendFailure(0, CLOSED, is_final=True)]
        try:
            self.parallel_envs.run(command)
        except SlotFailure as failure:
            return [BackendFailure(failure.slot, failure.text, failure.user_can_fix)]
        return []


@contextmanager
def _without_main() -> Iterator[None]:
    """Start processes that do not import the main module, which would import torch."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@dataclass
class WorkerHandle:
    """What the parent keeps of one worker."""

    process: BaseProcess
    go: Semaphore
    done: Semaphore
    failures: Connection


class WorkerBackend:
    """Steps the environments in worker processes.

    Args:
        make: builds an environment; it is sent to the processes.
        rules: for every environment.
        layout: of the shared block.
        batch_size: B.
        n_workers: how many processes, at most B; each gets a range of neighbouring slots.
        timeout: seconds that a command may take; 0: any time.

    Raises:
        BackendFailure: if an environment cannot be built.
    """

    def __init__(
        self,
        make: MakeEnv,
        rules: EpisodeRules,
        layout: MemoryLayout,
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
        self._workers: list[WorkerHandle] = []
        self.close = weakref.finalize(self, _terminate_workers, self._workers, self.arrays.control)
        atexit.register(self.close)  # before multiprocessing waits for its processes
        for w in range(n_workers):
            self._workers.append(self._start_worker(w))
        self._wait_until_built(range(n_workers))

    def slots_of(self, worker: int) -> Array:
        """Which slots a worker steps, [B] bool."""
        slots = np.arange(self._firsts[-1])
        return (slots >= self._firsts[worker]) & (slots < self._firsts[worker + 1])

    def run(self, command: int) -> list[BackendFailure]:
        """Run a command in all workers at once; returns the failures, at most one per worker."""
        if not self.close.alive:
            return [BackendFailure(0, CLOSED, is_final=True)]
        self.arrays.control[0] = command
        for handle in self._workers:
            handle.go.release()
        return self._wait(range(len(self._workers)), self.timeout)

    def restart(self, worker: int) -> None:
        """Replace a worker by a new process; its environments wait for the next reset.

        Raises:
            BackendFailure: if an environment cannot be built again.
        """
        _terminate_workers([self._workers[worker]], self.arrays.control)
        self.arrays.failed[worker] = 0
        self._workers[worker] = self._start_worker(worker)
        self._wait_until_built([worker])

    def _start_worker(self, worker: int) -> WorkerHandle:
        ours, theirs = self._context.Pipe(duplex=False)
        go, done = self._context.Semaphore(0), self._context.Semaphore(0)
        first = self._firsts[worker]
        spec = WorkerSpec(
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
        process = self._context.Process(target=run_worker, args=(spec,), daemon=True)
        with _without_main(), signals_blocked():
            process.start()
        theirs.close()
        return WorkerHandle(process, go, done, ours)

    def _wait_until_built(self, workers: Iterable[int]) -> None:
        for failure in self._wait(workers, self.timeout and self.timeout + STARTUP_TIME):
            self.close()
            raise failure

    def _wait(self, workers: Iterable[int], timeout: float) -> list[BackendFailure]:
        """Wait until these workers are done, or have failed."""
        end = monotonic() + timeout if timeout else float("inf")
        failures = []
        for w in workers:
            handle = self._workers[w]
            text, is_final = _wait_for(handle, end, timeout), False
            if text is None and self.arrays.failed[w]:
                text, is_final = _receive_failure(handle)
            if text is not None:
                failures.append(BackendFailure(int(self.arrays.busy[w]), text, is_final, w))
        return failures


def _wait_for(handle: WorkerHandle, end: float, timeout: float) -> str | None:
    """Wait until a worker is done; returns why it never will be."""
    while not handle.done.acquire(timeout=min(POLL_INTERVAL, max(end - monotonic(), 0))):
        code = handle.process.exitcode
        if code is not None:
            if handle.done.acquire(block=False):  # it had finished before
                return None
            return f"its worker process died ({_exit_text(code)}){_stack(handle)}"
        if monotonic() >= end:
            if REPORTS_STACK and handle.process.pid is not None:
                os.kill(handle.process.pid, signal.SIGUSR1)
            text = (
                f"there was no answer within {timeout:g} seconds. If that is no mistake of the "
                f"environment, raise env_args.timeout{_stack(handle)}"
            )
            handle.process.kill()
            return text
    return None


def _receive_failure(handle: WorkerHandle) -> tuple[str, bool]:
    """Receive a failure from a worker: its text, and whether it is final."""
    try:
        text, user_can_fix = handle.failures.recv()
    except EOFError:
        return "its worker process died while it reported a failure", False
    return text, user_can_fix


def _stack(handle: WorkerHandle) -> str:
    """Where a worker was when it died or got SIGUSR1, as `faulthandler` wrote it into the pipe."""
    text, timeout = b"", CLOSE_TIMEOUT
    while REPORTS_STACK and handle.failures.poll(timeout):
        part = os.read(handle.failures.fileno(), 2**16)
        if not part:
            break
        text, timeout = text + part, POLL_INTERVAL
    return f":\n{text.decode(errors='replace').strip()}" if text else ""


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _terminate_workers(workers: list[WorkerHandle], control: Array) -> None:
    """Ask every worker to close its environments, and kill those that do not end in time."""
    control[0] = CLOSE
    for handle in workers:
        handle.go.release()
    end = monotonic() + CLOSE_TIMEOUT
    for handle in workers:
        handle.process.join(max(end - monotonic(), 0))
        if handle.process.exitcode is None:
            handle.process.kill()
            handle.process.join()
        handle.process.close()
        handle.failures.close()
    workers.clear()
