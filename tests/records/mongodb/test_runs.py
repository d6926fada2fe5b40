"""Whole commands with `--mongo`, over a real socket.

The server is a stand-in, not MongoDB itself; with `TEST_MONGO_URL` those tests that neither kill it
nor need its users run against a real one.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from tests.helpers.runs import TINY, rows
from tests.records.mongodb.servers import StandIn, complete, until

from main import main
from records.mongodb.server import Server, find_server
from run import Run

MAIN = Path(__file__).resolve().parents[3] / "src" / "main.py"
FLAGS = ["--config=agp", "--env-config=topk"]
LOGIN = "?authMechanism=SCRAM-SHA-256"


@pytest.fixture
def forgetful(stand_in: StandIn) -> Iterator[tuple[StandIn, Database[Any]]]:
    """A server that the test may kill, and its database."""
    server = find_server(stand_in.url, "")
    with server.client() as client:
        yield stand_in, server.records(client)


def train(server: Server | StandIn, results: Path, *settings: str) -> Path:
    """Train with `--mongo`; returns the run's folder."""
    database = [f"mongo_db={server.database}"] if isinstance(server, Server) else []
    argv = [f"--mongo={server.url}", "with", *TINY, f"results_dir={results}", *database, *settings]
    assert main([*FLAGS, *argv]) == 0
    return results / "topk" / "agp" / "agp_seed1_1"


def at(monkeypatch: pytest.MonkeyPatch, env_steps: int, happens: Any) -> None:
    """Let something happen once training has come that far."""
    advance = Run.advance

    def advance_and_more(self: Run) -> None:
        advance(self)
        if self.counters.env_steps == env_steps:
            happens()

    monkeypatch.setattr(Run, "advance", advance_and_more)


def test_a_run_is_on_the_disk_and_in_mongodb(
    server: Server, database: Database[Any], tmp_path: Path
) -> None:
    run_dir = train(server, tmp_path)
    assert complete(database, run_dir)
    (run,) = database.runs.find()
    assert (run["status"], run["experiment"]["name"]) == ("COMPLETED", "agp-topk")
    assert run["config"]["mongo_db"] == server.database
    assert run["config"]["mongo_url"] == ""
    assert (run_dir / "sacred" / "1" / "run.json").is_file()


