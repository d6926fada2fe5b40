"""The scripts of docs/tutorials run from top to bottom, in a tiny setting."""

import os
import subprocess
import sys
from pathlib import Path

from tests.helpers.runs import TINY

TUTORIALS = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
OF_ANY_METHOD = [s for s in TINY if not s.startswith(("buffer_size", "train_every"))]


def run(script: str, cwd: Path, settings: list[str]) -> str:
    """What a script prints."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(TUTORIALS / script), *settings, "loggers=[csv]"]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_train_and_look(tmp_path):
    printed = run("train_and_look.py", tmp_path, OF_ANY_METHOD)
    assert "success 0." in printed
    assert printed.count("agents act in") == 7
    (run_dir,) = (tmp_path / "tutorial" / "topk" / "agp_pg").iterdir()
    assert list((run_dir / "attention").glob("*.png"))


def test_the_page_includes_both_scripts():
    lines = (TUTORIALS / "index.md").read_text(encoding="utf-8").split("\n")
    for script in ("train_and_look", "add_a_method"):
        assert f'--8<-- "tutorials/{script}.py"' in lines


def test_add_a_method(tmp_path):
    printed = run("add_a_method.py", tmp_path, ["tiny", *TINY])
    for method in ("agp_scaled", "agp", "agent_graph", "vdn", "qmix", "iql"):
        assert f"\n| {method} | 1 |" in printed, printed
    assert (tmp_path / "tutorial" / "curves.svg").is_file()
    recorded = next(
        (tmp_path / "tutorial/results/topk/agp_scaled").glob("*/config.yaml")
    ).read_text()
    assert "mixer: scaled_sum" in recorded
