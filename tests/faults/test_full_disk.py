"""A real file system that is full, or cannot be written; made in a separate namespace."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.faults.processes import ROOT
from tests.helpers.runs import TINY, rows

pytestmark = pytest.mark.faults
COMMAND = [sys.executable, "src/main.py", "--config=agp", "--env-config=topk", "with", *TINY]
COMMAND += ["checkpoint_interval=8", "log_interval=8", "t_max=256"]
COMMAND += ["loggers=[csv,sacred,tensorboard]"] * (find_spec("tensorboard") is not None)


def in_namespace(script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script where mounts are possible and no other process sees them."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here")
    trial = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if subprocess.run(trial, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets us mount nothing")
    return subprocess.run(
        ["unshare", "-rm", "bash", "-uc", script, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


FULL = """
disk=$0; whole=$1; shift
mount -t tmpfs -o size=3200k tmpfs "$disk"
"$@" results_dir="$disk"; echo "exit $?"
ls -A "$disk"/topk/agp/agp_seed1_1/checkpoints
mount -o remount,size=64m "$disk"
"$@" results_dir="$disk" resume=auto; echo "exit $?"
mount -o remount,ro "$disk"
"$@" results_dir="$disk"; echo "exit $?"
"$@" results_dir="$disk" resume=auto seed=2; echo "exit $?"
cp -r "$disk"/topk/agp/agp_seed1_1 "$whole"
"""


def test_a_full_disk_stops_a_run_that_resumes_once_there_is_room(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    disk, copied = tmp_path / "disk", tmp_path / "copied"
    disk.mkdir()
    done = in_namespace(FULL, str(disk), str(copied), *COMMAND)
    assert done.stdout.count("exit 2") == 3, done.stdout + done.stderr
    assert done.stdout.count("exit 0") == 1
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.count("No space left on device") == 1
    assert done.stderr.count("Read-only file system") == 2
    assert "latest.pt" in done.stdout
    assert ".tmp" not in done.stdout
    whole = [*COMMAND, f"results_dir={tmp_path / 'whole'}"]
    subprocess.run(whole, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    assert rows(copied) == rows(tmp_path / "whole" / "topk" / "agp" / "agp_seed1_1")
    first_line = done.stderr.strip().split("\n")
    record_property("fault", "full tmpfs: " + next(x for x in first_line if "No space" in x))
