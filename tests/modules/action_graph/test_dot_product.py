"""The form for few keys against PyTorch's fused attention, with gradients."""

import pytest
import torch
from tests.helpers.fake_envs import normal, rng
from torch import Tensor
from torch.nn import functional

from modules.action_graph import dot_product
from modules.action_graph.dot_product import dot_product_attention

R, HEADS, WIDTH = 3, 2, 4


def masks(n_queries: int, n_keys: int) -> dict[str, Tensor | None]:
    def some(*shape: int) -> Tensor:
        allowed = torch.rand(*shape, n_queries, n_keys, generator=rng(5)) < 0.5
        allowed[..., 0] = True  # a softmax needs a term
        return allowed

    return {
        "none": None,
        "edges": some(),
        "per graph": some(R, 1),
        "for all heads": some(1, 1),
        "bias per head": normal(HEADS, n_queries, n_keys),
        "bias per graph": torch.where(some(R, 1), normal(HEADS, n_queries, n_keys), -torch.inf),
    }


@pytest.mark.parametrize("name", masks(1, 1))
@pytest.mark.parametrize(("n_queries", "n_keys"), [(1, 1), (15, 15), (2, 17), (16, 16), (33, 33)])
def test_messages_and_gradients_equal_the_fused_kernel(
    name: str, n_queries: int, n_keys: int
) -> None:
    sizes = (n_queries, n_keys, n_keys)
    inputs = [normal(R, n, HEADS, WIDTH, seed=i) for i, n in enumerate(sizes)]
    inputs = [x.transpose(1, 2).requires_grad_() for x in inputs]
    mask = masks(n_queries, n_keys)[name]
    wanted = list(inputs)
    if name == "bias per head":
        assert mask is not None
        wanted.append(mask.requires_grad_())
    found = dot_product_attention(*inputs, mask)
    expected = functional.scaled_dot_product_attention(*inputs, attn_mask=mask)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    grad = normal(R, HEADS, n_queries, WIDTH, seed=9)
    gradients = torch.autograd.grad(found, wanted, grad)
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, wanted, grad), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


def test_scores_far_below_zero_give_no_weight_to_the_filling() -> None:
    q, k = torch.full((1, 1, 3, WIDTH), 50.0), torch.full((1, 1, 3, WIDTH), -50.0)
    v = torch.ones(1, 1, 3, WIDTH)
    torch.testing.assert_close(dot_product_attention(q, k, v), v)


def test_only_few_keys_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[int] = []

    def note(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        filled.append(k.shape[2])
        return q

    monkeypatch.setattr(dot_product, "_with_filled_keys", note)
    for n in (8, 15, 16, 30, 32, 45, 100):
        dot_product_attention(*normal(3, 1, 1, n, WIDTH))
    assert filled == [8, 15, 30]
