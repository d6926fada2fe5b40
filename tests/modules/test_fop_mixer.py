"""FOP's mixer against plain Python: one state, one head and one agent at a time."""

import math
from collections.abc import Sequence
from itertools import product

import pytest
import torch
from tests.helpers.fake_envs import normal, rng
from tests.modules.test_qplex_mixer import slow_lambdas
from torch import Tensor

from modules.mixers.fop import FOPMixer, FOPMixerConfig
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation
from utils.shapes import ShapeError

B, T, N, S, A, O = 3, 2, 4, 6, 3, 5  # noqa: E741
HEADS, E, H, REG = 2, 4, 8, 0.5
Agents = Sequence[int]
EVERYONE = range(N)
STATE, OBS = normal(B, T, S), normal(B, T, N, O, seed=1)
Q, VALUE = normal(B, T, N, seed=2), normal(B, T, N, seed=3)
ACTIONS = torch.randint(A, (B, T, N), generator=rng())


@pytest.fixture
def mixer() -> FOPMixer:
    with seeded_initialisation(0):
        return FOPMixer(FOPMixerConfig(E, H, HEADS, REG), N, S, A, O)


def parts(mixer: FOPMixer, s: Tensor) -> list[Tensor]:
    """What each small network of the joint first layer says of one state."""
    return list(mixer.from_state(s).split(mixer.widths))


@torch.no_grad()
def slow_weights(
    mixer: FOPMixer, s: Tensor, obs: Tensor, present: Agents = EVERYONE
) -> tuple[list[float], float]:
    """w_i and the regulariser for one state s [S] and the units obs [N, O]."""
    queries = parts(mixer, s)[0]
    weights, penalty = [1e-10] * N, 0.0
    for h in range(HEADS):
        query = queries[h * H : (h + 1) * H].clamp(min=0) @ mixer.query.weight[h]
        key = mixer.key.weight[h * E : (h + 1) * E]
        logits = [float(query @ (key @ obs[i])) for i in range(N)]
        total = sum(math.exp(logits[i] / math.sqrt(E)) for i in present)
        for i in present:
            weights[i] += math.exp(logits[i] / math.sqrt(E)) / total
        penalty += sum(logits[i] ** 2 for i in present) / len(present)
    return weights, REG * penalty


@torch.no_grad()
def closed_form(
    mixer: FOPMixer, b: int, t: int, q: Tensor, actions: Tensor, present: Agents = EVERYONE
) -> float:
    """V0 + sum_i w_i V_i + sum_i lambda_i w_i (q_i - V_i), over the agents that take part."""
    s, v = STATE[b, t], VALUE[b, t].tolist()
    w, _ = slow_weights(mixer, s, OBS[b, t], present)
    lambdas = slow_lambdas(mixer.lambdas, s, actions[b, t].tolist(), present)
    v0 = mixer.value_out(parts(mixer, s)[1].clamp(min=0)).item()
    chosen = q[b, t].tolist()
    soft = v0 + sum(w[i] * v[i] for i in present)
    return soft + sum(lambdas[i] * w[i] * (chosen[i] - v[i]) for i in present)


@pytest.mark.parametrize("greedy", [False, True])
def test_value_is_the_closed_form(mixer: FOPMixer, greedy: bool) -> None:
    table = normal(B, T, N, A, seed=4)
    actions = table.argmax(dim=3) if greedy else ACTIONS
    q = table.gather(3, actions.unsqueeze(3)).squeeze(3)
    out, penalty = mixer(q, STATE, VALUE, actions, OBS)
    assert out.shape == penalty.shape == (B, T, 1)
    for b, t in product(range(B), range(T)):
        expected = closed_form(mixer, b, t, q, actions)
        assert out[b, t, 0].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        slow = slow_weights(mixer, STATE[b, t], OBS[b, t])[1]
        assert penalty[b, t, 0].item() == pytest.approx(slow, rel=1e-4)


def test_absent_agents_are_left_out(mixer: FOPMixer) -> None:
    teams = [[0, 2], [1], [0, 1, 2, 3], [3, 2], [1, 2, 3], []]  # the last is a step of padding
    is_active = torch.zeros(B, T, N, dtype=torch.bool)
    places = list(product(range(B), range(T)))
    for (b, t), team in zip(places, teams, strict=True):
        is_active[b, t, team] = True
    q, value = (torch.where(is_active, x, 0.0).requires_grad_() for x in (Q, VALUE))
    out, penalty = mixer(q, STATE, value, ACTIONS, OBS, is_active)
    for (b, t), team in zip(places[:-1], teams[:-1], strict=True):
        expected = closed_form(mixer, b, t, Q, ACTIONS, team)
        assert out[b, t, 0].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        slow = slow_weights(mixer, STATE[b, t], OBS[b, t], team)[1]
        assert penalty[b, t, 0].item() == pytest.approx(slow, rel=1e-4)
    (out + penalty).sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())


def test_gradients_run_through_the_weighted_sum_only(mixer: FOPMixer) -> None:
    q, value = Q.clone().requires_grad_(), VALUE.clone().requires_grad_()
    mixer(q, STATE, value, ACTIONS, OBS)[0].sum().backward()
    assert value.grad is None
    assert q.grad is not None
    for b, t in product(range(B), range(T)):
        w, _ = slow_weights(mixer, STATE[b, t], OBS[b, t])
        assert q.grad[b, t].tolist() == pytest.approx(w, rel=1e-4)
    assert (q.grad > 0).all()
    torch.testing.assert_close(q.grad.sum(dim=2), torch.full((B, T), float(HEADS)))


def test_gradient_reaches_every_parameter(mixer: FOPMixer) -> None:
    out, penalty = mixer(Q, STATE, VALUE, ACTIONS, OBS)
    (out + penalty).square().sum().backward()
    for name, p in mixer.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_wrong_shapes_are_named(mixer: FOPMixer) -> None:
    with pytest.raises(ShapeError, match="expected shape"):
        mixer(Q, STATE, VALUE[:, :, :2], ACTIONS, OBS)


@pytest.mark.parametrize(("name", "value"), [("heads", 0), ("embed_dim", 0), ("attention_reg", -1)])
def test_settings_out_of_range(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value}"):
        FOPMixerConfig(**{name: value})
