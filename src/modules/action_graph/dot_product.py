"""Scaled dot-product attention (Vaswani et al., arXiv 1706.03762), also for few keys on a CPU.

PyTorch's softmax and its fused attention work on 16 numbers at a time and do the rest of a row one
by one. With 15 keys that is every number. Keys are therefore filled up to a multiple of 16 with
ones that get no weight (docs/guide/performance.md, "Attention with few nodes").
"""

import torch
from torch import Tensor
from torch.nn import functional

VECTOR = 16  # numbers that a CPU's vector instructions handle at once
MOST_KEYS = 32  # with more, whole gradient steps gain nothing


def dot_product_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """As `torch.nn.functional.scaled_dot_product_attention`, in the form that is faster here.

    Args:
        q: [R, heads, Q, w]
        k: [R, heads, K, w]
        v: [R, heads, K, w]
        mask: bool, which query (row) may attend to which key, or numbers to add to the scores;
            broadcasts to [R, heads, Q, K]. None: all keys count alike.

    Returns:
        [R, heads, Q, w]
    """
    n_keys = k.shape[2]
    if q.is_cpu and n_keys % VECTOR and n_keys < MOST_KEYS:
        return _with_filled_keys(q, k, v, mask)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _with_filled_keys(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Plain batched products, with K filled up to a multiple of `VECTOR`."""
    rows, heads, _, width = q.shape
    n_keys = k.shape[2]
    fill = -n_keys % VECTOR
    bias = q.new_zeros(n_keys) if mask is None else mask
    if bias.dtype == torch.bool:
        bias = torch.zeros_like(bias, dtype=q.dtype).masked_fill_(~bias, -torch.inf)
    bias = functional.pad(bias, (0, fill), value=-torch.inf)
    if bias.dim() > 2:
        bias = bias.expand(rows, heads, -1, -1).flatten(0, 1)  # [R * heads, Q or 1, K + fill]
    queries = (q * width**-0.5).flatten(0, 1)  # [R * heads, Q, w]
    keys, values = (functional.pad(x, (0, 0, 0, fill)).flatten(0, 1) for x in (k, v))
    weights = torch.baddbmm(bias, queries, keys.transpose(1, 2)).softmax(dim=2)
    return (weights @ values).unflatten(0, (rows, heads))
