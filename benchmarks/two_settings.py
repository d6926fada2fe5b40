"""A run's training iterations with and without a setting, in turns of processes.

    python benchmarks/two_settings.py threads=1 threads=2
    python benchmarks/two_settings.py mixer=vdn mixer=qmix --methods agp --envs mpe_spread

Each turn starts a process per setting, which builds a run with the environment's own protocol and
repeats its training iteration: collect episodes, store them, train. `--with` takes further settings
for both, such as train_every_episodes=32 for fewer gradient steps per iteration. The table has
medians over the turns of milliseconds per iteration, by the clock and in CPU seconds (user and
system, all threads), and medians of the ratios first / second of neighbouring processes: above 1
the second setting is the faster one. Page faults are per iteration, peak memory is the process's.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

SECONDS = 1.5  # CPU seconds of one measurement, at least two iterations


def measure(method: str, env: str, settings: list[str]) -> dict[str, float]:
    """Milliseconds and page faults of one training iteration in this process."""
    from config.load import load_config
    from run import Run

    run = Run(load_config(method, env, ["show_progress=False", *settings]))
    while run.learner.updates < 2:
        run.advance()
    n, faults = 0, resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    wall, cpu = time.perf_counter(), time.process_time()
    while n < 2 or time.process_time() - cpu < SECONDS:
        run.advance()
        n += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall": 1e3 * wall / n,
        "cpu": 1e3 * cpu / n,
        "faults": (used.ru_minflt - faults) / n,
        "peak": used.ru_maxrss / 1024,
    }


def row(method: str, env: str, settings: list[str], both: list[str], turns: int) -> str:
    """The table's row of one method on one task."""
    found: dict[str, list[dict[str, float]]] = {setting: [] for setting in both}
    for _ in range(turns):
        for setting in both:
            command = [sys.executable, __file__, *both, "--here", method, env, setting, *settings]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[setting].append(json.loads(out.splitlines()[-1]))
    cells = [f"{method}, {env}"]
    for name in ("wall", "cpu"):
        first, second = ([each[name] for each in found[setting]] for setting in both)
        ratios = [a / b for a, b in zip(first, second, strict=True)]
        cells.append(f"{statistics.median(first):.0f} / {statistics.median(second):.0f}")
        cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    for name in ("faults", "peak"):
        medians = [statistics.median(each[name] for each in found[setting]) for setting in both]
        cells.append(" / ".join(f"{median:,.0f}" for median in medians))
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("both", nargs=2, metavar="key=value")
    parser.add_argument("--methods", nargs="+", default=["agp"])
    parser.add_argument("--envs", nargs="+", default=["topk", "mpe_tag", "mpe_reference"])
    parser.add_argument("--with", nargs="+", default=[], dest="settings", metavar="key=value")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--here", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        method, env, *settings = given.here
        print(json.dumps(measure(method, env, settings)))
        return
    titles = "ms by the clock", "ratio", "CPU ms", "ratio", "page faults", "peak MiB"
    print(f"First {given.both[0]}, then {given.both[1]}.\n")
    print(f"| run | {' | '.join(titles)} |\n|{'---|' * 7}")
    for method in given.methods:
        for env in given.envs:
            print(row(method, env, given.settings, given.both, given.turns), flush=True)


if __name__ == "__main__":
    main()
