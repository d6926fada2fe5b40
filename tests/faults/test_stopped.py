"""Runs that are stopped by SIGTERM or SIGINT lose no episode and repeat none."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.processes import Job, begin, t_max, unlike

pytestmark = pytest.mark.faults
RUNS_PER_CASE = 4


@pytest.mark.parametrize("number", range(RUNS_PER_CASE))
def test_no_episode_is_lost_or_repeated(
    number: int,
    whole: Job,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    seed, draw, job = begin(whole, number, tmp_path)
    case, moments = whole.case, []
    received = signal.SIGTERM if number % 4 < 3 else signal.SIGINT
    to_group = bool(number % 2)  # as a terminal and some clusters do: workers get it, too
    for half in range(2):  # a moment in the first half, and one in the third quarter
        process = job.start()
        least = max(half * t_max(case) // 2, job.env_steps() + 1)  # it must have trained again
        if not job.reach(process, least + draw.randrange(t_max(case) // (3 + 3 * half))):
            pytest.fail(f"It ended by itself: {job.end(process)}, {job.output}")
        (os.killpg if to_group else os.kill)(process.pid, received)
        code = job.end(process)
        if job.saved_steps() == t_max(case):
            break  # the machine was busy: the signal came too late
        assert code == 128 + received, job.output
        assert "Traceback" not in job.output[-1]
        # Every collection has its rows: the last of them is what was saved.
        assert job.saved_steps() == job.env_steps()
        assert f"Stopped after {job.env_steps():,} environment steps" in job.output[-1]
        moments.append((job.env_steps(), (job.run_dir / "metrics.csv").read_bytes()))
    assert moments
    assert job.end(job.start()) == 0, job.output
    record_property(
        "fault",
        f"{case} {number}, FAULT_SEED={seed}: {received.name} to the "
        f"{'group' if to_group else 'process'}, stopped after {[steps for steps, _ in moments]}",
    )
    after = (job.run_dir / "metrics.csv").read_bytes()
    assert all(after.startswith(before) for _, before in moments)  # nothing was cut and made again
    assert unlike(job, whole) == []
    assert job.weights() == whole.weights()
    assert Counter(job.episodes()) == Counter(whole.episodes())
