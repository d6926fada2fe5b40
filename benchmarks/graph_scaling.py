"""What a training step and a forward pass of an action graph cost as the team grows.

    python benchmarks/graph_scaling.py
    python benchmarks/graph_scaling.py --figure docs/results/graph_scaling.svg

N agents with N actions each: 64 to 4,096 nodes, one graph at a time, two rounds of messages, 64
features, 4 heads, one thread. A *step* is forward and backward. CPU milliseconds, medians over
blocks; memory is by how much one step raises the peak of a separate process.

* `full`: every pair of nodes, the fused kernel (memory does not grow with the number of pairs).
* `full, relation bias`: the same with a learnt bias for each kind of edge.
* `rook`: own actions and the same action of others, as a mask on all pairs.
* `axial`: the same edges, row by row and column by column: block-sparse, N A (N + A) edges.
* `one node per agent`: no action nodes, for comparison.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from blocks import milliseconds

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from components.settings import AgentSettings
from envs.base import uniform_info
from modules.action_graph.graph import ActionGraph
from modules.action_graph.layer import ActionGraphConfig
from modules.agents.base import AgentSizes

FORMS: dict[str, dict[str, Any]] = {
    "full": {},
    "full, relation bias": {"relation_bias": True},
    "rook": {"edges": "rook"},
    "axial": {"edges": "axial"},
    "one node per agent": {"nodes": "agents"},
}
SIDES = (8, 16, 32, 64)  # N = A
COLUMNS = ("forward ms", "step ms", "MiB")


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(form: str, side: int) -> list[float]:
    """The columns of one form and size; for a separate process."""
    torch.set_num_threads(1)
    sizes = AgentSizes.of(uniform_info(side, side, 16, 16, 1), 16, AgentSettings())
    torch.manual_seed(0)
    config = ActionGraphConfig(**FORMS[form])
    graph = ActionGraph(config, sizes, 16, keep_nodes=config.nodes == "actions")
    x, avail = torch.randn(1, side, 16), torch.ones(1, side, side, dtype=torch.bool)

    def step() -> None:
        out = graph(x, avail)
        (out.context if out.nodes is None else out.nodes).square().sum().backward()

    @torch.no_grad()
    def forward() -> None:
        graph(x, avail)

    before = peak_mib()
    step()
    memory = peak_mib() - before
    return [milliseconds(forward), milliseconds(step), memory]


def main() -> None:
    """Print a table, and draw it if asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figure", type=Path, help="SVG or PNG to draw")
    parser.add_argument("--one", nargs=2, metavar=("FORM", "N"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    results: dict[str, list[list[float]]] = {}
    print(f"| form | nodes | {' | '.join(COLUMNS)} |\n|---|{'---|' * (1 + len(COLUMNS))}")
    for form in FORMS:
        for side in SIDES:
            command = [sys.executable, __file__, "--one", form, str(side)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout)
            results.setdefault(form, []).append(row)
            forward, step, memory = row
            numbers = f"{forward:.1f} | {step:.1f} | {memory:.0f}"
            print(f"| {form} | {side**2:,} | {numbers} |", flush=True)
    if args.figure:
        draw(results, args.figure)


def draw(results: dict[str, list[list[float]]], path: Path) -> None:
    """Time and memory of a step against the number of nodes."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "scaling"
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    nodes = [side**2 for side in SIDES]
    for axis, column, label in zip(axes, (1, 2), ("CPU ms per step", "MiB per step"), strict=True):
        for form, rows in results.items():
            axis.plot(nodes, [max(row[column], 0.1) for row in rows], marker="o", label=form)
        axis.set(xscale="log", yscale="log", xlabel="nodes (N = A)", ylabel=label)
        axis.set_xticks(nodes, [f"{n:,}" for n in nodes])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


if __name__ == "__main__":
    main()
