r"""Whether the action graph is faster when a batch of graphs passes it in chunks, on a CPU.

    python benchmarks/graph_chunks.py --env mpe_tag --kib 256 512 1024 2048
    MALLOC_TRIM_THRESHOLD_=2000000000 MALLOC_MMAP_THRESHOLD_=2000000000 \
        python benchmarks/graph_chunks.py --env mpe_reference

A chunk has as many graphs as fit into the given KiB with the features of all their nodes, one
tensor [R, P, d]; autograd then works on chunks in the backward pass, too, and the contexts, which
are small, are joined. Everything is in one process, in turns. The table gives medians of CPU
milliseconds, of the ratios whole / chunks (above 1: chunks are faster) and of page faults. With the
two variables glibc keeps the memory of all tensors, not only of small ones: what is left of a gain
is the cache's.
"""

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from config.load import load_config
from modules.action_graph.graph import ActionGraph, GraphOutput
from run import Run

SECONDS = 0.3  # CPU seconds of one measurement, at least one call


def in_chunks(kib: int) -> Callable[..., GraphOutput]:
    """`ActionGraph.forward` for chunks of graphs."""
    whole = ActionGraph.forward

    def forward(
        graph: ActionGraph, x: Tensor, *given: Tensor | None, return_attention: bool = False
    ) -> GraphOutput:
        size = max(1, 1024 * kib // (4 * graph.layout.n_nodes * graph.config.embed_dim))
        n_chunks = -(-len(x) // size)
        inputs = [
            [None] * n_chunks if part is None else part.tensor_split(n_chunks)
            for part in (x, *given[:3])
        ]
        found = [whole(graph, *chunk) for chunk in zip(*inputs, strict=True)]
        return GraphOutput(torch.cat([each.context for each in found]), None, None)

    return forward


def cost(work: Callable[[], object]) -> tuple[float, float]:
    """CPU milliseconds and page faults of one call."""
    n_calls, faults = 0, resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    started = time.process_time()
    while n_calls == 0 or time.process_time() - started < SECONDS:
        work()
        n_calls += 1
    milliseconds = 1e3 * (time.process_time() - started) / n_calls
    return milliseconds, (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / n_calls


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="mpe_tag", help="an environment's YAML")
    parser.add_argument("--kib", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args()
    run = Run(load_config("agp", given.env, [s for s in given.settings if s != "with"]))
    while run.buffer.n_episodes < run.config.batch_size:
        run.advance()
    batch = next(run.learner.batches(run.buffer))
    works = {
        "gradient step": lambda: run.learner.train(batch, 0, 0),
        "collecting": lambda: run.runner.collect(10**9),
    }
    forms = {0: ActionGraph.forward} | {kib: in_chunks(kib) for kib in given.kib}
    print("| part | chunks | CPU ms | whole / chunks | page faults |\n|---|---|---|---|---|")
    for part, work in works.items():
        work()
        found: dict[int, list[tuple[float, float]]] = {kib: [] for kib in forms}
        for _ in range(given.turns):
            for kib, form in forms.items():
                with patch.object(ActionGraph, "forward", form):
                    found[kib].append(cost(work))
        for kib, costs in found.items():
            ratios = [a[0] / b[0] for a, b in zip(found[0], costs, strict=True)]
            milliseconds = statistics.median(each[0] for each in costs)
            faults = statistics.median(each[1] for each in costs)
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            name = f"{kib} KiB" if kib else "whole"
            print(f"| {part} | {name} | {milliseconds:.1f} | {spread} | {faults:,.0f} |")


if __name__ == "__main__":
    main()
