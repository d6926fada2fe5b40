"""What the CPU forms of attention and GRU are worth in whole gradient steps, in turns.

    python benchmarks/gradient_forms.py
    python benchmarks/gradient_forms.py --runs iql:mpe_spread,batch_size=32,hidden_dim=64 --turns 15

A run is METHOD:ENVIRONMENT with settings after commas. Each is measured with PyTorch's own kernels
and with those of `modules/action_graph/dot_product.py` and `modules/gru_gradient.py`; one thread.
A first table compares the two GRUs alone, `steps x sequences x units`.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from blocks import in_turns, median_ratio
from method_cost import Method
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from modules.gru_gradient import GRUSequence

RUNS = (
    "agp:topk",
    "agp:mpe_tag",
    "agp:mpe_speaker_listener",
    "agp:mpe_world_comm",
    "iql:mpe_spread,batch_size=32,hidden_dim=64",
    "qmix:mpe_spread,batch_size=32,hidden_dim=64",
    "qmix:mpe_tag",
    "mappo:mpe_spread,batch_size=10,batch_size_run=10",
    "mappo:mpe_spread,batch_size=128,batch_size_run=128",
)
GRUS = ((26, 16, 128), (26, 30, 128), (26, 96, 64), (26, 96, 128), (26, 384, 128))
OWN, PYTORCH = "own", "PyTorch"


class PyTorchGRU:
    """`GRUSequence` by PyTorch's kernel."""

    @staticmethod
    def apply(x: Tensor, hidden: Tensor, *weights: Tensor) -> Tensor:
        """As `GRUSequence.apply`."""
        found: tuple[Tensor, Tensor] = torch.gru(
            x, hidden.unsqueeze(0), weights, True, 1, 0.0, True, False, False
        )
        return found[0]


def gru_row(length: int, rows: int, width: int, turns: int) -> str:
    """The two GRUs alone, forwards and backwards."""
    gru = nn.GRU(width, width)
    inputs = [torch.randn(length, rows, width), torch.zeros(rows, width), *gru.all_weights[0]]
    inputs[0].requires_grad_()
    wanted = [inputs[0], *inputs[2:]]
    grad = torch.randn(length, rows, width)

    def work(form: Any) -> list[Tensor]:
        return list(torch.autograd.grad(form.apply(*inputs), wanted, grad))

    for mine, theirs in zip(work(GRUSequence), work(PyTorchGRU), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-3, rtol=1e-4)
    times = in_turns({PYTORCH: lambda: work(PyTorchGRU), OWN: lambda: work(GRUSequence)}, turns)
    return f"| {length} x {rows} x {width} | {cells(times)} |"


def cells(times: dict[str, list[float]]) -> str:
    """Medians of both, and their ratio."""
    before, after = (statistics.median(times[name]) for name in (PYTORCH, OWN))
    return f"{before:.2f} | {after:.2f} | {median_ratio(times, PYTORCH, OWN):.2f}"


def run_row(name: str, turns: int) -> str:
    """A whole gradient step, and acting for one round of episodes."""
    alg, env = name.split(":")
    env, *settings = env.split(",")
    method = Method(",".join([alg, *settings]), env)

    def by_pytorch(work: Any) -> None:
        with (
            patch("modules.action_graph.dot_product.MOST_KEYS", 0),
            patch("modules.layers.GRUSequence", PyTorchGRU),
        ):
            work()

    found = []
    for work in (method._update, method._act):
        found.append(in_turns({PYTORCH: lambda w=work: by_pytorch(w), OWN: work}, turns, 0.2))
    return f"| {name} | {' | '.join(map(cells, found))} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", nargs="*", default=RUNS)
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| GRU | PyTorch, ms | own, ms | gain |\n|---|---|---|---|")
    for shape in GRUS:
        print(gru_row(*shape, given.turns), flush=True)
    print("\n| run | gradient step: PyTorch, ms | own, ms | gain | acting: PyTorch | own | gain |")
    print("|---|---|---|---|---|---|---|")
    for name in given.runs:
        print(run_row(name, given.turns), flush=True)


if __name__ == "__main__":
    main()
