"""Forms of attention with few nodes on a CPU, beside PyTorch's fused attention.

    python benchmarks/attention_forms.py
    python benchmarks/attention_forms.py --shapes 832x15 --turns 15

From packed queries, keys and values [R, P, 3d] to messages [R, P, d], 4 heads of 16 features, with
and without the backward pass; one thread. The forms are measured in turns; a cell is how many times
as fast as the fused attention a form is, the median over the turns.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from blocks import in_turns, median_ratio
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from modules.action_graph import dot_product

HEADS, WIDTH = 4, 16
Form = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused_filled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The fused kernel, with keys filled up to a multiple of 16."""
    fill = -k.shape[2] % 16
    bias = functional.pad(q.new_zeros(1, k.shape[2]), (0, fill), value=-torch.inf)
    k, v = (functional.pad(x, (0, 0, 0, fill)) for x in (k, v))
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Products and softmax, nothing filled."""
    return (q @ k.transpose(2, 3) * WIDTH**-0.5).softmax(dim=3) @ v


def blocks_of_four(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The fused kernel on four graphs at a time, with a block-diagonal mask."""
    n = q.shape[2]
    mask = torch.block_diag(*[torch.ones(n, n)] * 4).bool()
    q, k, v = (x.unflatten(0, (-1, 4)).transpose(1, 2).flatten(2, 3) for x in (q, k, v))
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.unflatten(2, (4, n)).transpose(1, 2).flatten(0, 1)


class Packed(torch.autograd.Function):
    """Filled products with a gradient by hand, which writes that of q, k and v into one tensor."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor) -> Tensor:
        """[R, P, 3d] -> [R, P, d]."""
        rows, n = packed.shape[:2]
        parts = packed.unflatten(2, (3, HEADS, WIDTH)).permute(2, 0, 3, 1, 4)
        q = parts[0].flatten(0, 1)
        k, v = functional.pad(parts[1:], (0, 0, 0, -n % 16)).flatten(1, 2)
        bias = functional.pad(packed.new_zeros(n), (0, -n % 16), value=-torch.inf)
        weights = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=WIDTH**-0.5).softmax(dim=2)
        ctx.save_for_backward(q, k, v, weights)
        return (weights @ v).unflatten(0, (rows, HEADS)).transpose(1, 2).flatten(2)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """[R, P, d] -> [R, P, 3d]."""
        q, k, v, weights = ctx.saved_tensors
        n, scale = grad.shape[1], WIDTH**-0.5
        g = grad.unflatten(2, (HEADS, WIDTH)).transpose(1, 2).flatten(0, 1)
        d = torch._softmax_backward_data(g @ v.transpose(1, 2), weights, 2, g.dtype)
        dv = weights[..., :n].transpose(1, 2) @ g
        dk = torch.baddbmm(dv, d[..., :n].transpose(1, 2), q, beta=0, alpha=scale)
        dq = torch.baddbmm(dv, d, k, beta=0, alpha=scale)
        parts = (x.unflatten(0, (-1, HEADS)).transpose(1, 2) for x in (dq, dk, dv))
        return torch.stack(list(parts), dim=2).flatten(2)


def on_packed(form: Form) -> Callable[[Tensor], Tensor]:
    """A form of three arguments as one of the packed tensor."""

    def run(packed: Tensor) -> Tensor:
        parts = packed.chunk(3, dim=2)
        q, k, v = (x.unflatten(2, (HEADS, WIDTH)).transpose(1, 2) for x in parts)
        return form(q, k, v).transpose(1, 2).flatten(2)

    return run


FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "fused": on_packed(functional.scaled_dot_product_attention),
    "fused, keys filled": on_packed(fused_filled),
    "fused, 4 graphs at once": on_packed(blocks_of_four),
    "plain products": on_packed(plain),
    "plain, keys filled (kept)": on_packed(
        lambda q, k, v: dot_product._with_filled_keys(q, k, v, None)
    ),
    "the same by a packed function": Packed.apply,
}


def row(rows: int, nodes: int, turns: int) -> str:
    """One shape's row of the table, after a check that all forms agree."""
    packed = torch.randn(rows, nodes, 3 * HEADS * WIDTH, requires_grad=True)
    grad = torch.randn(rows, nodes, HEADS * WIDTH)
    without = packed.detach()
    expected = FORMS["fused"](packed)
    (expected_grad,) = torch.autograd.grad(expected, packed, grad)
    for form in FORMS.values():
        out = form(packed)
        torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-4)
        (found,) = torch.autograd.grad(out, packed, grad)
        torch.testing.assert_close(found, expected_grad, atol=1e-5, rtol=1e-4)

    def both(form: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(form(packed), packed, grad)

    def forward(form: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: form(without)

    there = in_turns({name: forward(form) for name, form in FORMS.items()}, turns)
    back = in_turns({name: both(form) for name, form in FORMS.items()}, turns)
    fused = " / ".join(f"{statistics.median(t['fused']):.2f}" for t in (there, back))
    cells = [
        f"{median_ratio(there, 'fused', name):.2f} / {median_ratio(back, 'fused', name):.2f}"
        for name in list(FORMS)[1:]
    ]
    return f"| {rows} x {nodes} | {fused} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shapes = ["208x8", "128x12", "104x15", "832x15", "208x30", "208x45", "104x100"]
    parser.add_argument("--shapes", nargs="+", default=shapes, help="graphs x nodes")
    parser.add_argument("--turns", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    names = " | ".join(list(FORMS)[1:])
    print(f"| graphs x nodes | fused, ms | {names} |\n{'|---' * (len(FORMS) + 1)}|")
    for shape in given.shapes:
        rows, nodes = map(int, shape.split("x"))
        print(row(rows, nodes, given.turns), flush=True)


if __name__ == "__main__":
    main()
