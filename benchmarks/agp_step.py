"""What one gradient step of AGP costs, and which operations it goes to.

    python benchmarks/agp_step.py
    python benchmarks/agp_step.py agent_graph --env mpe_tag with agent_args.graph.layers=3

The protocol of the environment's YAML, one thread. CPU milliseconds, medians over blocks of steps;
shares from PyTorch's profiler. "Matrix products alone" repeats every product of the step, those
inside the fused attention included, on random numbers of the same shapes and does nothing else:
what is left is memory traffic, exponentials and bookkeeping.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from blocks import milliseconds
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from config.load import load_config
from run import Run

FORWARD = "aten::_scaled_dot_product_flash_attention_for_cpu"
BACKWARD = f"{FORWARD}_backward"
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
GROUPS = {
    "matrix products": PRODUCTS,
    "fused attention, forward": (FORWARD,),
    "fused attention, backward": (BACKWARD,),
    "softmax": ("aten::_softmax", "aten::_softmax_backward_data"),
    "layer norm": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
    "copies": ("aten::copy_", "aten::cat"),
}


def profiled(work: Callable[[], object]) -> Any:
    """The operations of one call, grouped by name and shapes."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
        work()
    return profiler.key_averages(group_by_input_shape=True)


def shares(events: Any) -> dict[str, float]:
    """Fraction of the CPU time in each group of operations."""
    total = sum(event.self_cpu_time_total for event in events)
    found = {
        group: sum(e.self_cpu_time_total for e in events if e.key in names) / total
        for group, names in GROUPS.items()
    }
    return found | {"everything else": 1 - sum(found.values())}


def products(events: Any) -> Callable[[], None]:
    """A function that repeats every matrix product among `events`, and how often it came."""
    todo: list[tuple[int, Callable[[], object]]] = []
    for event in events:
        shapes = [s for s in event.input_shapes if len(s) >= 2]
        if event.key in PRODUCTS:
            todo.append((event.count, _product(shapes[-2], shapes[-1])))
        elif event.key in (FORWARD, BACKWARD):
            r, heads, p, width = shapes[0]
            inwards = _product([r * heads, p, width], [r * heads, width, p])
            outwards = _product([r * heads, p, p], [r * heads, p, width])
            # Scores and messages; backwards the scores again, and four gradients.
            n_in, n_out = (1, 1) if event.key == FORWARD else (2, 3)
            todo += [(n_in * event.count, inwards), (n_out * event.count, outwards)]

    def repeat() -> None:
        for count, product in todo:
            for _ in range(count):
                product()

    return repeat


def _product(left: list[int], right: list[int]) -> Callable[[], object]:
    a, b = torch.randn(left), torch.randn(right)
    out = a @ b
    return lambda: torch.matmul(a, b, out=out)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("alg", nargs="?", default="agp")
    parser.add_argument("--env", default="topk", help="an environment's YAML")
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args()
    settings = [s for s in given.settings if s != "with"]
    run = Run(load_config(given.alg, given.env, settings))
    while run.buffer.n_episodes < run.config.batch_size:
        run.advance()
    batch = next(run.learner.batches(run.buffer))

    def update() -> None:
        run.learner.train(batch, 0, 0)

    def forward() -> None:
        with torch.inference_mode():
            run.controller.outputs(batch, batch.n_steps)

    update()
    events = profiled(update)
    step = milliseconds(update)
    alone = milliseconds(products(events))
    collect = milliseconds(lambda: run.runner.collect(10**9))
    print("| part | CPU ms |\n|---|---|")
    print(f"| forward pass of {batch.n_episodes} episodes | {milliseconds(forward):.2f} |")
    print(f"| gradient step, all of it | {step:.2f} |")
    print(f"| its matrix products alone | {alone:.2f} ({alone / step:.0%}) |")
    print(f"| collecting {run.config.batch_size_run} episodes | {collect:.2f} |")
    print("\n| in a gradient step | share |\n|---|---|")
    for group, share in shares(events).items():
        print(f"| {group} | {share:.0%} |")


if __name__ == "__main__":
    main()
