"""MAPPO on Spread: environment steps per CPU second, beside a checkout of EPyMARL, at equal work.

    python benchmarks/beside_epymarl.py <checkout> --python <its interpreter> [--repeats 3]

The checkout is uoe-agents/epymarl; its interpreter has what it needs, with a PettingZoo that still
holds the particle tasks (1.24). Both learn from 10 episodes of 25 steps in lockstep, 4 passes over
them without minibatches, GRU and critic of 128 units, one thread per process. Each command runs
for two lengths in turns: steps by CPU seconds of the difference, so that start and tests cancel.
CPU seconds are those of the command and of all its workers.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = {"theirs": (2_500, 12_500), "ours": (2_500, 52_500)}  # of the two runs
THEIRS = (
    "--config=mappo --env-config=gymma with env_args.time_limit=25 "
    "env_args.key=pz-mpe-simple-spread-v3 use_cuda=False save_model=False test_nepisode=10 "
    "batch_size_run=10 batch_size=10 buffer_size=10 epochs=4 hidden_dim=128 t_max={steps} "
    "test_interval=1000000 log_interval=1000000 runner_log_interval=1000000 "
    "learner_log_interval=1000000 local_results_path={folder}"
)
OURS = (
    "--config=mappo --env-config=mpe_spread with batch_size_run=10 batch_size=10 hidden_dim=128 "
    "learner_args.epochs=4 learner_args.minibatches=1 t_max={steps} test_interval=1000000 "
    "log_interval=1000000 show_progress=False results_dir={folder}"
)


def cpu_seconds(command: list[str], folder: Path) -> float:
    """CPU seconds of a command and its descendants, looked at ten times a second."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    used: dict[int, float] = {}
    while process.poll() is None:
        used |= tree_seconds(process.pid)
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"this command failed: {shlex.join(command)}")
    return sum(used.values())


def tree_seconds(root: int) -> dict[int, float]:
    """CPU seconds of a process and of its descendants that run, from /proc."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tree, size = {root}, 0
    while len(tree) > size:
        size = len(tree)
        tree |= {pid for pid, parent in parents.items() if parent in tree}
    return {pid: seconds[pid] for pid in tree if pid in seconds}


def rate(python: str, folder: Path, settings: str, lengths: tuple[int, int]) -> float:
    """Environment steps per CPU second, start and tests left out."""
    used = []
    for steps in lengths:
        with tempfile.TemporaryDirectory() as results:
            words = settings.format(steps=steps, folder=results).split()
            used.append(cpu_seconds([python, "src/main.py", *words], folder))
    return (lengths[1] - lengths[0]) / (used[1] - used[0])


def main() -> None:
    """Print the medians and the median ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pairs = []
    for _ in range(given.repeats):
        theirs = rate(given.python, given.checkout, THEIRS, STEPS["theirs"])
        ours = rate(sys.executable, ROOT, OURS, STEPS["ours"])
        pairs.append((theirs, ours))
        print(f"EPyMARL {theirs:,.0f}, ours {ours:,.0f}, ratio {ours / theirs:.1f}", flush=True)
    theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"medians: EPyMARL {theirs:,.0f}, ours {ours:,.0f}, ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
