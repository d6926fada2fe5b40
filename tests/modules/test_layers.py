from itertools import pairwise

import pytest
import torch
from tests.helpers.fake_envs import normal
from torch import nn

from modules.layers import (
    AgentwiseGRU,
    AgentwiseLinear,
    SequenceGRU,
    mlp,
    parameter_count,
    reinitialised_copy,
)
from utils.seeding import seeded_initialisation

B, L, N, F, H = 2, 5, 3, 4, 6


def grus() -> list[SequenceGRU | AgentwiseGRU]:
    with seeded_initialisation(0):
        return [SequenceGRU(F, H), AgentwiseGRU(N, F, H)]


def slow_gru(gru: nn.GRU, x: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Equations of the PyTorch manual for one step. x: [F], h: [H]."""
    w_in, w_h, b_in, b_h = gru.all_weights[0]
    r_x, z_x, n_x = (w_in @ x + b_in).chunk(3)
    r_h, z_h, n_h = (w_h @ h + b_h).chunk(3)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    return (1 - z) * torch.tanh(n_x + r * n_h) + z * h


@pytest.mark.parametrize("with_start", [False, True])
@pytest.mark.parametrize("memory", grus(), ids=lambda m: type(m).__name__)
def test_memory_equals_a_loop_over_copies_agents_and_steps(
    memory: SequenceGRU | AgentwiseGRU, with_start: bool
) -> None:
    x = normal(B, L, N, F)
    start = normal(B, N, H, seed=1) if with_start else None
    out, last = memory(x, start)
    assert out.shape == (B, L, N, H)
    for b in range(B):
        for i in range(N):
            own = memory.grus[i].gru if isinstance(memory, AgentwiseGRU) else memory.gru
            h = torch.zeros(H) if start is None else start[b, i]
            for t in range(L):
                h = slow_gru(own, x[b, t, i], h)
                torch.testing.assert_close(out[b, t, i], h)
            torch.testing.assert_close(last[b, i], h)


@pytest.mark.parametrize("memory", grus(), ids=lambda m: type(m).__name__)
def test_memory_step_by_step(memory: SequenceGRU | AgentwiseGRU) -> None:
    x, hidden, steps = normal(B, L, N, F), None, []
    for t in range(L):
        out, hidden = memory(x[:, t : t + 1], hidden)
        assert out.shape == (B, 1, N, H)
        steps.append(out)
    whole, last = memory(x, None)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole)
    torch.testing.assert_close(hidden, last)


@pytest.mark.parametrize("length", [1, L])
@pytest.mark.parametrize("memory", grus(), ids=lambda m: type(m).__name__)
def test_memory_gradient_reaches_every_parameter(
    memory: SequenceGRU | AgentwiseGRU, length: int
) -> None:
    memory.zero_grad()
    memory(normal(B, length, N, F), normal(B, N, H, seed=1))[0].square().sum().backward()
    for name, p in memory.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_agentwise_linear_equals_a_loop_over_agents() -> None:
    with seeded_initialisation(0):
        layer = AgentwiseLinear(N, F, H)
    x = normal(B, L, N, F)
    out = layer(x)
    assert out.shape == (B, L, N, H)
    for i in range(N):
        expected = x[:, :, i] @ layer.weight[i] + layer.bias[i]
        torch.testing.assert_close(out[:, :, i], expected)
    assert not torch.equal(layer.weight[0], layer.weight[1])
    assert layer.weight.abs().max() <= F**-0.5  # as nn.Linear initialises


def test_agentwise_linear_keeps_any_leading_axes() -> None:
    layer = AgentwiseLinear(N, F, H)
    assert layer(normal(N, F)).shape == (N, H)
    assert layer(normal(2, 2, 2, N, F)).shape == (2, 2, 2, N, H)


def test_parameter_count() -> None:
    layer = nn.Linear(3, 5)
    assert parameter_count(layer) == 20
    layer.bias.requires_grad_(False)
    assert parameter_count(layer) == 15
    assert parameter_count(AgentwiseLinear(N, F, H)) == N * (F * H + H)
    assert parameter_count(SequenceGRU(F, H)) == 3 * (F * H + H * H + 2 * H)


def test_a_reinitialised_copy_has_the_same_shapes_and_new_weights() -> None:
    with seeded_initialisation(0):
        layer = nn.Sequential(AgentwiseLinear(N, F, H), AgentwiseGRU(N, H, H), nn.LayerNorm(H))
    before = {name: p.clone() for name, p in layer.named_parameters()}
    a = reinitialised_copy(layer, 1, "critic")
    b = reinitialised_copy(layer, 1, "critic")
    for name, p in layer.named_parameters():
        assert torch.equal(p, before[name])
        assert torch.equal(a.get_parameter(name), b.get_parameter(name))
        assert a.get_parameter(name).shape == p.shape
        assert name.startswith("2") or not torch.equal(a.get_parameter(name), p), name


def test_a_layer_without_reset_parameters_is_named() -> None:
    layer = nn.Module()
    layer.scale = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match=r"Module cannot draw new weights.*reset_parameters"):
        reinitialised_copy(layer, 1, "critic")


def test_agentwise_linear_without_bias() -> None:
    layer = AgentwiseLinear(N, F, H, bias=False)
    assert torch.equal(layer(torch.zeros(N, F)), torch.zeros(N, H))
    assert parameter_count(layer) == N * F * H


def test_an_mlp_has_a_relu_between_each_two_layers() -> None:
    network, x = mlp(3, 4, 5, 2), normal(7, 3)
    assert [type(layer) for layer in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    expected = network[4](network[2](network[0](x).clamp(min=0)).clamp(min=0))
    assert torch.equal(network(x), expected)


def test_a_reinitialised_copy_depends_on_seed_and_name_only() -> None:
    network = mlp(3, 4)
    first, again = (reinitialised_copy(network, 1, "critic") for _ in range(2))
    assert torch.equal(first[0].weight, again[0].weight)
    for other in (
        network,
        reinitialised_copy(network, 2, "critic"),
        reinitialised_copy(network, 1, "actor"),
    ):
        assert not torch.equal(first[0].weight, other[0].weight)


@pytest.mark.parametrize("memory", grus(), ids=lambda m: type(m).__name__)
def test_a_reset_is_a_new_sequence(memory: SequenceGRU | AgentwiseGRU) -> None:
    x, start = normal(B, L, N, F), normal(B, N, H, seed=1)
    resets = torch.tensor([[False, False, True, False, True], [True, False, False, False, False]])
    out, last = memory(x, start, resets)
    for b, starts in enumerate(((0, 2, 4, L), (0, L))):
        for k, (first, end) in enumerate(pairwise(starts)):
            own = start[b : b + 1] if k == 0 and not resets[b, 0] else None
            part, hidden = memory(x[b : b + 1, first:end], own)
            torch.testing.assert_close(out[b : b + 1, first:end], part)
        torch.testing.assert_close(last[b : b + 1], hidden)
    assert torch.equal(memory(x, start)[0], memory(x, start, None)[0])
    torch.testing.assert_close(memory(x, start, torch.zeros_like(resets))[0], memory(x, start)[0])
