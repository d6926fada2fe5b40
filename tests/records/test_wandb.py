"""The record in W&B. The package is a stand-in, save in the last test."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.runs import TINY, rows
from tests.records.conftest import Fake

from main import main
from records import wandb_record
from records.logger import RunEnd, RunStart
from records.loggers import wandb as logger_module
from records.loggers.wandb import WandbConfig, WandbLogger
from records.wandb_record import WandbFollower, WandbRecord, sync
from utils.errors import UserError

CONFIG = {"env_name": "topk", "alg_name": "agp", "lr": 0.1}
HEADER = "env_steps,episodes,updates,seconds,key,value\n"
OFFLINE, ONLINE = asdict(WandbConfig()), asdict(WandbConfig(mode="online", entity="lab"))


def append(run_dir: Path, *lines: str) -> None:
    path = run_dir / "metrics.csv"
    with path.open("a") as file:
        file.write("".join([HEADER] * (not file.tell()) + [f"{line}\n" for line in lines]))


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def steps(fake: Fake) -> list[int]:
    return [step for step, _ in fake.calls("log")]


def test_rows_become_steps(fake: Fake, tmp_path: Path) -> None:
    record = WandbRecord(tmp_path, OFFLINE, CONFIG)
    record.write(is_last=False)  # the run has just begun
    append(tmp_path, "8,4,1,1.50,loss,0.5", "8,4,1,1.50,lr,nan", "16,8,2,2.00,loss,0.25")
    record.write(is_last=False)
    assert steps(fake) == [8]  # step 16 may get more rows
    append(tmp_path, "16,8,2,2.25,test_return_mean,1")
    record.write(is_last=True)
    counts = {"env_steps": 16, "episodes": 8, "updates": 2, "seconds": 2.25}
    assert fake.calls("log")[1] == [16, {**counts, "loss": 0.25, "test_return_mean": 1.0}]
    assert record.n_steps == 2


def test_the_message_about_a_run(fake: Fake, tmp_path: Path) -> None:
    WandbRecord(tmp_path, OFFLINE, CONFIG).write(is_last=True)
    WandbRecord(tmp_path, ONLINE, CONFIG).write(is_last=True)
    (offline,), (online,) = fake.calls("init")
    assert offline["id"] == online["id"] == (tmp_path / "wandb_id").read_text()
    assert (offline["mode"], offline["entity"], offline["resume"]) == ("offline", None, None)
    assert (online["mode"], online["entity"], online["resume"]) == ("online", "lab", "allow")
    assert online["project"] == "agp"
    assert online["group"] == "topk/agp"
    assert online["config"] == CONFIG
    assert online["dir"] == str(tmp_path)


def test_a_run_resumed_online_sends_only_what_is_missing(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(tmp_path, *(f"{n},{n},1,1.00,loss,0.5" for n in (8, 16, 24, 32)))
    monkeypatch.setenv("FAKE_WANDB_STARTING_STEP", "17")
    WandbRecord(tmp_path, ONLINE, CONFIG).write(is_last=True)
    assert steps(fake) == [24, 32]


def test_a_run_resumed_offline_is_written_whole(fake: Fake, tmp_path: Path) -> None:
    append(tmp_path, "8,4,1,1.50,loss,0.5")
    old = tmp_path / "wandb" / "offline-run-1-a" / "files"
    old.mkdir(parents=True)
    WandbRecord(tmp_path, OFFLINE, CONFIG).write(is_last=True)
    assert steps(fake) == [8]
    assert not old.parent.exists()


@pytest.mark.usefixtures("quick_follower")
def test_a_service_that_is_gone_for_a_while_loses_nothing(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fault("init")
    said = ""
    append(tmp_path, "8,4,1,1.50,loss,0.5")
    with WandbFollower(WandbRecord(tmp_path, ONLINE, CONFIG)) as follower:
        until(lambda: len(fake.calls("refused")) > 2)
        append(tmp_path, "16,8,2,2.00,loss,0.25")
        fake.fault("")
        until(lambda: steps(fake) == [8])
        follower.exit_code = 0
    said = capsys.readouterr().err
    assert said.count("W&B does not take the record (no network).") == 1
    assert "W&B has the whole record again." in said
    assert steps(fake) == [8, 16]
    assert fake.calls("finish") == [[0]]


def test_a_service_that_stays_away_is_reported_at_the_end(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.fault("init")
    append(tmp_path, "8,4,1,1.50,loss,0.5")
    with WandbFollower(WandbRecord(tmp_path, ONLINE, CONFIG)):
        pass
    assert f"--sync-wandb={tmp_path}" in capsys.readouterr().err
    with pytest.raises(UserError, match="no network"):
        sync(tmp_path, OFFLINE, CONFIG)
    fake.fault("")
    assert "W&B has all of its 1 steps" in sync(tmp_path, OFFLINE, CONFIG)
    assert fake.calls("init")[0][0]["mode"] == "online"
    assert steps(fake) == [8]


def test_a_service_that_hangs_delays_no_run(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logger_module, "CLOSE_SECONDS", 0.1)
    fake.fault("hang")
    logger = WandbLogger(WandbConfig())
    logger.start(RunStart(tmp_path, "agp-topk", CONFIG))
    logger.close(RunEnd({}))
    assert f"--sync-wandb={tmp_path}" in capsys.readouterr().err
    assert logger._process is not None
    assert logger._process.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("error", "said", "exit_code"),
    [(None, "finished", 0), (KeyboardInterrupt(), "failed", 1)],
)
def test_the_process_learns_how_the_run_ended(
    error: BaseException | None, said: str, exit_code: int, fake: Fake, tmp_path: Path
) -> None:
    logger = WandbLogger(WandbConfig())
    logger.start(RunStart(tmp_path, "agp-topk", CONFIG))
    append(tmp_path, "8,4,1,1.50,loss,0.5")
    logger.close(RunEnd({}, error))
    assert steps(fake) == [8]
    assert fake.calls("finish") == [[exit_code]]


def test_the_record_of_a_killed_run_is_ended(fake: Fake, tmp_path: Path) -> None:
    append(tmp_path, "8,4,1,1.50,loss,0.5")
    what = {"run_dir": str(tmp_path), "settings": OFFLINE, "config": CONFIG}
    source = str(Path(wandb_record.__file__).parents[1])
    path = os.pathsep.join([source, os.environ["PYTHONPATH"]])
    subprocess.run(
        [sys.executable, "-P", "-m", "records.wandb_record"],
        input=f"{json.dumps(what)}\n",  # and no more: its end is closed as if by a kill
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        check=True,
    )
    assert steps(fake) == [8]
    assert fake.calls("finish") == [[1]]


def test_whole_commands(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--config=vdn", "--env-config=topk", "with", *TINY, f"results_dir={tmp_path}"]
    assert main([*flags, "loggers=[csv,wandb]", "logger_args.wandb.project=mine"]) == 0
    run_dir = tmp_path / "topk" / "vdn" / "vdn_seed1_1"
    in_csv = sorted({int(row["env_steps"]) for row in rows(run_dir)})
    assert [step for step in steps(fake) if step] == in_csv
    assert main(["with", f"resume={run_dir}", "t_max=72"]) == 0
    first, second = (given for (given,) in fake.calls("init"))
    assert first["id"] == second["id"]
    assert (first["project"], first["config"]["t_max"], second["config"]["t_max"]) == (
        "mine",
        64,
        72,
    )
    capsys.readouterr()
    assert main([f"--sync-wandb={run_dir}"]) == 0
    assert "project mine" in capsys.readouterr().out
    assert fake.calls("init")[-1][0]["mode"] == "online"


def test_a_sync_needs_a_run(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--sync-wandb={tmp_path}"]) == 2
    assert "config.yaml" in capsys.readouterr().err
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    assert main([f"--sync-wandb={tmp_path}"]) == 2
    assert "has no metrics.csv" in capsys.readouterr().err


IS_INSTALLED = importlib.util.find_spec("wandb") is not None


@pytest.mark.skipif(not IS_INSTALLED, reason="the package wandb is not installed")
def test_the_package_itself_offline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logger = WandbLogger(WandbConfig())
    logger.start(RunStart(tmp_path, "agp-topk", CONFIG))
    append(tmp_path, "8,4,1,1.50,loss,0.5", "16,8,2,2.00,a_last_metric,0.25")
    logger.close(RunEnd({}))
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    (file,) = folder.glob("*.wandb")
    name: Any = (tmp_path / "wandb_id").read_text()
    assert file.name == f"run-{name}.wandb"
    assert b"a_last_metric" in file.read_bytes()
    assert capfd.readouterr() == ("", "")
