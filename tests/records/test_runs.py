"""Whole runs with other loggers than the usual ones."""

from pathlib import Path

import pytest
from tests.helpers.runs import TINY, differences, final_state, rows
from tests.records.conftest import Fake

from main import main

FLAGS = ["--config=vdn", "--env-config=topk", "with", *TINY]


def run_dir(results: Path) -> Path:
    return results / "topk" / "vdn" / "vdn_seed1_1"


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("usual")
    assert main([*FLAGS, f"results_dir={results}"]) == 0
    return run_dir(results)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("loggers", ["csv", "csv,wandb", "wandb,sacred,csv"])
def test_loggers_change_no_number(loggers: str, usual: Path, tmp_path: Path) -> None:
    assert main([*FLAGS, f"loggers=[{loggers}]", f"results_dir={tmp_path}"]) == 0
    assert rows(run_dir(tmp_path)) == rows(usual)
    assert differences(final_state(run_dir(tmp_path)), final_state(usual)) == []
    assert (run_dir(tmp_path) / "sacred").exists() == ("sacred" in loggers)


def test_a_run_is_resumed_with_other_loggers(usual: Path, tmp_path: Path, fake: Fake) -> None:
    half = [*FLAGS, f"results_dir={tmp_path}", "loggers=[csv]", "lr_schedule=constant"]
    assert main([*half, "t_max=32"]) == 0
    resumed = ["with", f"resume={run_dir(tmp_path)}", "loggers=[csv,sacred,wandb]", "t_max=64"]
    assert main(resumed) == 0
    whole = tmp_path / "whole"
    assert main([*FLAGS, f"results_dir={whole}", "lr_schedule=constant"]) == 0
    keys = ("loss", "test_return_mean", "grad_norm")
    ours, theirs = ([r for r in rows(run_dir(p)) if r["key"] in keys] for p in (tmp_path, whole))
    assert [r for r in ours if int(r["env_steps"]) > 32] == [
        r for r in theirs if int(r["env_steps"]) > 32
    ]
    assert [step for step, _ in fake.calls("log")][-1] == 64


def test_a_finished_run_without_sacred_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*FLAGS, "loggers=[csv]", f"results_dir={tmp_path}", "resume=auto"]
    assert main(command) == 0
    assert main(command) == 0
    assert "Finished already" in capsys.readouterr().out


def test_mongodb_needs_sacred(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mongo = "--mongo=mongodb://127.0.0.1:1"
    assert main([mongo, *FLAGS, "loggers=[csv]", f"results_dir={tmp_path}"]) == 2
    assert "Add sacred to loggers=[csv]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
