"""The job script of docs/guide/resuming.md, on a cluster of one machine without a scheduler."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.processes import ROOT, Job

pytestmark = pytest.mark.faults


def test_the_script_of_the_documentation_requeues_a_job_that_was_stopped(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guide" / "resuming.md").read_text()
    (script,) = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    settings = "name=job log_interval=256 t_max=8192 test_nepisode=8 hidden_dim=8"
    command = 'with seed="$SLURM_ARRAY_TASK_ID"'
    assert script.count(command) == 1
    script = script.replace(command, f"{command} {settings} results_dir={tmp_path}")
    tools, requeued = tmp_path / "bin", tmp_path / "requeued"
    tools.mkdir()
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {requeued}\n')
    (tools / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_JOB_ID": "77",
    }

    def submit() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["bash", "-c", script], cwd=ROOT, env=environment)

    job = Job("agp_topk", tmp_path)
    first = submit()
    assert job.reach(first, 512)
    first.send_signal(signal.SIGTERM)
    assert first.wait() == 143
    assert requeued.read_text() == "requeue 77\n"
    assert job.saved_steps() == job.env_steps() < 8192
    assert submit().wait() == 0
    assert submit().wait() == 0  # nothing left to do
    assert requeued.read_text() == "requeue 77\n"
    assert job.run_dir.name == "job_seed3_1"
    assert job.saved_steps() == 8192
