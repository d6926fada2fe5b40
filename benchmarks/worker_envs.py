"""Environment steps per CPU second of a PettingZoo task: bare, in this process, in workers.

    python benchmarks/worker_envs.py
    python benchmarks/worker_envs.py --task mpe2.simple_tag_v3 --copies 32 --workers 0 1 2 4

Random actions. `bare` is the library's own loop over the same number of copies without any adapter.
CPU time is that of all processes, user and system, from the first step on (imports and start-up
apart); the time on the clock stands beside it. Every row is measured in a separate process, in
turns, and shows medians.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WARM_UP = 2  # episodes


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of this process and of the given children."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    total = own.ru_utime + own.ru_stime
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def bare(task: str, copies: int, episodes: int) -> dict[str, float]:
    """The library's loop, with actions drawn beforehand."""
    import importlib

    import numpy as np

    worlds = [importlib.import_module(task).parallel_env() for _ in range(copies)]
    agents = worlds[0].possible_agents
    counts = [worlds[0].action_space(agent).n for agent in agents]
    drawn = np.random.default_rng(0).integers(counts, size=(1000, len(agents))).tolist()
    steps, started, clock = 0, 0.0, 0.0
    for episode in range(episodes + WARM_UP):
        if episode == WARM_UP:
            steps, started, clock = 0, cpu_seconds([]), time.perf_counter()
        for i, world in enumerate(worlds):
            world.reset(seed=1000 * episode + i)
        while worlds[0].agents:
            for world in worlds:
                world.step(dict(zip(agents, drawn[steps % 1000], strict=True)))
                steps += 1
    return {
        "cpu": steps / (cpu_seconds([]) - started),
        "wall": steps / (time.perf_counter() - clock),
    }


def adapted(task: str, copies: int, episodes: int, workers: int) -> dict[str, float]:
    """The same through the adapter."""
    sys.path.insert(0, str(HERE.parent / "src"))
    import multiprocessing

    import torch

    from envs.base import make_env
    from utils.registry import ENVS

    torch.set_num_threads(1)
    promises = {"varying_team": False, "action_masks": False, "fixed_length": True}
    settings: dict[str, Any] = {"task": task, "n_workers": workers, **promises}
    config = ENVS.get("pettingzoo").config(**settings)
    env = make_env("pettingzoo", config, copies, torch.device("cpu"), 1, "benchmark")
    pids = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
    counts = torch.tensor(env.info.action_counts)
    generator = torch.Generator().manual_seed(0)
    luck = torch.rand(1000, copies, len(counts), generator=generator)
    actions = (luck * counts).long()  # [1000, B, N]
    steps, started, clock = 0, 0.0, 0.0
    with torch.inference_mode():
        for episode in range(episodes + WARM_UP):
            if episode == WARM_UP:
                steps, started, clock = 0, cpu_seconds(pids), time.perf_counter()
            env.reset()
            for t in range(env.info.episode_limit):
                env.step(actions[(episode * 25 + t) % 1000])
                steps += copies
    wall = time.perf_counter() - clock
    row = {"cpu": steps / (cpu_seconds(pids) - started), "wall": steps / wall}
    env.close()
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="mpe2.simple_spread_v3")
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=20, help="of each copy")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        work = (given.task, given.copies, given.episodes)
        row = bare(*work) if given.measure == "bare" else adapted(*work, int(given.measure))
        print(json.dumps(row))
        return
    kinds = ["bare", *map(str, given.workers)]
    rows: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(given.repeats):
        for kind in kinds:
            command = [sys.executable, __file__, *sys.argv[1:], "--measure", kind]
            done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
            rows[kind].append(json.loads(done.stdout.strip().split("\n")[-1]))
    print(f"{given.task}, {given.copies} copies\n")
    print("| | env steps / CPU s | range | env steps / s |\n|---|---|---|---|")
    for kind in kinds:
        speeds = [row["cpu"] for row in rows[kind]]
        wall = statistics.median(row["wall"] for row in rows[kind])
        name = kind if kind == "bare" else f"{kind} workers"
        print(
            f"| {name} | {statistics.median(speeds):,.0f} "
            f"| {min(speeds):,.0f} to {max(speeds):,.0f} | {wall:,.0f} |"
        )


if __name__ == "__main__":
    main()
