"""Training on a GPU: whole runs, then rounds and gradient steps with and without CUDA graphs.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --seconds 600 --parts runs --out gpu.md
    python benchmarks/gpu.py --parts table --methods dcg fop macpf dicg

Parts, in this order, as far as `--seconds` lasts; each row is printed, and written to `--out`, when
it is measured:

* `runs`: AGP on Top-K for 3,000,000 episodes and on Tag for 2,000,000 environment steps, with the
  tests and rows of metrics of an ordinary run, without checkpoints.
* `table`: milliseconds of collecting a round and of a gradient step, environment steps per second
  of the whole loop, kernels, peak memory; plain and as CUDA graphs, fp32 and TF32.
* `seeds`: five seeds as five processes on one card, beside one.

A measurement ends with a synchronisation, so that queued work is counted.
"""

import argparse
import csv
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from config.load import load_config
from run import Run

RUNS = (("agp", "topk", 3_000_000), ("agp", "mpe_tag", 2_000_000))
TABLE = (
    ("agp", "topk"),
    ("agp", "mpe_tag"),
    ("qmix", "mpe_tag"),
    ("agp", "mpe_reference"),
    ("vdn", "topk"),
    ("qmix", "topk"),
    ("qmix", "mpe_reference"),
    ("dcg", "mpe_tag"),
    ("fop", "mpe_tag"),
    ("macpf", "mpe_tag"),
    ("dicg", "mpe_tag"),
    ("macpf", "topk"),
    ("fop", "topk"),
    ("dcg", "topk"),
)
KINDS = (("graphs", "fp32"), ("none", "fp32"), ("graphs", "tf32"))
HEAD = (
    "| method | task | graphs | products | round, ms | gradient step, ms | env steps / s "
    "| kernels of a round | of a step | MiB |\n|---|---|---|---|---|---|---|---|---|---|"
)
WARM = 4  # one more than the ordinary calls before a recording
N_SEEDS = 5


class Report:
    """Prints lines, and writes them to a file at once."""

    def __init__(self, path: str, seconds: float):
        self.started, self.seconds = time.perf_counter(), seconds
        self.file = Path(path).open("w") if path else None

    def left(self) -> float:
        """Seconds left."""
        return self.seconds - (time.perf_counter() - self.started)

    def say(self, text: str) -> None:
        """Print and write a line."""
        print(text, flush=True)
        if self.file is not None:
            self.file.write(text + "\n")
            self.file.flush()


def build(alg: str, env: str, *settings: str) -> Run:
    """A run as `main.py` builds it."""
    return Run(load_config(alg, env, ["device=cuda", "show_progress=False", *settings]))


def milliseconds(work: Callable[[], object], seconds: float = 0.5) -> float:
    """Mean wall milliseconds of a call, of at least three."""
    torch.cuda.synchronize()
    started, n_calls = time.perf_counter(), 0
    while n_calls < 3 or time.perf_counter() - started < seconds:
        work()
        n_calls += 1
        if n_calls % 20 == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - started) / n_calls


def n_kernels(work: Callable[[], object]) -> int:
    """Kernels that a call launches."""
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        work()
        torch.cuda.synchronize()
    kinds = ("Memcpy", "Memset", "cuda")
    return sum(e.count for e in found.key_averages() if not e.key.startswith(kinds))


