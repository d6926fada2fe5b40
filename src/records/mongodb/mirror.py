"""The record of a run in MongoDB, written from the run's folder.

Each writing is the whole record as the folder has it at that moment. So nothing has to be
remembered between two writings: a server may be away for a while, lose its data or be another one.
The next writing that succeeds makes the record complete, and one more changes nothing.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from records.follower import Follower, remembered_id
from records.mongodb.documents import OPTIONAL, Record, read_record
from records.mongodb.server import ERRORS, Server
from utils.errors import UserError
from utils.mongo_url import MONGO_ID

WRITE_SECONDS = 5.0  # that a live run gives to one writing
SYNC_SECONDS = 60.0  # the same for `--sync-mongo`


class Mirror(Follower):
    """Context manager: during a run, its record in MongoDB follows the one in its folder.

    At the end the run waits 4 seconds if the server is gone, never more than twice `WRITE_SECONDS`.

    Args:
        server: where to.
        run_dir: the run's folder.

    Raises:
        UserError: if the folder cannot be written.
    """

    sync_flag = "--sync-mongo"
    errors = ERRORS

    def __init__(self, server: Server, run_dir: Path):
        self.label, self.end_seconds = f"MongoDB at {server.hosts}", 2 * WRITE_SECONDS
        super().__init__(run_dir)
        self._server = server
        self._client: pymongo.MongoClient[Any]
        self._number: int | None = None
        remembered_id(run_dir, MONGO_ID, "MongoDB")

    def follow(self) -> None:
        """Write until the run has ended, with one client."""
        with self._server.client() as self._client:
            super().follow()

    def write(self, is_last: bool) -> None:
        """Write the whole record, once Sacred has begun one."""
        record = read_record(self.run_dir)
        if record is not None:
            self._number = write(self._server, self._client, record, WRITE_SECONDS, self._number)

    def explain(self, error: Exception) -> str:
        """The message for the user about an error of the driver."""
        return self._server.explain(error)


def sync(server: Server, run_dir: Path) -> str:
    """Bring the record of a run in MongoDB up to what its folder holds; returns a sentence.

    Raises:
        UserError: if the folder holds no record, or the server cannot take it.
    """
    record = read_record(run_dir)
    if record is None:
        raise UserError(
            f"{run_dir} has no record of a run. Give the folder of one, such as "
            f"results/topk/agp/agp_seed1_1."
        )
    try:
        with server.client() as client:
            number = write(server, client, record, SYNC_SECONDS)
    except ERRORS as error:
        raise UserError(server.explain(error)) from None
    return (
        f"{run_dir}: {record.n_rows:,} rows of {len(record.metrics)} metrics are in MongoDB at "
        f"{server.hosts}, database '{server.database}', run {number} ({record.run['status']})."
    )


def write(
    server: Server,
    client: pymongo.MongoClient[Any],
    record: Record,
    seconds: float,
    number: int | None = None,
) -> int:
    """Make MongoDB hold exactly this record; what others added to the run's document stays.

    Args:
        server: where to.
        client: its client.
        record: the whole record.
        seconds: that it may take once the server has answered.
        number: of an earlier writing, if it is known; it spares a search.

    Returns:
        The run's number, its `_id` in `runs`.
    """
    server.require_answer(client)
    with pymongo.timeout(seconds):
        database = server.records(client)
        number = _number(database, record, number)
        metrics: list[Any] = [
            pymongo.UpdateOne({"_id": m["_id"]}, {"$set": {**m, "run_id": number}}, upsert=True)
            for m in record.metrics
        ]
        # Keys that a resumed run has removed.
        keep = [metric["_id"] for metric in record.metrics]
        metrics.append(pymongo.DeleteMany({"run_id": number, "_id": {"$nin": keep}}))
        database.metrics.bulk_write(metrics, ordered=False)
        gone = {key: "" for key in OPTIONAL if key not in record.run}
        change = {"$set": record.run, **({"$unset": gone} if gone else {})}
        database.runs.update_one({"_id": number}, change)
    return number


def _number(database: Database[Any], record: Record, number: int | None) -> int:
    """The number of the run's document, which is made with the next free one if there is none."""
    runs, mine, only = database.runs, {"info.mongo_id": record.mongo_id}, {"_id": True}
    if number is not None and runs.find_one({"_id": number, **mine}, only) is not None:
        return number
    while True:
        first = runs.find_one(mine, only, sort=[("_id", pymongo.ASCENDING)])
        if first is not None:
            # Two processes may have made a document for this run at the same moment.
            runs.delete_many({**mine, "_id": {"$gt": first["_id"]}})
            return int(first["_id"])
        numbers = {"_id": {"$type": "number"}}
        last = runs.find_one(numbers, only, sort=[("_id", pymongo.DESCENDING)])
        free = 1 if last is None else int(last["_id"]) + 1
        with suppress(DuplicateKeyError):  # another run was quicker
            runs.insert_one({**record.run, "_id": free, "status": "RUNNING"})
