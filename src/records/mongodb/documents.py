"""Content of a run's folder as the documents that Sacred's MongoObserver would have written.

The folder is the truth, and this is the only place that turns it into documents: `metrics.csv`
becomes the collection `metrics`, Sacred's record on the disk a document of `runs`. Departures from
Sacred 0.8.7: values are as exact as in `metrics.csv`. The time of a row is the run's start plus its
`seconds`. The source file is not stored a second time. `info` also says which folder this is.
"""

import csv
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from records.follower import remembered_id
from records.metrics import METRICS, read_rows
from records.run_dir import sacred_records
from utils.errors import UserError
from utils.mongo_url import MONGO_ID

FORMAT = "MongoObserver-0.7.0"  # that of Sacred 0.8.7
OPTIONAL = ("stop_time", "result", "fail_trace")  # absent until a run has come that far
INT64 = range(-(2**63), 2**63)  # the whole numbers that BSON knows


@dataclass(frozen=True)
class Record:
    """A run as documents, without the number that the database gives to it.

    Attributes:
        mongo_id: by which the run is known in any database, as `info.mongo_id`.
        run: the document in `runs`, without `_id`.
        metrics: the documents in `metrics`, without `run_id`.
    """

    mongo_id: str
    run: dict[str, Any]
    metrics: list[dict[str, Any]]

    @property
    def n_rows(self) -> int:
        """Rows of `metrics.csv`."""
        return sum(len(metric["steps"]) for metric in self.metrics)


def read_record(run_dir: Path) -> Record | None:
    """The record in a run's folder, or None if Sacred has not begun one yet.

    Raises:
        UserError: if a file is missing or damaged.
    """
    records = sacred_records(run_dir)
    if not records:
        return None
    oldest, newest = records[0], records[-1]
    sacred = _read_json(newest / "run.json")
    start = datetime.fromisoformat(_read_json(oldest / "run.json")["start_time"])
    mongo_id = remembered_id(run_dir, MONGO_ID, "MongoDB")
    metrics = _metrics(run_dir / METRICS, start, mongo_id)
    times = {key: sacred.get(key) for key in ("heartbeat", "stop_time")}
    plain = {
        **{key: sacred[key] for key in ("command", "host", "meta", "status")},
        **{key: sacred[key] for key in OPTIONAL if key in sacred},
        "experiment": {**sacred["experiment"], "sources": []},
        "config": _read_json(newest / "config.json"),
        "format": FORMAT,
        "captured_out": "",
        "resources": [],
        "artifacts": [],
        "heartbeat": None,
    }
    run = {
        **_storable(plain),
        **{key: datetime.fromisoformat(time) for key, time in times.items() if time},
        "start_time": start,
        "info": {
            "metrics": [{"name": metric["name"], "id": str(metric["_id"])} for metric in metrics],
            "mongo_id": mongo_id,
            "run_dir": str(run_dir.resolve()),
            "changes": _changes(run_dir / "changes.csv"),
        },
    }
    return Record(mongo_id, run, metrics)


def _changes(path: Path) -> list[dict[str, str]]:
    """Settings that changed when the run was resumed, a row each; none if it never changed."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _metrics(path: Path, start: datetime, mongo_id: str) -> list[dict[str, Any]]:
    """A document for each key, in the order in which they appear."""
    found: dict[str, dict[str, Any]] = {}
    for step, _, _, seconds, key, value in read_rows(path)[0]:
        if key not in found:
            # The same run and key have the same id everywhere, so that nothing is stored twice.
            digest = hashlib.sha256(f"{mongo_id} {key}".encode()).digest()
            lists: dict[str, list[Any]] = {"steps": [], "values": [], "timestamps": []}
            found[key] = {"_id": ObjectId(digest[:12]), "name": key, **lists}
        found[key]["steps"].append(step)
        found[key]["values"].append(value)
        found[key]["timestamps"].append(start + timedelta(seconds=seconds))
    return list(found.values())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return data
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is missing or damaged ({error}). Restore the file.") from error


def _storable(value: Any) -> Any:
    """Plain data as MongoDB takes it: keys without `.` and leading `$`, as Sacred writes them."""
    if isinstance(value, dict):
        return {
            ("@" + key[1:] if key.startswith("$") else key).replace(".", ","): _storable(entry)
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [_storable(entry) for entry in value]
    return float(value) if isinstance(value, int) and value not in INT64 else value
