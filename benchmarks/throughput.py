"""Environment steps per CPU second, training included, beside a bare PyTorch loop.

    python benchmarks/throughput.py
    python benchmarks/throughput.py --env mpe_spread --algos iql with train_every_episodes=1
    python benchmarks/throughput.py --env mpe_spread --algos mappo mat
    python benchmarks/throughput.py --algos vdn qmix --beside 'python x.py --algo {algo}'

Equal work: 8 environments, one gradient step on 32 episodes for each 8 collected, and for on-policy
methods 32 environments whose episodes are one batch, unless a setting says otherwise; one thread;
agents of 64 units, as the environment's YAML makes them. The framework
and the yardstick run in turns, each in a separate process; a row gives medians and the median of
the ratios of neighbouring runs, because machines drift. The default yardstick, `bare_loop.py`,
knows Top-K and no graphs. Any command is one that prints a last line of JSON with
`env_steps_per_cpu_s`.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SETTINGS = [  # later ones win, so that a setting on the command line does
    "obs_agent_id=True",
    "t_max=1000000000",
    "test_interval=1000000000",
    "checkpoint_interval=1000000000",
    "show_progress=False",
]
WORK = {  # by the method's buffer
    "replay": ["batch_size_run=8", "batch_size=32", "train_every_episodes=8"],
    "rollout": ["batch_size_run=32", "batch_size=32"],
}
PHASES = ("act", "env", "store", "train")


def measure(algo: str, env: str, settings: list[str], seconds: float) -> dict[str, float | str]:
    """Train in this process for `seconds` after a warm-up of half as long."""
    sys.path.insert(0, str(HERE.parent / "src"))
    from config.load import load_config
    from run import Run

    work = WORK[load_config(algo, env, settings).buffer]
    config = load_config(algo, env, [*SETTINGS, *work, *settings])
    run = Run(config)
    while run.learner.updates == 0:
        run.advance()
    end = time.perf_counter() + seconds / 2
    while time.perf_counter() < end:
        run.advance()
    before, updates, steps = run.phase_seconds(), run.learner.updates, run.counters.env_steps
    started, end = time.process_time(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        run.advance()
    cpu, steps = time.process_time() - started, run.counters.env_steps - steps
    after, updates = run.phase_seconds(), run.learner.updates - updates
    row: dict[str, float | str] = {"algo": algo, "env_steps_per_cpu_s": steps / cpu}
    row["ms_per_update"] = 1e3 * (after["train"] - before["train"]) / updates
    total = sum(after[p] - before[p] for p in PHASES)
    return row | {f"share_{p}": (after[p] - before[p]) / total for p in PHASES}


def in_process(command: list[str]) -> dict[str, float]:
    """Run a command and read the JSON in its last line."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{shlex.join(command)} failed:\n{done.stderr}")
    row: dict[str, float] = json.loads(done.stdout.strip().split("\n")[-1])
    return row


def compare(algo: str, given: argparse.Namespace, settings: list[str], beside: str) -> str:
    """One row of the table."""
    ours = [sys.executable, __file__, "--measure", algo, "--seconds", str(given.seconds)]
    ours += ["--env", given.env, "with", *settings]
    theirs = shlex.split(beside.format(algo=algo))
    rows, rates, ratios = [], [], []
    for _ in range(given.repeats):
        rows.append(in_process(ours))
        if theirs:
            rates.append(in_process(theirs)["env_steps_per_cpu_s"])
            ratios.append(rates[-1] / rows[-1]["env_steps_per_cpu_s"])

    def median(key: str) -> float:
        return statistics.median(row[key] for row in rows)

    speeds = [row["env_steps_per_cpu_s"] for row in rows]
    shares = " / ".join(f"{median('share_' + p):.0%}" for p in PHASES)
    yard = f"{statistics.median(rates):,.0f}" if rates else "-"
    ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
    return (
        f"| {algo} | {statistics.median(speeds):,.0f} | {min(speeds):,.0f} to {max(speeds):,.0f} "
        f"| {yard} | {ratio} | {median('ms_per_update'):.2f} | {shares} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="topk", help="an environment's YAML")
    parser.add_argument("--algos", nargs="*", default=["iql", "vdn", "qmix", "agp"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--beside", default="", help="the yardstick's command")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    cut = sys.argv.index("with") if "with" in sys.argv else len(sys.argv)
    given, settings = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    if given.measure:
        print(json.dumps(measure(given.measure, given.env, settings, given.seconds)))
        return
    bare = f"{shlex.quote(sys.executable)} {HERE / 'bare_loop.py'} --algo {{algo}}"
    print(
        "| method | env steps / CPU s | range | yardstick | yardstick / ours | ms per update "
        "| act / env / store / train |\n|---|---|---|---|---|---|---|"
    )
    for algo in given.algos:
        known = given.env == "topk" and algo in ("iql", "vdn", "qmix") and not settings
        beside = given.beside or (bare if known else "")
        print(compare(algo, given, settings, beside), flush=True)


if __name__ == "__main__":
    main()
