from itertools import product

import pytest
import torch
from tests.helpers.fake_envs import normal, rng
from torch import Tensor

from modules.action_graph.attention import (
    DotAttention,
    GATAttention,
    make_attention,
    masked_softmax,
)
from utils.seeding import seeded_initialisation

R, P, D, HEADS = 3, 6, 8, 4
FORMS = list(product(["dot", "gat", "gatv2"], [True, False], [True, False]))
ITSELF = torch.eye(P, dtype=torch.bool)


def make(form: str, project_values: bool = True, last: bool = False) -> DotAttention | GATAttention:
    with seeded_initialisation(0):
        return make_attention(form, D, HEADS, project_values, last)


def masks() -> list[Tensor | None]:
    edges = (torch.rand(P, P, generator=rng(5)) < 0.5) | ITSELF
    avail = (torch.rand(R, 1, P, generator=rng(6)) < 0.5) | ITSELF
    return [None, edges, avail & edges]


def slow_scores(attention: DotAttention | GATAttention, z: Tensor, h: int, p: int, q: int) -> float:
    """Score of the edge from node q to node p in head h. z: [P, d]."""
    if isinstance(attention, DotAttention):
        part = slice(h * D // HEADS, (h + 1) * D // HEADS)
        projected = z @ attention.project_in.weight.T + attention.project_in.bias
        query, key = projected[p, :D][part], projected[q, D : 2 * D][part]
        return (query @ key / (D / HEADS) ** 0.5).item()
    part = slice(h * attention.width, (h + 1) * attention.width)
    key = (attention.project.weight @ z[q] + attention.project.bias)[part]
    if attention.project_query is not None:
        query = (attention.project_query.weight @ z[p] + attention.project_query.bias)[part]
        s = query + key
        return (torch.where(s > 0, s, 0.2 * s) @ attention.score[h]).item()
    query = (attention.project.weight @ z[p] + attention.project.bias)[part]
    s = torch.cat([query, key]) @ attention.score[h]
    return (s if s > 0 else 0.2 * s).item()


@pytest.mark.parametrize("allowed", masks(), ids=["all", "edges", "per row"])
@pytest.mark.parametrize("form", ["dot", "gat", "gatv2"])
def test_weights_equal_a_slow_loop(form: str, allowed: Tensor | None) -> None:
    attention, z = make(form), normal(R, P, D)
    weights = attention.weights(z, allowed)
    assert weights.shape == (R, HEADS, P, P)
    mask = torch.ones(R, P, P, dtype=torch.bool) if allowed is None else allowed.expand(R, P, P)
    for r, h, p in product(range(R), range(HEADS), range(P)):
        scores = torch.tensor([slow_scores(attention, z[r], h, p, q) for q in range(P)])
        e = torch.where(mask[r, p], scores.exp(), 0.0)
        torch.testing.assert_close(weights[r, h, p], e / e.sum(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("allowed", masks(), ids=["all", "edges", "per row"])
@pytest.mark.parametrize(("form", "project_values", "last"), FORMS)
def test_rows_sum_to_one_and_forbidden_edges_are_zero(
    form: str, project_values: bool, last: bool, allowed: Tensor | None
) -> None:
    weights = make(form, project_values, last).weights(20 * normal(R, P, D), allowed)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(R, HEADS, P))
    assert (weights >= 0).all()
    if allowed is not None:
        forbidden = ~allowed.expand(R, P, P).unsqueeze(1).expand(-1, HEADS, -1, -1)
        assert (weights[forbidden] == 0).all()


@pytest.mark.parametrize("allowed", masks(), ids=["all", "edges", "per row"])
def test_dot_weights_on_values_are_the_fused_kernel(allowed: Tensor | None) -> None:
    attention, z = make("dot"), normal(R, P, D)
    values = attention.project_in(z)[..., 2 * D :].unflatten(2, (HEADS, -1)).transpose(1, 2)
    slow = (attention.weights(z, allowed) @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(attention(z, allowed), slow)


@pytest.mark.parametrize("allowed", masks(), ids=["all", "edges", "per row"])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("form", ["gat", "gatv2"])
def test_gat_concatenates_heads_and_averages_in_the_last_layer(
    form: str, last: bool, allowed: Tensor | None
) -> None:
    attention, z = make(form, last=last), normal(R, P, D)
    messages, weights = attention(z, allowed), attention.weights(z, allowed)
    assert messages.shape == (R, P, D)
    values = attention.project(z).unflatten(2, (HEADS, -1))  # [R, P, heads, width]
    heads = torch.einsum("rhpq,rqhw->rphw", weights, values)
    torch.testing.assert_close(messages, heads.mean(dim=2) if last else heads.flatten(2))


@pytest.mark.parametrize("form", ["dot", "gat", "gatv2"])
def test_without_value_projection_messages_are_averages_of_nodes(form: str) -> None:
    attention, z, allowed = make(form, project_values=False), normal(R, P, D), masks()[2]
    messages, weights = attention(z, allowed), attention.weights(z, allowed)
    for r, p in product(range(R), range(P)):
        slow = sum(weights[r, h, p, q] * z[r, q] for h in range(HEADS) for q in range(P)) / HEADS
        torch.testing.assert_close(messages[r, p], slow)
    assert attention.output(messages) is messages


def rankings(form: str) -> Tensor:
    """Order of the neighbours for each query, [R, heads, P, P]."""
    return make(form).weights(3 * normal(R, P, D), None).argsort(dim=3)


def test_gat_ranks_neighbours_alike_for_every_query() -> None:
    found = rankings("gat")
    assert (found == found[:, :, :1]).all()


@pytest.mark.parametrize("form", ["gatv2", "dot"])
def test_other_forms_rank_by_query(form: str) -> None:
    found = rankings(form)
    assert (found != found[:, :, :1]).flatten(2).any(dim=2).float().mean() > 0.5


@pytest.mark.parametrize(("form", "project_values", "last"), FORMS)
def test_permuting_nodes_permutes_messages(form: str, project_values: bool, last: bool) -> None:
    attention, z, order = make(form, project_values, last), normal(R, P, D), [3, 1, 5, 0, 2, 4]
    edges = masks()[1]
    out = attention(z, edges)[:, order]
    permuted = attention(z[:, order], edges[order][:, order])
    torch.testing.assert_close(permuted, out, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("form", "project_values", "last"), FORMS)
def test_gradient_reaches_every_parameter(form: str, project_values: bool, last: bool) -> None:
    attention = make(form, project_values, last)
    out = attention.output(attention(normal(R, P, D), masks()[2]))
    (out * normal(R, P, D, seed=1)).sum().backward()
    for name, p in attention.named_parameters():
        assert p.grad.abs().sum() > 0, name


@pytest.mark.parametrize("form", ["dot", "gat", "gatv2"])
def test_rows_that_see_only_themselves_are_finite(form: str) -> None:
    attention, z = make(form), normal(R, P, D).requires_grad_()
    attention(z, ITSELF).sum().backward()
    assert torch.isfinite(z.grad).all()
    weights = attention.weights(z, ITSELF)
    assert torch.equal(weights, torch.eye(P).expand_as(weights))


def test_masked_softmax_by_hand() -> None:
    scores = torch.tensor([0.0, 5.0, 0.0]).log1p().expand(1, 1, 3, 3)
    allowed = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    found = masked_softmax(scores, allowed)
    expected = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [0.125, 0.75, 0.125]])
    torch.testing.assert_close(found[0, 0], expected)
