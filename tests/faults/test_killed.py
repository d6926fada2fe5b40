"""Runs that are killed at random moments and started again end like runs that never were."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.processes import Job, begin, t_max, unlike

pytestmark = pytest.mark.faults
RUNS_PER_CASE = 8


@pytest.mark.parametrize("number", range(RUNS_PER_CASE))
def test_sigkill_at_random_moments(
    number: int,
    whole: Job,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    seed, draw, job = begin(whole, number, tmp_path)
    case, moments = whole.case, []
    for _ in range(draw.randint(1, 2)):
        process = job.start()
        if draw.random() < 0.15:
            time.sleep(draw.uniform(0.0, 3.0))
            moments.append(f"at the start (step {job.env_steps()})")
        else:
            last = t_max(case)  # a kill before this one may have come after the last step
            job.reach(process, draw.randint(min(job.env_steps(), last), last))
            time.sleep(draw.uniform(0.0, 0.05))  # somewhere within a step, a test, a checkpoint
            moments.append(f"after step {job.env_steps()}")
        process.kill()
        job.end(process)
    n_left = len(list(tmp_path.rglob(".*.tmp")))
    assert job.end(job.start()) == 0, job.output
    record_property(
        "fault",
        f"{case} {number}, FAULT_SEED={seed}: SIGKILL {', '.join(moments)}; "
        f"{n_left} unfinished files left, {job.n_starts} starts",
    )
    assert unlike(job, whole) == []
    assert job.weights() == whole.weights()
    assert not list(job.run_dir.rglob(".*.tmp"))
