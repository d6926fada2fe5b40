import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo.database import Database
from tests.records.mongodb.servers import URL_VARIABLE, Proxy, StandIn, stand_in_python

from records import follower
from records.mongodb import mirror
from records.mongodb.server import Server, find_server


@pytest.fixture(autouse=True)
def _no_server_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SACRED_MONGO_URL", raising=False)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """A server: a real one if `TEST_MONGO_URL` names one, else the stand-in, which is none."""
    if URL_VARIABLE in os.environ:
        yield os.environ[URL_VARIABLE]
        return
    server = StandIn()
    yield server.url
    server.kill()


@pytest.fixture
def server(url: str) -> Iterator[Server]:
    """That server with a database of the test's own."""
    found = find_server(url, f"agp_test_{uuid.uuid4().hex[:12]}")
    yield found
    with found.client() as client:
        client.drop_database(found.database)


@pytest.fixture
def database(server: Server) -> Iterator[Database[Any]]:
    with server.client() as client:
        yield server.records(client)


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    """A connection to the server that the test may close."""
    line = Proxy(url)
    yield line
    line.close()


@pytest.fixture(scope="session")
def _python() -> str:
    return stand_in_python()  # asked for first, so that nothing is trained for a skipped test


@pytest.fixture
def stand_in(_python: str) -> Iterator[StandIn]:
    """A stand-in of the test's own, which it may kill."""
    server = StandIn()
    yield server
    server.kill()


@pytest.fixture
def guarded(_python: str) -> Iterator[StandIn]:
    """A stand-in that wants a login."""
    server = StandIn(login=True)
    yield server
    server.kill()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write often, and wait only briefly for a server that is silent."""
    monkeypatch.setattr(follower, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(follower, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(follower, "MAX_SHARE", 1.0)
    monkeypatch.setattr(mirror, "WRITE_SECONDS", 4.0)
