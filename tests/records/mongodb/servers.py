"""Servers for the tests: the stand-in, a proxy that can fail, and records to compare."""

import csv
import os
import re
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.uri_parser import parse_uri

from utils.mongo_url import MONGO_ID

ROOT = Path(__file__).resolve().parents[3]
PYTHON_VARIABLE, URL_VARIABLE = "TEST_MONGO_PYTHON", "TEST_MONGO_URL"
STAND_IN = Path(__file__).with_name("stand_in.py")


def free_port() -> int:
    """A port on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stand_in_python() -> str:
    """An interpreter that has mongoeco; without one the test is skipped."""
    python = os.environ.get(PYTHON_VARIABLE)
    if not python:
        pytest.skip(
            f"{PYTHON_VARIABLE} names no interpreter with mongoeco; `make test-mongo` makes one"
        )
    return python


class StandIn:
    """The stand-in in a separate process, on a port that it keeps when it is started again."""

    def __init__(self, login: bool = False):
        self.port, self._login = free_port(), login
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def start(self) -> None:
        words = [
            stand_in_python(),
            str(STAND_IN),
            str(self.port),
            *(["--login"] if self._login else []),
        ]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """SIGKILL; all that it held is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Proxy:
    """A connection to a server that can be closed, made silent, and restored."""

    def __init__(self, url: str):
        self._to, *_ = parse_uri(url)["nodelist"]
        self.port = free_port()
        joint = "&" if "?" in url else "/?"
        here = re.sub(r"(://(?:.*@)?)[^/?]*", rf"\g<1>127.0.0.1:{self.port}", url, count=1)
        self.url = f"{here.rstrip('/')}{joint}directConnection=true"
        self._wakeup, self._interrupt = socket.socketpair()
        self._state, self._is_done = "open", threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self._is_done.wait(5)

    def restore(self) -> None:
        """Let traffic pass."""
        self._change("open")

    def disconnect(self) -> None:
        """Close every connection and take no new ones."""
        self._change("closed")

    def silence(self) -> None:
        """Take connections and data, and never pass on a byte."""
        self._change("silent")

    def close(self) -> None:
        self._change("ended")
        self._thread.join(5)
        self._wakeup.close()
        self._interrupt.close()

    def _change(self, state: str) -> None:
        self._is_done.clear()
        self._state = state
        self._interrupt.send(b"x")
        assert self._is_done.wait(5)

    def _work(self) -> None:
        listener: socket.socket | None = None
        others: dict[
            socket.socket, socket.socket
        ] = {}  # each end of a connection and the other one
        while True:
            if self._state in ("closed", "ended") and listener is not None:
                for end in (listener, *others):
                    end.close()
                listener, others = None, {}
            elif self._state in ("open", "silent") and listener is None:
                listener = socket.create_server(("127.0.0.1", self.port))
            self._is_done.set()
            if self._state == "ended":
                return
            waiting = [self._wakeup, *others, *([listener] if listener else [])]
            for end in select.select(waiting, [], [])[0]:
                if end is self._wakeup:
                    end.recv(1)
                elif end is listener:
                    near, _ = listener.accept()
                    far = socket.create_connection(self._to)
                    others |= {near: far, far: near}
                elif end in others and not self._pass(end, others[end]):
                    for dead in (end, others[end]):
                        del others[dead]
                        dead.close()

    def _pass(self, end: socket.socket, other: socket.socket) -> bool:
        """Pass on what has come; false at the end of the line."""
        try:
            data = end.recv(65536)
            if data and self._state == "open":
                other.sendall(data)
        except OSError:
            return False
        return bool(data)


def rows_on_disk(run_dir: Path) -> list[tuple[int, str, str]]:
    """Step, key and value of every row of `metrics.csv`; NaN as text, to compare it."""
    with (run_dir / "metrics.csv").open(newline="") as file:
        found = [
            (int(row["env_steps"]), row["key"], str(float(row["value"])))
            for row in csv.DictReader(file)
            if row["value"]  # the last one may be incomplete
        ]
    return sorted(found)


def rows_in_database(database: Database[Any], number: int) -> list[tuple[int, str, str]]:
    """The same of what MongoDB holds."""
    found = []
    for metric in database.metrics.find({"run_id": number}):
        assert len(metric["steps"]) == len(metric["values"]) == len(metric["timestamps"])
        pairs = zip(metric["steps"], metric["values"], strict=True)
        found += [(step, metric["name"], str(value)) for step, value in pairs]
    return sorted(found)


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that should happen at once; fail after half a minute."""
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


def complete(database: Database[Any], run_dir: Path) -> bool:
    """Whether MongoDB holds one record of the run, with every row of metrics.csv."""
    found = list(database.runs.find({"info.mongo_id": (run_dir / MONGO_ID).read_text()}))
    assert len(found) <= 1
    return bool(found) and rows_in_database(database, found[0]["_id"]) == rows_on_disk(run_dir)
