"""A worker process: waits for a command, runs it in its environments, reports that it is done.

This module and its imports do not import torch, so that a worker starts quickly.
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

from envs.python_envs.parallel_envs import CLOSE, EpisodeRules, MakeEnv, ParallelEnvs, SlotFailure
from envs.python_envs.shared_memory import MemoryLayout

STOPPING = (signal.SIGINT, signal.SIGTERM)
PARENT_CHECK = 5.0  # seconds between two checks whether the parent is alive
REPORTS_STACK = os.name == "posix"  # whether a worker that dies or hangs can report its stack


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker process is started with."""

    worker: int
    make: MakeEnv
    rules: EpisodeRules
    layout: MemoryLayout
    block: Any  # shared memory, a ctypes array of bytes
    first: int  # number of its first slot
    n: int  # how many slots it has
    go: Semaphore  # the parent gives a command
    done: Semaphore  # the worker has finished it
    failures: Connection  # where it sends (text, user_can_fix) of a failure after setting `failed`


def run_worker(spec: WorkerSpec) -> None:
    """Build the environments, then run commands until CLOSE or until the parent has died."""
    ignore_stop_signals()
    if REPORTS_STACK:
        faulthandler.enable(spec.failures.fileno(), all_threads=False)
        faulthandler.register(signal.SIGUSR1, spec.failures.fileno(), all_threads=False)
    arrays = spec.layout.views(np.frombuffer(spec.block, dtype=np.uint8))

    def report(action: Callable[[], Any]) -> Any:
        try:
            result = action()
        except SlotFailure as failure:
            arrays.failed[spec.worker] = 1
            spec.done.release()  # first, so that the parent reads while a long text is sent
            spec.failures.send((failure.text, failure.user_can_fix))
            return None
        spec.done.release()
        return result

    parallel_envs = report(
        lambda: ParallelEnvs(spec.make, spec.rules, arrays, spec.first, spec.n, spec.worker)
    )
    while parallel_envs is not None and _wait_for_command(spec.go):
        command = int(arrays.control[0])
        if command == CLOSE:
            parallel_envs.close()
            return
        report(lambda c=command: parallel_envs.run(c))  # type: ignore[misc]


def ignore_stop_signals() -> None:
    """Ignore SIGINT and SIGTERM sent to the whole process group; the parent ends workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A handler, unlike SIG_IGN, is not passed on to programs that an environment starts and ends.
    signal.signal(signal.SIGTERM, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Start processes, and the server that forks them, with these signals blocked."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for_command(go: Semaphore) -> bool:
    """Wait for a command; false if the parent has died."""
    parent = multiprocessing.parent_process()
    while not go.acquire(timeout=PARENT_CHECK):
        if parent is None or not parent.is_alive():
            return False
    return True
