"""Signals to a whole group of processes, workers and all, in the middle of a slow step."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.faults.processes import Job

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("received", [signal.SIGTERM, signal.SIGINT])
def test_workers_live_until_the_last_step_is_done(received: signal.Signals, tmp_path: Path) -> None:
    """What a terminal sends at Ctrl-C, and a cluster at the end of a job's time."""
    # A step lasts longer than the parent waits before it looks whether its workers still live.
    job = Job("vdn_workers", tmp_path, ("env_args.kwargs.seconds=0.3", "test_nepisode=2"))
    process = job.start()
    while len(job.episodes()) < 14:  # eight of training, two of the first test, four of training
        assert process.poll() is None, job.end(process)
        time.sleep(0.01)
    os.killpg(process.pid, received)
    assert job.end(process) == 128 + received, job.output
    assert "Traceback" not in job.output[0]
    assert f"Stopped after {job.saved_steps()} environment steps" in job.output[0]
