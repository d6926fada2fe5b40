"""What one gradient step of AGP on Top-K costs, and which operations it goes to.

    python benchmarks/agp_step.py
    python benchmarks/agp_step.py agent_graph with agent_args.graph.layers=3

The protocol of `config/envs/topk.yaml`: 128 episodes of N=6 agents with 2 actions, so 12 nodes
each, one thread. CPU milliseconds, medians over blocks of steps; shares from PyTorch's profiler.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from config.load import load_config
from run import Run

GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "fused attention, forward": ("aten::_scaled_dot_product_flash_attention_for_cpu",),
    "fused attention, backward": ("aten::_scaled_dot_product_flash_attention_for_cpu_backward",),
    "layer norm": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
}
BLOCKS, STEPS = 7, 20


def milliseconds(work: Callable[[], object]) -> float:
    """Median CPU milliseconds of one call."""
    for _ in range(STEPS):
        work()
    blocks = []
    for _ in range(BLOCKS):
        started = time.process_time()
        for _ in range(STEPS):
            work()
        blocks.append(1e3 * (time.process_time() - started) / STEPS)
    return statistics.median(blocks)


def shares(work: Callable[[], object]) -> dict[str, float]:
    """Fraction of the CPU time of `work` in each group of operations."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(STEPS):
            work()
    events = profiler.key_averages()
    total = sum(event.self_cpu_time_total for event in events)
    found = {
        group: sum(e.self_cpu_time_total for e in events if e.key in names) / total
        for group, names in GROUPS.items()
    }
    return found | {"everything else": 1 - sum(found.values())}


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("alg", nargs="?", default="agp")
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_args()
    settings = [s for s in given.settings if s != "with"]
    run = Run(load_config(given.alg, "topk", settings))
    for _ in range(3):
        run.advance()
    batch = run.replay.sample(run.config.batch_size)

    def update() -> None:
        run.learner.train(batch, 0, 0)

    def forward() -> None:
        with torch.inference_mode():
            run.controller.outputs(batch, 1)

    print("| part | CPU ms |\n|---|---|")
    print(f"| forward pass of {run.config.batch_size} episodes | {milliseconds(forward):.2f} |")
    print(f"| gradient step, all of it | {milliseconds(update):.2f} |")
    collect = milliseconds(lambda: run.runner.collect(10**9))
    print(f"| collecting {run.config.batch_size_run} episodes | {collect:.2f} |")
    print("\n| in a gradient step | share |\n|---|---|")
    for group, share in shares(update).items():
        print(f"| {group} | {share:.0%} |")


if __name__ == "__main__":
    main()