def test_the_environment_names_the_server_of_a_resumed_run(
    server: Server,
    database: Database[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = train(server, tmp_path, "t_max=32")
    with (run_dir / "metrics.csv").open("a") as file:
        file.write("40,40,9,9.00,loss,1\n40,40,9,9.00,only_here,1\n")  # after the checkpoint
    monkeypatch.setenv("SACRED_MONGO_URL", server.url)
    assert main([f"--sync-mongo={run_dir}"]) == 0
    assert complete(database, run_dir)
    assert main(["with", f"resume={run_dir}", "t_max=64"]) == 0
    assert rows(run_dir)[-1]["env_steps"] == "64"
    assert complete(database, run_dir)
    (run,) = database.runs.find()
    assert run["config"]["t_max"] == 64
    assert "only_here" not in {metric["name"] for metric in database.metrics.find()}
    monkeypatch.delenv("SACRED_MONGO_URL")
    capsys.readouterr()
    assert main(["with", f"resume={run_dir}", "t_max=72"]) == 0
    assert "has a record in MongoDB, which stays as it is" in capsys.readouterr().err
    assert not complete(database, run_dir)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "INTERRUPTED"), (RuntimeError, "FAILED")]
)
def test_a_run_that_ends_early_is_recorded_as_such(
    error: type[BaseException],
    status: str,
    server: Server,
    database: Database[Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise error("enough")

    at(monkeypatch, 40, fail)
    with pytest.raises(error):
        train(server, tmp_path)
    (run,) = database.runs.find()
    assert run["status"] == status
    assert ("enough" in str(run.get("fail_trace"))) == (status == "FAILED")
    assert complete(database, tmp_path / "topk" / "agp" / "agp_seed1_1")


def test_sigterm_completes_the_record_and_a_resumed_run_continues_it(
    server: Server, database: Database[Any], tmp_path: Path
) -> None:
    command = [sys.executable, str(MAIN), f"--mongo={server.url}"]
    settings = [*TINY, f"results_dir={tmp_path}", f"mongo_db={server.database}", "t_max=1000000"]
    process = subprocess.Popen([*command, *FLAGS, "with", *settings], stdout=subprocess.DEVNULL)
    run_dir = tmp_path / "topk" / "agp" / "agp_seed1_1"
    until(lambda: (run_dir / "checkpoints").exists())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert [run["status"] for run in database.runs.find()] == ["INTERRUPTED"]
    assert complete(database, run_dir)
    more = ["with", f"resume={run_dir}", f"t_max={int(rows(run_dir)[-1]['env_steps']) + 64}"]
    subprocess.run([*command, *more], stdout=subprocess.DEVNULL, check=True)
    assert [run["status"] for run in database.runs.find()] == ["COMPLETED"]
    assert complete(database, run_dir)


@pytest.mark.usefixtures("quick")
def test_a_server_that_is_killed_and_comes_back_in_the_middle_of_a_run(
    forgetful: tuple[StandIn, Database[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, database = forgetful
    at(monkeypatch, 24, server.kill)
    at(monkeypatch, 48, server.start)
    run_dir = train(server, tmp_path)
    assert complete(database, run_dir)
    assert database.runs.count_documents({"status": "COMPLETED"}) == 1


@pytest.mark.usefixtures("quick")
def test_a_server_that_comes_back_after_the_run(
    forgetful: tuple[StandIn, Database[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, database = forgetful
    at(monkeypatch, 24, server.kill)
    run_dir = train(server, tmp_path)
    assert json.loads((run_dir / "sacred" / "1" / "run.json").read_text())["status"] == "COMPLETED"
    assert f"--sync-mongo={run_dir}" in capsys.readouterr().err
    argv = [f"--sync-mongo={run_dir}", f"--mongo={server.url}"]
    assert main(argv) == 2
    assert "does not answer" in capsys.readouterr().err
    server.start()
    for _ in range(2):
        assert main(argv) == 0
        assert "rows of" in capsys.readouterr().out
        assert complete(database, run_dir)
    assert database.runs.count_documents({"status": "COMPLETED"}) == 1


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("ann:hunter2@", "does not accept the name and password"),
        ("reader:pass%2Fword@", "does not allow writing to the database 'sacred' (not authorized"),
        ("", "does not allow writing to the database 'sacred' (Authentication required"),
    ],
)
def test_a_login_that_does_not_do(
    user: str, said: str, guarded: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"mongodb://{user}127.0.0.1:{guarded.port}/{LOGIN if user else ''}"
    assert main([*FLAGS, f"--mongo={url}", "with", *TINY, f"results_dir={tmp_path / 'r'}"]) == 2
    out, message = capsys.readouterr()
    assert said in message
    assert f"MongoDB at 127.0.0.1:{guarded.port} " in message
    for secret in ("hunter2", "pass%2Fword", "pass/word"):
        assert secret not in out + message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
@pytest.mark.parametrize("by", ["flag", "environment"])
def test_the_password_is_seen_nowhere(by: str, guarded: StandIn, tmp_path: Path) -> None:
    """Not on the console, in the process list, in a file, nor in the database."""
    url = f"mongodb://ann:pass%2Fword@127.0.0.1:{guarded.port}/{LOGIN}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, str(MAIN), *FLAGS]
    if by == "flag":
        words.append(f"--mongo={url}")
    else:
        environment["SACRED_MONGO_URL"] = url
    words += ["with", *TINY, f"results_dir={tmp_path}"]
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first_line = process.stdout.readline()  # training begins
    command = Path(f"/proc/{process.pid}/cmdline").read_text()
    out, message = process.communicate()
    assert process.returncode == 0, message
    assert "results_dir" in command
    assert ("a password on the command line" in message) == (by == "flag")
    texts = [first_line, out, message, command]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    texts += [path.read_bytes().decode(errors="replace") for path in files]
    with find_server(url, "").client() as client:
        texts += [repr(document) for document in client.sacred.runs.find()]
        assert client.sacred.runs.count_documents({"status": "COMPLETED"}) == 1
    assert len(files) > 5
    for text in texts:
        assert "pass%2Fword" not in text
        assert "pass/word" not in text
        assert "ann:" not in text


def test_keys_that_mongodb_rejects_do_not_stop_a_run(
    server: Server, database: Database[Any], tmp_path: Path
) -> None:
    world = "task: 'tests.envs.fake_envs:Island', n_workers: 0, action_masks: true"
    env_args = f"env_args={{{world}, kwargs: {{$odd: 1}}}}"
    settings = [*TINY, env_args, f"results_dir={tmp_path}", f"mongo_db={server.database}"]
    flags = ["--config=vdn", "--env-config=pettingzoo", f"--mongo={server.url}"]
    assert main([*flags, "with", *settings]) == 0
    (run,) = database.runs.find()
    assert run["config"]["env_args"]["kwargs"] == {"@odd": 1}