def row(alg: str, env: str, compiled: str, products: str) -> str:
    """One row of the table."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = products == "tf32"
    gc.collect()  # the last run's graphs
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    run = build(alg, env, f"compile={compiled}")
    config = run.config
    while run.learner.updates < WARM or run.counters.episodes < WARM * config.batch_size_run:
        run.advance()
    before, started = run.counters.env_steps, time.perf_counter()
    milliseconds(run.advance, 1.0)
    steps = (run.counters.env_steps - before) / (time.perf_counter() - started)

    def gradient_step() -> None:
        batch = next(run.learner.batches(run.buffer))
        run.learner.train(batch, run.counters.env_steps, run.counters.episodes)

    play = run._collect
    times = (milliseconds(play), milliseconds(gradient_step))
    kernels = (n_kernels(play), n_kernels(gradient_step))
    memory = torch.cuda.max_memory_allocated() / 2**20
    return (
        f"| {alg} | {env} | {'yes' if compiled == 'graphs' else 'no'} | {products} "
        f"| {times[0]:.2f} | {times[1]:.2f} | {steps:,.0f} "
        f"| {kernels[0]:,} | {kernels[1]:,} | {memory:.0f} |"
    )


def table(report: Report, methods: list[str]) -> None:
    """Every method that there is time for."""
    jobs = [job for job in TABLE if job[0] in methods] if methods else TABLE
    report.say(HEAD)
    for alg, env in jobs:
        for compiled, products in KINDS:
            if report.left() < 15:
                report.say(f"\nOut of time before {alg} on {env}.")
                return
            report.say(row(alg, env, compiled, products))
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def whole_run(alg: str, env: str, t_max: int, seed: int = 1, *settings: str) -> dict[str, float]:
    """Seconds of a whole run and its last test."""
    rare = [f"checkpoint_interval={10**12}", "checkpoint_seconds=0", "checkpoint_replay=False"]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = build(alg, env, f"t_max={t_max}", f"seed={seed}", *rare, *settings)
        last = run.train(Path(folder))
        seconds = time.perf_counter() - started
        with closing((Path(folder) / "metrics.csv").open()) as file:
            rows = list(csv.DictReader(file))
    spent: dict[str, float] = {}
    for found in rows:
        if found["key"].startswith("time_"):
            spent[found["key"]] = spent.get(found["key"], 0.0) + float(found["value"])
    shown = {k: v for k, v in last.items() if k in ("test_return_mean", "test_success_mean")}
    return {"seconds": seconds, "env_steps_per_s": t_max / seconds, **shown, **spent}


def runs(report: Report) -> None:
    """The paper's Top-K and a particle task."""
    for alg, env, t_max in RUNS:
        if report.left() < 60:
            report.say(f"Out of time before {alg} on {env}.")
            return
        found = whole_run(alg, env, t_max)
        text = ", ".join(f"{key} {value:,.4g}" for key, value in found.items())
        report.say(f"{alg} on {env}, {t_max:,} environment steps: {text}")


def seeds(report: Report) -> None:
    """Five seeds as five processes on one card, beside one process."""
    for alg, env, t_max in (("agp", "topk", 300_000), ("agp", "mpe_tag", 100_000)):
        for n in (1, N_SEEDS):
            if report.left() < 30:
                report.say(f"Out of time before {n} processes of {alg} on {env}.")
                return
            rates = list(_processes(alg, env, t_max, n))
            report.say(
                f"{n} process(es) of {alg} on {env}: {sum(rates):,.0f} env steps / s together, "
                f"{min(rates):,.0f} to {max(rates):,.0f} each"
            )


def _processes(alg: str, env: str, t_max: int, n: int) -> Iterator[float]:
    """Environment steps per second of `n` processes at once, after a shorter run in each."""
    command = [sys.executable, __file__, "--one", alg, env, str(t_max)]
    started = [
        subprocess.Popen([*command, str(seed)], stdout=subprocess.PIPE, text=True)
        for seed in range(1, n + 1)
    ]
    for process in started:
        out, _ = process.communicate()
        yield json.loads(out.strip().split("\n")[-1])["env_steps_per_s"]


def main() -> None:
    """Measure what there is time for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300, help="when to stop")
    parser.add_argument("--parts", nargs="*", default=["runs", "table", "seeds"])
    parser.add_argument("--methods", nargs="*", default=[], help="of the table; default: all")
    parser.add_argument("--out", default="", help="a file for the lines, too")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        alg, env, t_max, seed = given.one
        whole_run(alg, env, int(t_max) // 10)  # builds and loads what is built and loaded once
        quiet = ("test_interval=1000000000", "test_nepisode=32")
        print(json.dumps(whole_run(alg, env, int(t_max), int(seed), *quiet)))
        return
    report = Report(given.out, given.seconds)
    report.say(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    parts: dict[str, Callable[[Report], None]] = {
        "runs": runs,
        "table": partial(table, methods=given.methods),
        "seeds": seeds,
    }
    for part in given.parts:
        parts[part](report)
    report.say(f"Done after {time.perf_counter() - report.started:.0f} s.")


if __name__ == "__main__":
    main()
