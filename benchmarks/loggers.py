"""What loggers cost: CPU seconds of a short run of AGP on Top-K with each choice of them.

python benchmarks/loggers.py [repeats]

The choices take turns. `training` is `cpu_seconds` of `metrics.csv`: the process that trains, from
the building of the run to its last row. `all` is the whole command with its start and end, and all
processes that it starts, such as those of W&B.
"""

import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MAIN = Path(__file__).resolve().parents[1] / "src" / "main.py"
CHOICES = ("csv", "csv,sacred", "csv,sacred,tensorboard", "csv,sacred,tensorboard,wandb")
SETTINGS = ("t_max=100000", "test_interval=20000", "log_interval=1000", "show_progress=False")


def measure(loggers: str) -> tuple[float, float, float]:
    """CPU seconds of training, CPU seconds of all processes and wall seconds of one run."""
    with tempfile.TemporaryDirectory() as results:
        settings = [*SETTINGS, f"loggers=[{loggers}]", f"results_dir={results}"]
        command = [sys.executable, str(MAIN), "--config=agp", "--env-config=topk", "with"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = os.times().elapsed
        subprocess.run([*command, *settings], check=True, stdout=subprocess.DEVNULL)
        wall = os.times().elapsed - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        (path,) = Path(results).glob("topk/agp/*/metrics.csv")
        with path.open(newline="") as file:
            found = [row["value"] for row in csv.DictReader(file) if row["key"] == "cpu_seconds"]
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return float(found[-1]), spent, wall


def main() -> None:
    """Print the medians."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found: dict[str, list[tuple[float, float, float]]] = {choice: [] for choice in CHOICES}
    for _ in range(repeats):
        for choice in CHOICES:
            found[choice].append(measure(choice))
            print(f"{choice}: {found[choice][-1]}", file=sys.stderr)
    print(f"{'loggers':<32}{'training':>10}{'all':>10}{'wall':>10}   medians of {repeats}, s")
    for choice, runs in found.items():
        medians = [statistics.median(column) for column in zip(*runs, strict=True)]
        print(f"{choice:<32}" + "".join(f"{value:>10.2f}" for value in medians))


if __name__ == "__main__":
    main()
