"""DICG's critic against its equations, one agent at a time; what it and the policies see."""

from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import fake_batch, fake_info, normal

from build import build_controller
from config.load import load_config
from modules.critics.base import CriticInputs, CriticSizes
from modules.critics.dicg import DICGCritic, DICGCriticConfig
from utils.seeding import seeded_initialisation

B, T, N, F = 2, 3, 4, 5


def make(n_rewards: int = 1, **settings: Any) -> DICGCritic:
    config = DICGCriticConfig(**{"encoder": "tanh", "embed_dim": 6, "encoder_dim": 7} | settings)
    with seeded_initialisation(0):
        return DICGCritic(config, CriticSizes(F, 7, N, 3, hidden_dim=8, n_rewards=n_rewards))


def inputs(is_active: torch.Tensor | None = None) -> CriticInputs:
    return CriticInputs(normal(B, T, 7), normal(B, T, N, F, seed=1), is_active=is_active)


@torch.no_grad()
def slow_values(critic: DICGCritic, seen: CriticInputs, b: int, t: int) -> list[float]:
    """V_i of the agents that take part in one graph; 0 of the others."""
    graph = critic.graph
    here = [i for i in range(N) if seen.is_active is None or bool(seen.is_active[b, t, i])]
    first = {i: graph.encoder(seen.own[b, t, i]) for i in here}
    scores = {i: {j: float(graph.attention.score(first[i]) @ first[j]) for j in here} for i in here}
    last = first
    for layer in graph.layers:
        new = {}
        for i in here:
            weights = torch.tensor([scores[i][j] for j in here]).softmax(0)
            heard = sum(w * last[j] for w, j in zip(weights, here, strict=True))
            new[i] = torch.tanh(layer.linear.weight @ heard + layer.linear.bias)
        last = new
    one, _, two = critic.value
    values = {}
    for i in here:
        hidden = torch.tanh(one.weight @ (first[i] + last[i]) + one.bias)
        values[i] = (two.weight @ hidden + two.bias).item()
    return [values.get(i, 0.0) for i in range(N)]


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("n_rewards", [1, N])
def test_values_equal_the_equations(n_rewards: int, absent: bool) -> None:
    is_active = None
    if absent:
        is_active = torch.rand(B, T, N, generator=torch.Generator().manual_seed(0)) < 0.6
        is_active[..., 0] = True
    critic, seen = make(n_rewards), inputs(is_active)
    out = critic(seen)
    assert out.shape == (B, T, n_rewards)
    for b in range(B):
        for t in range(T):
            slow = torch.tensor(slow_values(critic, seen, b, t))
            if n_rewards == 1:
                torch.testing.assert_close(out[b, t, 0], slow.sum(), atol=1e-5, rtol=1e-5)
            else:
                here = torch.ones(N).bool() if is_active is None else is_active[b, t]
                torch.testing.assert_close(out[b, t][here], slow[here], atol=1e-5, rtol=1e-5)


def test_it_sees_what_all_policies_see_at_the_same_step_and_no_state() -> None:
    critic, seen = make(), inputs()
    seen.own.requires_grad_()
    seen.state.requires_grad_()
    critic(seen)[:, 1].sum().backward()
    assert ((seen.own.grad.abs().sum(dim=(0, 3)) > 0) == torch.tensor([[0], [1], [0]])).all()
    assert seen.state.grad is None


@pytest.mark.parametrize(("alg", "own_only"), [("dicg_ce", False), ("dicg_de", True)])
def test_what_an_agent_knows_at_execution(alg: str, own_only: bool) -> None:
    info = fake_info()
    controller = build_controller(load_config(alg, None, []), info)
    batch = fake_batch(info, ((6, "truncated"),) * 2)
    before = controller.outputs(batch, 6)
    batch.obs[:, 3, 0] += 1.0
    changed = (controller.outputs(batch, 6) != before).any(dim=3).any(dim=0)  # [L, N]
    assert not changed[:3].any()
    assert changed[3, 0]
    assert changed[3:, 1:].any() != own_only
    assert own_only or changed[3].all()
