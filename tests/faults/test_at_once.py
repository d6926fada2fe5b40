"""Sixteen runs of one command that start at the same instant."""

import json
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from tests.helpers.runs import TINY, differences, final_state, rows

pytestmark = pytest.mark.faults
N = 16


def run_at_once(barrier: Barrier, results: str, argv: list[str]) -> None:
    """One of the runs; its exit code is main's."""
    from main import main

    sys.stdout = open(os.devnull, "w")
    barrier.wait()
    sys.exit(main([*argv, f"results_dir={results}"]))


def test_sixteen_runs_leave_sixteen_complete_records(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["main", "run", "sacred", "resume"])
    barrier = context.Barrier(N)
    argv = ["--config=vdn", "--env-config=topk", "with", *TINY]
    processes = [
        context.Process(target=run_at_once, args=(barrier, str(tmp_path), argv)) for _ in range(N)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * N
    folders = sorted((tmp_path / "topk" / "vdn").iterdir())
    assert {path.name for path in folders} == {f"vdn_seed1_{i}" for i in range(1, N + 1)}
    for folder in folders:
        names = {path.name for path in folder.iterdir()}
        assert names == {"config.yaml", "metrics.csv", "checkpoints", "sacred", "lock"}
        record = folder / "sacred" / "1"
        assert json.loads((record / "run.json").read_text())["status"] == "COMPLETED"
        assert set(json.loads((record / "metrics.json").read_text())) >= {"loss", "return_mean"}
        assert rows(folder) == rows(folders[0])
        assert differences(final_state(folder), final_state(folders[0])) == []
    owners = {(folder / "lock").read_text() for folder in folders}
    assert len(owners) == N
    record_property("fault", f"{N} runs at once: {N} complete records, all of them equal")
