"""QPLEX's mixer against plain Python, one state, head and agent at a time; and what it promises."""

from collections.abc import Sequence
from itertools import product

import pytest
import torch
from tests.helpers.fake_envs import normal, rng
from torch import Tensor

from modules.mixers._advantage_weights import AdvantageWeights
from modules.mixers.qplex import QPlexConfig, QPlexMixer
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation
from utils.shapes import ShapeError

B, T, N, S, A, HEADS = 3, 2, 3, 6, 4, 2
STATE, TABLE = normal(B, T, S), normal(B, T, N, A, seed=1)
ACTIONS = torch.randint(A, (B, T, N), generator=rng())
Q, BEST = TABLE.gather(3, ACTIONS.unsqueeze(3)).squeeze(3), TABLE.amax(dim=3)


def make(layers: int = 2) -> QPlexMixer:
    wide = {"lambda_embed": 8} if layers > 1 else {}
    with seeded_initialisation(0):
        return QPlexMixer(QPlexConfig(8, HEADS, layers, **wide), N, S, A)


def head_output(network: torch.nn.Module, head: int, x: Tensor) -> list[float]:
    """One head of one of lambda's networks, layer by layer."""
    fan_out = network.first.out_features // network.heads
    rows = slice(head * fan_out, (head + 1) * fan_out)
    x = network.first.weight[rows] @ x + network.first.bias[rows]
    for layer in network.others:
        x = x.clamp(min=0) @ layer.weight[head] + layer.bias[head]
    return x.tolist()


@torch.no_grad()
def slow_lambdas(
    weights: AdvantageWeights, s: Tensor, actions: list[int], present: Sequence[int]
) -> list[float]:
    """lambda_i for one state s [S] and joint action; only agents in `present` act."""
    one_hot = torch.zeros(len(actions), weights.n_actions)
    for i in present:
        one_hot[i, actions[i]] = 1.0
    both, totals = torch.cat([s, one_hot.flatten()]), [0.0] * len(actions)
    for h, i in product(range(weights.key.heads), range(len(actions))):
        key = abs(head_output(weights.key, h, s)[0]) + 1e-10
        gates = head_output(weights.agent, h, s)[i], head_output(weights.action, h, both)[i]
        totals[i] += key * torch.sigmoid(torch.tensor(gates)).prod().item()
    return totals


@torch.no_grad()
def slow_value(
    mixer: QPlexMixer, s: Tensor, q: list[float], best: list[float], actions: list[int], who: range
) -> float:
    """sum_i w_i max q_i + b_i + lambda_i w_i (q_i - max q_i), with lambda_i and w_i above 0."""
    h = mixer.weight_out.in_features
    first = mixer.from_state(s).clamp(min=0)
    w = mixer.weight_out(first[:h]).abs().tolist()
    b = mixer.bias_out(first[h:]).tolist()
    lambdas = slow_lambdas(mixer.lambdas, s, actions, who)
    assert min(w + lambdas) > 0
    return sum(b) + sum(w[i] * (best[i] + lambdas[i] * (q[i] - best[i])) for i in who)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_value_is_the_slow_one(layers: int) -> None:
    mixer = make(layers)
    out = mixer(Q, STATE, BEST, ACTIONS)
    assert out.shape == (B, T, 1)
    for at in product(range(B), range(T)):
        rows = [x[at].tolist() for x in (Q, BEST, ACTIONS)]
        slow = slow_value(mixer, STATE[at], *rows, range(N))
        assert out[at].item() == pytest.approx(slow, rel=1e-4, abs=1e-5)


def test_agents_that_take_no_part_are_left_out() -> None:
    mixer, is_active = make(), torch.ones(B, T, N, dtype=torch.bool)
    is_active[:, :, 2] = False
    q, best = torch.where(is_active, Q, 0.0), torch.where(is_active, BEST, 0.0)
    out = mixer(q, STATE, best, ACTIONS, is_active)
    for at in product(range(B), range(T)):
        rows = [x[at].tolist() for x in (Q, BEST, ACTIONS)]
        slow = slow_value(mixer, STATE[at], *rows, range(2))
        assert out[at].item() == pytest.approx(slow, rel=1e-4, abs=1e-5)
    others = torch.where(is_active, ACTIONS, 1 - ACTIONS.clamp(max=1))
    assert torch.equal(mixer(q, STATE, best, others, is_active), out)


def test_the_best_joint_action_is_each_agents_best() -> None:
    """Individual-global-max, by enumeration, although Q_tot is not monotone in the values."""
    mixer = make()
    with torch.no_grad():
        for p in mixer.lambdas.parameters():
            p.mul_(5.0)  # lambdas that differ much between joint actions
    joints = torch.tensor(list(product(range(A), repeat=N)))  # [A^N, N]
    for at in product(range(B), range(T)):
        q = TABLE[at].gather(1, joints.T).T.unsqueeze(0)  # [1, A^N, N]
        state = STATE[at].expand(1, len(joints), S)
        value = mixer(q, state, BEST[at].expand_as(q), joints.unsqueeze(0))
        assert joints[value.argmax()].tolist() == TABLE[at].argmax(dim=1).tolist()


def test_gradients_run_through_the_weighted_sum_only() -> None:
    mixer, q, best = make(), Q.clone().requires_grad_(), BEST.clone().requires_grad_()
    mixer(q, STATE, best, ACTIONS).sum().backward()
    assert best.grad is None
    h = mixer.weight_out.in_features
    weight = mixer.weight_out(mixer.from_state(STATE).clamp(min=0)[..., :h]).abs()
    torch.testing.assert_close(q.grad, weight.detach() + 1e-10)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ShapeError, match="expected shape"):
        make()(Q, STATE, BEST[:, :, :2], ACTIONS)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"heads": 0}, "heads: 0 must be at least 1"),
        ({"lambda_layers": 4}, "lambda_layers: 4 is more than 3"),
        ({"lambda_layers": 1, "lambda_embed": 8}, "lambda_embed: 8 has no effect without"),
    ],
)
def test_settings_out_of_range(settings: dict[str, int], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        QPlexConfig(**settings)
