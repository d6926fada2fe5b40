"""A worker process: waits for a command, runs it on its copies, says that it is done.

This module and what it imports know nothing of torch, so that a worker starts quickly.
"""

import faulthandler
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Semaphore
from typing import Any

import numpy as np

from envs.python_worlds._arrays import Layout
from envs.python_worlds._copies import CLOSE, Copies, CopyFailure, MakeWorld, Rules

STOPPING = (signal.SIGINT, signal.SIGTERM)
PARENT_CHECK = 5.0  # seconds between two looks whether the parent still lives
TELLS_STACK = os.name == "posix"  # whether a worker that dies or hangs can say where it was


@dataclass(frozen=True)
class Task:
    """All that a worker is given at its start; it travels to the process."""

    worker: int
    make: MakeWorld
    rules: Rules
    layout: Layout
    block: Any  # shared memory, a ctypes array of bytes
    first: int  # its first copy
    n: int  # how many copies it has
    go: Semaphore  # the parent gives a command
    done: Semaphore  # the worker has obeyed
    failures: Connection  # where it sends (text, mendable) of a failure after setting `failed`


def work(task: Task) -> None:
    """The life of a worker."""
    leave_signals_to_parent()
    if TELLS_STACK:
        faulthandler.enable(task.failures.fileno(), all_threads=False)
        faulthandler.register(signal.SIGUSR1, task.failures.fileno(), all_threads=False)
    arrays = task.layout.views(np.frombuffer(task.block, dtype=np.uint8))

    def report(action: Callable[[], Any]) -> Any:
        try:
            result = action()
        except CopyFailure as failure:
            arrays.failed[task.worker] = 1
            task.done.release()  # first, so that the parent reads while a long text is sent
            task.failures.send((failure.text, failure.mendable))
            return None
        task.done.release()
        return result

    copies = report(lambda: Copies(task.make, task.rules, arrays, task.first, task.n, task.worker))
    while copies is not None and _told_to_go(task.go):
        command = int(arrays.control[0])
        if command == CLOSE:
            copies.close()
            return
        report(lambda c=command: copies.run(c))  # type: ignore[misc]


def leave_signals_to_parent() -> None:
    """Live on when SIGINT and SIGTERM reach a whole group of processes; the parent ends workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A handler, unlike SIG_IGN, is not passed on to programs that an environment starts and ends.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Processes begun within the block, and the server that forks them, start with them blocked."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _told_to_go(go: Semaphore) -> bool:
    """Wait for a command; false if the parent has died."""
    parent = multiprocessing.parent_process()
    while not go.acquire(timeout=PARENT_CHECK):
        if parent is None or not parent.is_alive():
            return False
    return True
