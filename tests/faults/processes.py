"""Runs in separate processes, as a user starts them, and what may happen to them."""

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.envs.fake_envs import HERE
from tests.helpers.runs import differences, final_state, rows

from records.checkpoint import LATEST, fingerprint, load_checkpoint
from records.metrics import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
SMALL = (
    *("batch_size_run=8", "batch_size=8", "buffer_size=64", "train_every_episodes=8"),
    *("test_interval=400", "test_nepisode=8", "test_batch_size_run=8", "log_interval=8"),
    *("checkpoint_interval=240", "show_progress=False", "resume=auto"),
)
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "agp_topk": (
        "agp",
        "topk",
        ("t_max=1200", "hidden_dim=16", "agent_args.graph.embed_dim=16"),
    ),
    "qmix_spread": (
        "qmix",
        "mpe_spread",
        (
            *("t_max=1600", "batch_size_run=4", "batch_size=4", "env_args.max_cycles=5"),
            *("log_interval=20", "hidden_dim=16"),
        ),
    ),
    "macpf_topk": ("macpf", "topk", ("t_max=1200", "use_rnn=True")),
    "vdn_workers": (
        "vdn",
        "pettingzoo",
        (
            *("t_max=1200", "batch_size_run=4", "batch_size=4", "log_interval=20"),
            *("env_args.n_workers=2", "env_args.varying_team=True", "env_args.action_masks=True"),
            f"env_args.task={HERE}:Diary",
        ),
    ),
}


def new_seed() -> int:
    """FAULT_SEED, or else a number that a test prints, so that it can be given again."""
    return int(os.environ.get("FAULT_SEED") or random.SystemRandom().getrandbits(32))


@dataclass
class Job:
    """One command, started again and again until it says that it has finished.

    Attributes:
        case: a name in `CASES`.
        place: an empty folder.
        extra: further settings.
    """

    case: str
    place: Path
    extra: tuple[str, ...] = ()
    n_starts: int = 0
    output: list[str] = field(default_factory=list)

    @property
    def diary(self) -> Path:
        """Where the environment with workers writes the seeds of its episodes."""
        return self.place / "diary"

    def start(self) -> subprocess.Popen[str]:
        """The command, in a separate process group."""
        alg, env, settings = CASES[self.case]
        if env == "pettingzoo":
            settings += (f"env_args.kwargs={{path: {self.diary}}}",)
        self.n_starts += 1
        return subprocess.Popen(
            [
                *(sys.executable, "src/main.py", f"--config={alg}", f"--env-config={env}", "with"),
                *(*SMALL, f"results_dir={self.place}", *settings, *self.extra),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str]) -> int:
        """Wait for it; returns its exit code."""
        self.output.append(process.communicate()[0])
        return process.returncode

    @property
    def run_dir(self) -> Path:
        """The newest run's folder."""
        folders = [path.parent for path in self.place.glob("*/*/*/metrics.csv")]
        return max(folders, key=lambda path: int(path.name.rsplit("_", 1)[1]))

    def env_steps(self) -> int:
        """Environment steps of the last whole row of metrics; 0 before there is one."""
        try:
            text = (self.run_dir / "metrics.csv").read_text()
        except ValueError:  # no folder yet
            return 0
        lines = text[: text.rfind("\n") + 1].split("\n")
        return int(lines[-2].split(",")[0]) if len(lines) > 2 else 0

    def saved_steps(self) -> int:
        """Environment steps at the latest checkpoint."""
        return int(self._latest()["counters"]["env_steps"])

    def weights(self) -> str:
        """A fingerprint of the latest checkpoint's weights."""
        return fingerprint(self._latest()["learner"]["online"])

    def _latest(self) -> dict[str, Any]:
        return load_checkpoint(self.run_dir / "checkpoints" / LATEST)

    def reach(self, process: subprocess.Popen[str], env_steps: int) -> bool:
        """Wait until the run has come so far; false if it ended before."""
        while self.env_steps() < env_steps:
            if process.poll() is not None:
                return False
            time.sleep(0.01)
        return process.poll() is None

    def episodes(self) -> list[str]:
        """Seeds of all episodes that the environment with workers has begun, in no order."""
        return sorted(self.diary.read_text().split()) if self.diary.exists() else []


def begin(whole: Job, number: int, place: Path) -> tuple[int, random.Random, Job]:
    """A seed, the source of moments that it gives, and a job like `whole` that has not begun."""
    seed = new_seed()
    return seed, random.Random(f"{seed} {whole.case} {number}"), Job(whole.case, place)


def t_max(case: str) -> int:
    settings = dict(text.split("=", 1) for text in CASES[case][2])
    return int(settings["t_max"])


def unlike(job: Job, whole: Job) -> list[str]:
    """In what a run differs from the uninterrupted one; empty if in nothing but timings."""
    mine, theirs = rows(job.run_dir), rows(whole.run_dir)
    found = [
        f"row {i}: {a} and {b}"
        for i, (a, b) in enumerate(zip(mine, theirs, strict=False))
        if a != b
    ]
    if len(mine) != len(theirs):
        found.append(f"{len(mine)} and {len(theirs)} rows")
    header = (job.run_dir / "metrics.csv").read_text().split("\n", 1)[0]
    if header != ",".join(COLUMNS):
        found.append(f"header {header}")
    return found + differences(final_state(job.run_dir), final_state(whole.run_dir))
