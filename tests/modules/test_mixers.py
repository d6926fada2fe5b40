import math
from itertools import product
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import normal
from torch import Tensor

from modules.layers import parameter_count
from modules.mixers.none import NoMixer
from modules.mixers.qmix import QMixConfig, QMixer
from modules.mixers.vdn import VDNMixer
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation
from utils.shapes import ShapeError

B, T, N, S = 4, 3, 5, 6
FORMS = list(product(["abs", "softplus", "square"], [1, 2]))


def qmix(layers: int, **settings: Any) -> QMixConfig:
    wide = {"hypernet_embed": 16} if layers == 2 else {}
    return QMixConfig(8, layers, **wide, **settings)  # type: ignore[arg-type]


def make(pos_fn: str = "abs", layers: int = 2) -> QMixer:
    with seeded_initialisation(0):
        return QMixer(qmix(layers, pos_fn=pos_fn), N, S)


def test_vdn_is_the_sum() -> None:
    q = normal(B, T, N)
    out = VDNMixer(None, N, S)(q, normal(B, T, S, seed=1))
    assert out.shape == (B, T, 1)
    assert out[2, 1, 0].item() == pytest.approx(sum(q[2, 1].tolist()))


def test_none_is_the_identity() -> None:
    q = normal(B, T, N)
    assert NoMixer(None, N, S)(q, normal(B, T, S, seed=1)) is q


@pytest.mark.parametrize("mixer", [VDNMixer, NoMixer])
def test_no_parameters(mixer: type) -> None:
    assert parameter_count(mixer(None, N, S)) == 0


def rows(mixer: QMixer, name: str) -> slice:
    """Rows of the joint first layer that belong to one hypernetwork."""
    at = ("w1", "w2", "value", "b1").index(name)
    start = sum(mixer.widths[:at])
    return slice(start, start + mixer.widths[at])


def slow_qmix(mixer: QMixer, pos_fn: str, q: Tensor, s: Tensor) -> float:
    """Rashid et al. 2018 for one state, each hypernetwork by itself. q: [N], s: [S]."""

    def first(name: str) -> Tensor:
        part = rows(mixer, name)
        return mixer.first.weight[part] @ s + mixer.first.bias[part]

    def positive(x: float) -> float:
        return {"abs": abs(x), "softplus": math.log1p(math.exp(x)), "square": x * x}[pos_fn]

    w1, w2, value, b1 = (first(name) for name in ("w1", "w2", "value", "b1"))
    if mixer.two_layers:
        w1 = mixer.w1_out.weight @ w1.clamp(min=0) + mixer.w1_out.bias
        w2 = mixer.w2_out.weight @ w2.clamp(min=0) + mixer.w2_out.bias
    total = (mixer.value_out.weight @ value.clamp(min=0) + mixer.value_out.bias).item()
    for e in range(mixer.embed_dim):
        hidden = b1[e].item()
        for i in range(N):
            hidden += q[i].item() * positive(w1[i * mixer.embed_dim + e].item())
        total += (hidden if hidden > 0 else math.expm1(hidden)) * positive(w2[e].item())
    return total


@pytest.mark.parametrize(("pos_fn", "layers"), FORMS)
def test_qmix_equals_a_slow_loop(pos_fn: str, layers: int) -> None:
    mixer, q, s = make(pos_fn, layers), 3 * normal(B, T, N), 2 * normal(B, T, S, seed=1)
    out = mixer(q, s)
    assert out.shape == (B, T, 1)
    for b, t in product(range(B), range(T)):
        slow = slow_qmix(mixer, pos_fn, q[b, t], s[b, t])
        assert out[b, t, 0].item() == pytest.approx(slow, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(("pos_fn", "layers"), FORMS)
def test_qmix_is_monotone(pos_fn: str, layers: int) -> None:
    mixer = make(pos_fn, layers)
    for scale in (0.1, 1.0, 10.0, 100.0):
        q = (scale * normal(200, 1, N)).requires_grad_()
        (gradient,) = torch.autograd.grad(mixer(q, scale * normal(200, 1, S, seed=1)).sum(), q)
        assert torch.isfinite(gradient).all()
        assert (gradient >= 0).all()
        assert gradient.sum() > 0


def test_qmix_without_activation_is_affine() -> None:
    with seeded_initialisation(0):
        mixer = QMixer(QMixConfig(8, 2, 16, activation="none"), N, S)
    q, other, s = normal(B, T, N), normal(B, T, N, seed=2), normal(B, T, S, seed=1)
    expected = 3 * mixer(q, s) - 2 * mixer(other, s)
    torch.testing.assert_close(mixer(3 * q - 2 * other, s), expected, atol=1e-4, rtol=1e-4)
    bent = make()(3 * q - 2 * other, s) - 3 * make()(q, s) + 2 * make()(other, s)
    assert bent.abs().max() > 0.1
    q.requires_grad_()
    (slope,) = torch.autograd.grad(mixer(q, s).sum(), q)
    assert (slope > 0).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_qmix_depends_on_the_state(layers: int) -> None:
    q, s = normal(B, T, N), normal(B, T, S, seed=1).requires_grad_()
    (gradient,) = torch.autograd.grad(make(layers=layers)(q, s).sum(), s)
    assert (gradient.abs().sum(dim=(0, 1)) > 0).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_qmix_without_state_depends_on_the_values_only(layers: int) -> None:
    mixer = QMixer(qmix(layers, use_state=False), N, S)
    q, state = normal(B, T, N), normal(B, T, S, seed=1)
    torch.testing.assert_close(mixer(q, state), mixer(q, state + 1), rtol=0, atol=0)
    assert not torch.equal(mixer(q, state), mixer(q + 1, state))


@pytest.mark.parametrize(("pos_fn", "layers"), FORMS)
def test_gradient_reaches_every_parameter(pos_fn: str, layers: int) -> None:
    mixer = make(pos_fn, layers)
    mixer(normal(B, T, N), normal(B, T, S, seed=1)).square().sum().backward()
    for name, p in mixer.named_parameters():
        assert p.grad.abs().sum() > 0, name
    for name in ("w1", "w2", "value", "b1"):  # one matrix, four networks
        assert mixer.first.weight.grad[rows(mixer, name)].abs().sum() > 0, name


def test_parameter_counts() -> None:
    e, h = 8, 16
    hyper_w1 = (S * h + h) + (h * N * e + N * e)
    hyper_w2 = (S * h + h) + (h * e + e)
    b1_and_value = (S * e + e) + (S * e + e) + (e + 1)
    assert parameter_count(make()) == hyper_w1 + hyper_w2 + b1_and_value
    one_layer = (S * N * e + N * e) + (S * e + e)
    assert parameter_count(make(layers=1)) == one_layer + b1_and_value


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ShapeError, match="expected shape"):
        make()(normal(B, T, N + 1), normal(B, T, S))
    with pytest.raises(ShapeError, match=f"expected shape \\[B={B}, T={T}, S=6\\]"):
        make()(normal(B, T, N), normal(B, T + 1, S))


@pytest.mark.parametrize("name", ["embed_dim", "hypernet_embed"])
def test_no_units(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: 0 must be at least 1"):
        QMixConfig(**{name: 0})
