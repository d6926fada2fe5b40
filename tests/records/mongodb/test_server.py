"""What a server that is of no use gets said about it; none is needed here."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo.errors import DocumentTooLarge, OperationFailure
from tests.helpers.runs import TINY
from tests.records.mongodb.servers import free_port

from main import main
from records.mongodb import server as server_module
from records.mongodb.server import find_server
from utils.errors import UserError

SRC = Path(__file__).resolve().parents[3] / "src"
TRAIN = ["--config=agp", "--env-config=topk"]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ANSWER_SECONDS", 0.2)


def test_the_database_is_the_setting_or_the_urls_or_sacred() -> None:
    found = find_server("mongodb://ann:p%40w@host:1,other/mine?authSource=admin", "")
    assert (found.hosts, found.database) == ("host:1,other", "mine")
    assert find_server("mongodb://host/mine", "setting").database == "setting"
    assert find_server("mongodb://host", "").database == "sacred"
    assert "p%40w" not in repr(found)


@pytest.mark.parametrize(
    ("url", "database", "reason"),
    [
        ("localhost:27017", "", "does not begin with mongodb://"),
        ("http://ann:hunter@host", "", "does not begin with mongodb://"),
        ("mongodb://", "", "Must provide at least one hostname"),
        ("mongodb://host:port", "", "Port contains non-digit characters"),
        ("mongodb://host/?nonsense=1", "", "Unknown option: nonsense"),
        ("mongodb://host/?maxPoolSize=many", "", "maxpoolsize must be an integer"),
        ("mongodb://ann@host", "", "malformed. Write"),
        ("mongodb://ann:hun@ter@host", "", "malformed. Write"),
        ("mongodb://ann:hun/ter@host", "", "malformed. Write"),
        ("mongodb://ann:hunter@host:hun", "", "malformed. Write"),
        ("mongodb://host", "a b", "database names cannot contain"),
        ("mongodb://host", "a.b", "database names cannot contain"),
    ],
)
def test_a_malformed_url(url: str, database: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        find_server(url, database)
    message = str(caught.value)
    assert reason in message
    assert "--mongo=mongodb://<host>:27017" in message
    assert "SACRED_MONGO_URL" in message
    assert "hun" not in message
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_no_server_listens() -> None:
    port = free_port()
    with pytest.raises(UserError) as caught:
        find_server(f"mongodb://ann:hunter@127.0.0.1:{port}", "").check()
    message = str(caught.value)
    assert message.startswith(f"MongoDB at 127.0.0.1:{port} does not answer (")
    assert "Connection refused" in message
    assert message.endswith("Start the server, or correct the URL.")
    assert "hunter" not in message


def test_somebody_listens_and_never_answers(silent_port: int) -> None:
    with pytest.raises(UserError, match=f"MongoDB at 127.0.0.1:{silent_port} does not answer"):
        find_server(f"mongodb://127.0.0.1:{silent_port}", "").check()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationFailure("Authentication failed.", 18), "does not accept the name and password"),
        (
            OperationFailure("not authorized on x to execute command", 13),
            r"does not allow writing to the database 'x' \(not authorized on x",
        ),
        (DocumentTooLarge("BSON document too large"), r"cannot take the record \(BSON document"),
    ],
)
def test_what_a_server_may_say(error: Exception, said: str) -> None:
    with pytest.raises(UserError, match=f"MongoDB at host {said}"):
        raise UserError(find_server("mongodb://host", "x").explain(error))


def fails_with(capsys: pytest.CaptureFixture[str], argv: list[str], *parts: str) -> None:
    capsys.readouterr()
    assert main(argv) == 2
    out, message = capsys.readouterr()
    assert "Traceback" not in out + message
    for part in parts:
        assert part in message
    assert "hunter" not in out + message


def test_no_folder_is_made_if_the_server_is_of_no_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    rest = ["with", *TINY, f"results_dir={tmp_path / 'results'}"]
    url = f"mongodb://ann:hunter@127.0.0.1:{port}/"
    fails_with(capsys, [*TRAIN, f"--mongo={url}", *rest], f"127.0.0.1:{port}", "does not answer")
    setting = f"mongo_url=mongodb://127.0.0.1:{port}"
    fails_with(capsys, [*TRAIN, *rest, setting], f"127.0.0.1:{port}", "does not answer")
    monkeypatch.setenv("SACRED_MONGO_URL", url)
    fails_with(capsys, [*TRAIN, *rest], f"127.0.0.1:{port}", "does not answer")
    assert list(tmp_path.iterdir()) == []


def test_a_password_has_no_place_in_a_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "mongodb://ann:hunter@host"
    fails_with(capsys, [*TRAIN, "with", f"mongo_url={url}"], "mongo_url", "is for --mongo")
    path = tmp_path / "mine.yaml"
    path.write_text(f"mongo_url: {url}\n")
    argv = [f"--config={path}", "--env-config=topk", "--print-config"]
    fails_with(capsys, argv, "mine.yaml: mongo_url", "SACRED_MONGO_URL")
    path.write_text(f"mongo_url: [{url}]\nlr: {url}{'x' * 90}\n")
    fails_with(capsys, argv, "mongo_url", "lr", "mongodb://***@host")


def test_mongo_is_for_training(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    argv = [
        *TRAIN,
        "--mongo=mongodb://host",
        "with",
        "evaluate=True",
        f"checkpoint_path={tmp_path}",
    ]
    fails_with(capsys, argv, "Leave out --mongo")


def test_a_sync_needs_a_run_and_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_with(capsys, [f"--sync-mongo={tmp_path}"], str(tmp_path), "config.yaml")
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    fails_with(capsys, [f"--sync-mongo={tmp_path}"], "has no server", "--mongo=<url>")
    argv = [f"--sync-mongo={tmp_path}", "--mongo=mongodb://ann:hunter@host"]
    fails_with(capsys, argv, f"{tmp_path} has no record")


def test_runs_without_mongodb_never_import_the_driver() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SRC)!r}); import warnings; "
        "warnings.simplefilter('ignore'); import main, records.disk_record; "
        "import records.mongodb.recording; "
        "assert records.mongodb.recording.checked_server(None, '', '', ()) is None; "
        "sys.exit(any(name in sys.modules for name in ('pymongo', 'bson')))"
    )
    environment = {"PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
