"""Records in MongoDB, over a real socket.

The server is a stand-in, not MongoDB itself; with `TEST_MONGO_URL` the same tests run against a
real one. Without either they are skipped.
"""

import json
import shutil
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.database import Database
from tests.helpers.runs import TINY
from tests.records.mongodb.servers import (
    Proxy,
    StandIn,
    complete,
    rows_in_database,
    rows_on_disk,
    until,
)

from main import main
from records.follower import remembered_id
from records.mongodb.mirror import Mirror, sync
from records.mongodb.server import Server, find_server
from utils.errors import UserError
from utils.mongo_url import MONGO_ID


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run that has never seen a server; tests copy it."""
    results = tmp_path_factory.mktemp("trained")
    argv = ["--config=agp", "--env-config=topk", "with", *TINY, f"results_dir={results}"]
    assert main(argv) == 0
    return results / "topk" / "agp" / "agp_seed1_1"


@pytest.fixture
def run_dir(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def everything(database: Database[Any]) -> list[str]:
    """All documents as text, so that NaN equals NaN."""
    return [
        repr(document)
        for collection in (database.runs, database.metrics)
        for document in collection.find({}, sort=[("_id", pymongo.ASCENDING)])
    ]


def append(run_dir: Path, *rows: str) -> None:
    with (run_dir / "metrics.csv").open("a") as file:
        file.write("".join(f"{row}\n" for row in rows))


def test_a_synced_run_is_laid_out_as_sacred_does(
    server: Server, database: Database[Any], run_dir: Path
) -> None:
    assert sync(server, run_dir).endswith(f"database '{server.database}', run 1 (COMPLETED).")
    (run,) = database.runs.find()
    on_disk = json.loads((run_dir / "sacred" / "1" / "run.json").read_text())
    assert set(run) == {
        *("_id", "experiment", "format", "command", "host", "start_time", "config", "meta"),
        *("status", "resources", "artifacts", "captured_out", "info", "heartbeat", "result"),
        "stop_time",
    }
    for key in ("command", "host", "meta", "status", "result"):
        assert run[key] == on_disk[key]
    assert run["config"] == json.loads((run_dir / "sacred" / "1" / "config.json").read_text())
    assert run["experiment"] == {**on_disk["experiment"], "sources": []}
    for key in ("start_time", "heartbeat", "stop_time"):
        exact = datetime.fromisoformat(on_disk[key])
        assert run[key] == exact.replace(microsecond=exact.microsecond // 1000 * 1000)
    metrics = {str(metric["_id"]): metric for metric in database.metrics.find()}
    assert {m["id"]: m["name"] for m in run["info"]["metrics"]} == {
        key: metric["name"] for key, metric in metrics.items()
    }
    for metric in metrics.values():
        assert set(metric) == {"_id", "run_id", "name", "steps", "values", "timestamps"}
        assert metric["run_id"] == 1
        assert sorted(metric["timestamps"]) == metric["timestamps"]
        assert metric["timestamps"][0] >= run["start_time"]
    assert complete(database, run_dir)


def test_a_second_sync_changes_nothing(
    server: Server, database: Database[Any], run_dir: Path
) -> None:
    sync(server, run_dir)
    before = everything(database)
    assert sync(server, run_dir)
    assert everything(database) == before


def test_what_others_wrote_stays(server: Server, database: Database[Any], run_dir: Path) -> None:
    database.runs.insert_many([{"_id": 7, "status": "COMPLETED"}, {"_id": "a name"}])
    database.metrics.insert_one({"run_id": 7, "name": "loss", "steps": [1], "values": [2.0]})
    sync(server, run_dir)
    tags = {"tags": ["good"], "notes": "look at this one"}
    database.runs.update_one({"_id": 8}, {"$set": {"omniboard": tags}})
    sync(server, run_dir)
    found = database.runs.find_one({"_id": 8})
    assert found is not None
    assert found["omniboard"] == tags
    assert database.runs.find_one({"_id": 7}) == {"_id": 7, "status": "COMPLETED"}
    assert database.metrics.count_documents({"run_id": 7}) == 1


def test_rows_that_a_resumed_run_removed_are_removed(
    server: Server, database: Database[Any], run_dir: Path
) -> None:
    whole = (run_dir / "metrics.csv").read_text()
    append(run_dir, "99,99,9,9.00,loss,1", "99,99,9,9.00,only_here,1")
    failed = run_dir / "sacred" / "1" / "run.json"
    record = json.loads(failed.read_text())
    failed.write_text(json.dumps({**record, "status": "FAILED", "fail_trace": ["Error"]}))
    sync(server, run_dir)
    assert database.runs.count_documents({"fail_trace": ["Error"], "status": "FAILED"}) == 1
    (run_dir / "metrics.csv").write_text(whole)
    resumed = shutil.copytree(failed.parent, run_dir / "sacred" / "2") / "run.json"
    running = {key: record[key] for key in record if key not in ("result", "stop_time")}
    later = {"status": "RUNNING", "start_time": "2099-01-01T00:00:00", "heartbeat": None}
    resumed.write_text(json.dumps({**running, **later}))
    sync(server, run_dir)
    assert complete(database, run_dir)
    assert "only_here" not in {metric["name"] for metric in database.metrics.find()}
    (run,) = database.runs.find()
    assert run["status"] == "RUNNING"
    assert run["heartbeat"] is None
    assert run["start_time"].year < 2099
    assert not {"fail_trace", "result", "stop_time"} & set(run)


def test_numbers_that_are_none_and_keys_that_mongodb_rejects(
    server: Server, database: Database[Any], run_dir: Path
) -> None:
    append(run_dir, "72,72,9,9.00,loss,nan", "80,80,9,9.00,loss,inf", "88,88,9,9.00,loss,-inf")
    config = run_dir / "sacred" / "1" / "config.json"
    config.write_text(json.dumps({"a.b": {"$c": [{"d.e": 2**70}]}, "f": float("nan")}))
    sync(server, run_dir)
    assert complete(database, run_dir)
    assert {"nan", "inf", "-inf"} <= {value for _, _, value in rows_in_database(database, 1)}
    (run,) = database.runs.find()
    assert repr(run["config"]) == repr({"a,b": {"@c": [{"d,e": 2.0**70}]}, "f": float("nan")})


def test_runs_that_begin_at_the_same_moment_get_different_numbers(
    server: Server, database: Database[Any], run_dir: Path, tmp_path: Path
) -> None:
    folders = [shutil.copytree(run_dir, tmp_path / str(i)) for i in range(8)]
    barrier = threading.Barrier(2 * len(folders))

    def start(folder: Path) -> None:
        barrier.wait()
        sync(server, folder)

    for folder in folders:
        remembered_id(folder, MONGO_ID, "MongoDB")
    threads = [threading.Thread(target=start, args=[f]) for f in [*folders, *folders]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for folder in folders:  # what two processes wrote at once for one run is one record after all
        sync(server, folder)
        assert complete(database, folder)
    numbers = sorted(run["_id"] for run in database.runs.find())
    assert len(numbers) == len(folders)
    owners = {metric["run_id"] for metric in database.metrics.find()}
    assert owners == set(numbers)


@pytest.mark.usefixtures("quick")
def test_the_record_follows_a_run(server: Server, database: Database[Any], run_dir: Path) -> None:
    with Mirror(server, run_dir):
        until(lambda: complete(database, run_dir))
        append(run_dir, "72,72,9,9.00,loss,0.5")
        until(lambda: complete(database, run_dir))
        append(run_dir, "80,80,9,9.00,loss,0.25")
        with (run_dir / "metrics.csv").open("a") as file:
            file.write("88,88,9,9.00,lo")  # a row that is being written
    (run,) = database.runs.find()
    assert (80, "loss", "0.25") in rows_in_database(database, run["_id"])
    assert {metric["name"] for metric in database.metrics.find()} == {
        key for _, key, _ in rows_on_disk(run_dir) if key != "lo"
    }
    assert run["status"] == "COMPLETED"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["disconnect", "silence"])
def test_an_interrupted_connection_loses_nothing(
    fault: str,
    server: Server,
    database: Database[Any],
    proxy: Proxy,
    run_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    through = find_server(proxy.url, server.database)
    warnings = ""

    def said(text: str) -> bool:
        nonlocal warnings
        warnings += capsys.readouterr().err
        return text in warnings

    with Mirror(through, run_dir):
        until(lambda: complete(database, run_dir))
        getattr(proxy, fault)()
        append(run_dir, "72,72,9,9.00,loss,0.5")
        until(lambda: said("does not answer"))
        append(run_dir, "80,80,9,9.00,loss,0.25")
        assert not complete(database, run_dir)
        proxy.restore()
        until(lambda: said("has the whole record again"))
        append(run_dir, "88,88,9,9.00,loss,0.125")
    assert complete(database, run_dir)
    assert warnings.count("does not answer") == 1
    assert "--sync-mongo" not in warnings + capsys.readouterr().err


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["disconnect", "silence"])
def test_a_lost_connection_delays_no_run(
    fault: str,
    server: Server,
    database: Database[Any],
    proxy: Proxy,
    run_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    through = find_server(proxy.url, server.database)
    with Mirror(through, run_dir):
        until(lambda: complete(database, run_dir))
        getattr(proxy, fault)()
        append(run_dir, "72,72,9,9.00,loss,0.5")
    assert f"python src/main.py --sync-mongo={run_dir}" in capsys.readouterr().err
    assert not complete(database, run_dir)
    with pytest.raises(UserError, match="does not answer"):
        sync(through, run_dir)
    sync(server, run_dir)
    assert complete(database, run_dir)


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_killed_and_forgets_everything(
    stand_in: StandIn, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only with the stand-in: it loses its data, and a test must not kill a real server."""
    server = find_server(stand_in.url, "sacred")
    with server.client() as client:
        database = server.records(client)
        other = shutil.copytree(run_dir, tmp_path / "other")
        with Mirror(server, run_dir):
            until(lambda: complete(database, run_dir))
            stand_in.kill()
            append(run_dir, "72,72,9,9.00,loss,0.5")
            until(lambda: "does not answer" in capsys.readouterr().err)
            stand_in.start()
            sync(server, other)  # may take the number that the run had
            append(run_dir, "80,80,9,9.00,loss,0.25")
            until(lambda: complete(database, run_dir))
            stand_in.kill()
            append(run_dir, "88,88,9,9.00,loss,0.125")
        assert "--sync-mongo" in capsys.readouterr().err
        stand_in.start()
        for folder in (other, run_dir):
            sync(server, folder)
            sync(server, folder)
            assert complete(database, folder)
        assert database.runs.count_documents({}) == 2
