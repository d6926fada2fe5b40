"""From a run's folder to documents; no server is needed."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from records.follower import remembered_id
from records.logger import RunEnd, RunStart
from records.loggers.csv import CsvLogger
from records.mongodb.documents import read_record
from utils.errors import UserError
from utils.mongo_url import MONGO_ID
from utils.registry import NoSettings

SACRED: dict[str, Any] = {
    "experiment": {"name": "agp-topk", "sources": [["main.py", "_sources/main.py"]]},
    "command": "main",
    "host": {"hostname": "h"},
    "meta": {},
    "start_time": "2026-01-02T03:04:05.678901",
    "heartbeat": "2026-01-02T03:05:00",
    "status": "RUNNING",
}


def sacred(run_dir: Path, number: int = 1, **changes: Any) -> None:
    folder = run_dir / "sacred" / str(number)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({**SACRED, **changes}))
    (folder / "config.json").write_text(json.dumps({"seed": number}))


def test_rows_become_lists_by_key(tmp_path: Path) -> None:
    sacred(tmp_path)
    log = CsvLogger(NoSettings())
    log.start(RunStart(tmp_path, "agp-topk", {}))
    log.log((8, 8, 1), 1.5, {"loss": 0.5, "lr": float("nan")})
    log.log((2**40, 16, 2), 2.25, {"loss": float("inf")})
    log.close(RunEnd({}))
    record = read_record(tmp_path)
    assert record is not None
    loss, lr = record.metrics
    assert (loss["name"], lr["name"]) == ("loss", "lr")
    assert (loss["steps"], loss["values"]) == ([8, 2**40], [0.5, float("inf")])
    assert loss["timestamps"] == [
        datetime(2026, 1, 2, 3, 4, 7, 178901),
        datetime(2026, 1, 2, 3, 4, 7, 928901),
    ]
    assert repr(lr["values"]) == "[nan]"
    assert record.n_rows == 3
    assert loss["_id"] != lr["_id"]
    assert read_record(tmp_path) is not None
    again = read_record(tmp_path)
    assert again is not None
    assert again.run == record.run


def test_the_newest_of_sacreds_records_holds_but_the_run_began_with_the_oldest(
    tmp_path: Path,
) -> None:
    sacred(tmp_path, 2, heartbeat=None)
    sacred(tmp_path, 10, start_time="2026-01-03T00:00:00", status="COMPLETED", result={"a.b": 1})
    sacred(tmp_path, 9, status="FAILED")
    record = read_record(tmp_path)
    assert record is not None
    run = record.run
    assert (run["status"], run["config"], run["result"]) == ("COMPLETED", {"seed": 10}, {"a,b": 1})
    assert run["start_time"] == datetime.fromisoformat(SACRED["start_time"])
    assert run["experiment"]["sources"] == []
    assert "stop_time" not in run
    assert record.metrics == []


def test_before_sacred_has_begun_there_is_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_id_is_made_once(tmp_path: Path) -> None:
    first = remembered_id(tmp_path, MONGO_ID, "MongoDB")
    assert (
        remembered_id(tmp_path, MONGO_ID, "MongoDB") == first == (tmp_path / MONGO_ID).read_text()
    )


def test_a_damaged_id(tmp_path: Path) -> None:
    (tmp_path / MONGO_ID).write_text("not one of ours")
    with pytest.raises(UserError, match=rf"{MONGO_ID}.*delete a damaged file"):
        remembered_id(tmp_path, MONGO_ID, "MongoDB")
    with pytest.raises(UserError, match="Make the folder writable"):
        remembered_id(tmp_path / "gone", MONGO_ID, "MongoDB")


@pytest.mark.parametrize(
    "row", ["8,8,1,1.00,loss", "8,8,1,1.00,loss,much", "x,8,1,1.00,loss,0.5", "8,8,1,?,loss,0.5"]
)
def test_a_damaged_row(row: str, tmp_path: Path) -> None:
    sacred(tmp_path)
    log = CsvLogger(NoSettings())
    log.start(RunStart(tmp_path, "agp-topk", {}))
    log.log((8, 8, 1), 1.5, {"loss": 0.5})
    log.close(RunEnd({}))
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write(f"{row}\n")
    with pytest.raises(UserError, match=r"metrics\.csv, line 3: cannot be read"):
        read_record(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "config.json"])
def test_a_damaged_record_of_sacred(name: str, tmp_path: Path) -> None:
    sacred(tmp_path)
    (tmp_path / "sacred" / "1" / name).write_text("{")
    with pytest.raises(UserError, match=f"{name} is missing or damaged"):
        read_record(tmp_path)
