"""Whether a run is recorded in MongoDB, too. Runs that are not never import the driver."""

import sys
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.errors import UserError
from utils.mongo_url import FLAG, MONGO_ID, VARIABLE, find_url

if TYPE_CHECKING:
    from records.mongodb.server import Server


def checked_server(
    flag: str | None, url: str, database: str, loggers: Collection[str]
) -> "Server | None":
    """The server that a run records to, which is up and willing; None if none is wanted.

    Args:
        flag: what `--mongo` gives.
        url: the setting `mongo_url`.
        database: the setting `mongo_db`.
        loggers: the run's loggers.

    Raises:
        UserError: if the server is not of use, after two seconds at most, or Sacred's record, from
            which the one in MongoDB is made, is not wanted.
    """
    url = find_url(flag, url)
    if not url:
        return None
    if "sacred" not in loggers:
        raise UserError(
            f"A server of MongoDB is given, by {FLAG} or {VARIABLE}, and the record there is made "
            f"from Sacred's. Add sacred to loggers=[{','.join(loggers)}], or give no server."
        )
    from records.mongodb.server import find_server

    server = find_server(url, database)
    server.check()
    return server


def mirrored(server: "Server | None", run_dir: Path) -> AbstractContextManager[Any]:
    """Context manager for a run, whose record follows in MongoDB if there is a server."""
    if server is not None:
        from records.mongodb.mirror import Mirror

        return Mirror(server, run_dir)
    if (run_dir / MONGO_ID).exists():
        print(
            f"warning: this run has a record in MongoDB, which stays as it is: no server is given. "
            f"{FLAG}=<url> or {VARIABLE} would continue it.",
            file=sys.stderr,
        )
    return nullcontext()


def sync_run(run_dir: Path, flag: str | None, settings: Mapping[str, Any]) -> str:
    """Complete a run's record in MongoDB from its folder; returns a sentence about it.

    Args:
        run_dir: the run's folder.
        flag: what `--mongo` gives.
        settings: what the run's `config.yaml` says.

    Raises:
        UserError: if no server is named, the server is not of use, or the folder is no run's.
    """
    url = find_url(flag, settings.get("mongo_url", ""))
    if not url:
        raise UserError(f"--sync-mongo has no server. Add {FLAG}=<url>, or set {VARIABLE}.")
    from records.mongodb.mirror import sync
    from records.mongodb.server import find_server

    return sync(find_server(url, settings.get("mongo_db", "")), run_dir)
