"""The record of a run in MongoDB, written from the run's folder.

Whatever is written is the whole record as the folder has it at that moment. So nothing has to be
remembered between two writings: a server may be away for a while, forget everything or be another
one; the next writing that succeeds makes the record complete, and one more changes nothing.
"""

import shlex
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from mongodb.documents import OPTIONAL, Record, read_record, remembered_id
from mongodb.server import ERRORS, Server
from utils.errors import UserError
from utils.invocation import main_command

FIRST_SECONDS = 1.0  # from the start of a run to the first writing
PAUSE_SECONDS = 10.0  # between two writings
MAX_SHARE = 0.02  # of the processor that writing may take: larger records are written less often
WRITE_SECONDS = 5.0  # that a live run gives to one writing
SYNC_SECONDS = 60.0  # the same for `--sync-mongo`


class Mirror:
    """Context manager: while a run goes on, its record in MongoDB follows the one in its folder.

    A thread does all of it, so that a server that is gone never holds up training; only at the end
    the run waits for it: 4 seconds if the server is gone, never more than twice `WRITE_SECONDS`.

    Args:
        server: where to.
        run_dir: the run's folder.

    Raises:
        UserError: if the folder cannot be written.
    """

    def __init__(self, server: Server, run_dir: Path):
        self._server, self._run_dir = server, run_dir
        self._stop = threading.Event()
        self._is_complete, self._is_failing = False, False
        self._thread = threading.Thread(target=self._follow, name="mongodb", daemon=True)
        remembered_id(run_dir)

    def __enter__(self) -> "Mirror":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(2 * WRITE_SECONDS)
        if not self._is_complete:
            _warn(
                f"the record in MongoDB is not complete; the one in {self._run_dir} is. Once the "
                f"server answers: {main_command()} --sync-mongo={shlex.quote(str(self._run_dir))}"
            )

    def _follow(self) -> None:
        pause, number, is_last = FIRST_SECONDS, None, False
        with self._server.client() as client:
            while not is_last:
                is_last = self._stop.wait(pause)
                busy_before = time.thread_time()
                number = self._attempt(client, number, is_last)
                pause = max(PAUSE_SECONDS, (time.thread_time() - busy_before) / MAX_SHARE)

    def _attempt(
        self, client: pymongo.MongoClient[Any], number: int | None, is_last: bool
    ) -> int | None:
        """Write the record once; returns its number. The first of several failures is told."""
        try:
            record = read_record(self._run_dir)
            if record is not None:
                number = write(self._server, client, record, WRITE_SECONDS, number)
            self._is_complete = is_last
        except (UserError, *ERRORS) as error:
            if not self._is_failing:
                reason = str(error) if isinstance(error, UserError) else self._server.explain(error)
                _warn(f"{reason} The run goes on, and is recorded in {self._run_dir} as ever.")
            self._is_failing = True
        else:
            if self._is_failing:
                _warn(f"MongoDB at {self._server.hosts} has the whole record again.")
            self._is_failing = False
        return number


def sync(server: Server, run_dir: Path) -> str:
    """Bring the record of a run in MongoDB up to what its folder holds; returns a sentence.

    Raises:
        UserError: if the folder holds no record, or the server cannot take it.
    """
    record = read_record(run_dir)
    if record is None:
        raise UserError(
            f"{run_dir} holds no record of a run. Give the folder of one, such as "
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
        # Keys that a resumed run has cut off again.
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


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)
