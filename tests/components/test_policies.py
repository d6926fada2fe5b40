import math

import pytest
import torch
from tests.fake_envs import CPU, normal, rng

from components.policies import (
    MEAN_RANGE,
    Bounds,
    SquashedNormal,
    entropy,
    gumbel,
    log_policy,
    soft_policy_loss,
    soft_value,
)

AVAIL = torch.tensor([[True, True, False, True], [False, True, True, True]])
LOGITS = torch.tensor([[1.0, 2.0, 9.0, 0.5], [-1.0, -3.0, -2.0, -1.5]])


def test_log_policy_renormalises_over_available_actions() -> None:
    for logits, avail, found in zip(LOGITS, AVAIL, log_policy(LOGITS, AVAIL), strict=True):
        total = sum(math.exp(x) for x, a in zip(logits.tolist(), avail, strict=True) if a)
        for x, a, log_pi in zip(logits.tolist(), avail, found.tolist(), strict=True):
            assert log_pi == pytest.approx(x - math.log(total)) if a else log_pi == -math.inf


def test_soft_value_is_its_definition() -> None:
    for temperature in (0.05, 1.0, 20.0):
        found = soft_value(LOGITS, AVAIL, temperature)
        for row, avail, v in zip(LOGITS, AVAIL, found.tolist(), strict=True):
            terms = [math.exp(x / temperature) for x in row[avail].tolist()]
            assert v == pytest.approx(temperature * math.log(sum(terms)), rel=1e-5)
    cold = soft_value(LOGITS, AVAIL, 1e-4)  # the maximum, without overflow
    assert cold.tolist() == pytest.approx([2.0, -1.5], abs=1e-3)


def test_the_loss_is_least_at_the_soft_policy() -> None:
    temperature, q = 0.7, normal(2, 4)
    logits = (q / temperature).requires_grad_()
    loss = soft_policy_loss(log_policy(logits, AVAIL), q, temperature)
    torch.testing.assert_close(loss, -soft_value(q, AVAIL, temperature))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(gradient, torch.zeros(2, 4), atol=1e-6, rtol=0)
    other = soft_policy_loss(log_policy(logits + normal(2, 4, seed=1), AVAIL), q, temperature)
    assert (other > loss).all()


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_unavailable_actions_have_no_probability_and_no_gradient(scale: float) -> None:
    logits = (scale * LOGITS).requires_grad_()
    log_pi = log_policy(logits, AVAIL)
    assert (log_pi.exp()[~AVAIL] == 0).all()
    q = normal(2, 4).masked_fill(~AVAIL, 1e6)
    loss = soft_policy_loss(log_pi, q, 0.5)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert torch.isfinite(loss).all()
    assert torch.isfinite(gradient).all()
    assert (gradient[~AVAIL] == 0).all()


def test_entropy() -> None:
    found = entropy(log_policy(torch.zeros(2, 4), AVAIL))
    assert found.tolist() == pytest.approx([math.log(3)] * 2)
    assert entropy(log_policy(1e6 * LOGITS, AVAIL)).tolist() == [0.0, 0.0]


def test_gumbel_samples_the_policy() -> None:
    log_pi = log_policy(LOGITS, AVAIL).expand(40_000, 2, 4)
    actions = (log_pi + gumbel(log_pi.shape, rng(), log_pi.device)).argmax(dim=2)
    found = torch.nn.functional.one_hot(actions, 4).float().mean(dim=0)
    torch.testing.assert_close(found, log_pi[0].exp(), atol=0.01, rtol=0)


BOUNDS = Bounds(((0.0, -2.0), (-1.0,)), ((1.0, 4.0), (1.0,)), CPU)
HAVE = torch.tensor([[True, True], [True, False]])


def squashed(mean: float, log_std: float) -> SquashedNormal:
    """Two agents, the second one with one number only; [N, 2 A]."""
    raw = MEAN_RANGE * math.atanh(mean / MEAN_RANGE)
    outputs = torch.tensor([raw, raw, log_std, log_std]).expand(2, 4)
    return SquashedNormal(outputs, HAVE, BOUNDS)


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (1.5, -1.0), (-2.0, 0.5), (0.3, 1.0)])
def test_densities_and_entropies_of_squashed_normals(mean: float, log_std: float) -> None:
    z = torch.linspace(-25, 25, 200_001, dtype=torch.float64)
    unit = torch.distributions.Normal(mean, torch.tensor(log_std).double().exp())
    log_density = unit.log_prob(z) + 2 * z.cosh().log()  # of u = tanh z, du = dz / cosh^2 z
    of_unit = -torch.trapezoid(unit.log_prob(z).exp() * log_density, z)
    half = torch.tensor([0.5, 3.0]).log()  # agent 0 has u scaled to lengths 1 and 6
    policy = squashed(mean, log_std)
    wanted = torch.stack([2 * of_unit + half.sum(), of_unit])
    torch.testing.assert_close(policy.entropy().double(), wanted, atol=0.01, rtol=0)
    near = slice(96_000, 104_001, 400)  # z from -1 to 1
    u, log_u = z[near].tanh().float(), log_density[near].float()
    actions = torch.zeros(len(u), 2, 2)
    actions[:, 0] = torch.stack([(u + 1) / 2, 3 * u + 1], dim=1)
    actions[:, 1, 0] = u
    wanted = torch.stack([2 * log_u - half.sum(), log_u], dim=1)
    torch.testing.assert_close(policy.log_prob(actions), wanted, atol=1e-4, rtol=1e-4)


def test_squashed_samples_lie_within_bounds_and_average_as_they_should() -> None:
    raw = MEAN_RANGE * math.atanh(0.5 / MEAN_RANGE)
    outputs = torch.tensor([raw, raw, -0.5, -0.5]).expand(20_000, 2, 4)
    policy = SquashedNormal(outputs, HAVE.expand(20_000, 2, 2), BOUNDS)
    actions = policy.sample(rng())
    assert actions.shape == (20_000, 2, 2)
    assert not actions[:, 1, 1].any()
    low, high = torch.tensor([[0.0, -2.0], [-1.0, 0.0]]), torch.tensor([[1.0, 4.0], [1.0, 0.0]])
    assert ((actions >= low) & (actions <= high)).all()
    wanted = (0.5 + torch.tensor(-0.5).exp() * normal(20_000)).tanh().mean()
    assert actions[:, 1, 0].mean() == pytest.approx(float(wanted), abs=0.02)
    torch.testing.assert_close(policy.mode()[0, 0, 0], (1 + torch.tensor(0.5).tanh()) / 2)


def test_actions_on_a_bound_have_finite_densities_and_gradients() -> None:
    outputs = torch.zeros(2, 4, requires_grad=True)
    policy = SquashedNormal(outputs, HAVE, BOUNDS)
    found = policy.log_prob(torch.tensor([[0.0, 4.0], [1.0, 0.0]]))
    assert found.isfinite().all()
    (found.sum() + policy.entropy().sum()).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert not outputs.grad[1, [1, 3]].any()  # a number that the agent does not have


def test_a_policy_near_a_bound_knows_the_densities_of_its_own_samples() -> None:
    n = 1000
    outputs = torch.tensor([50.0, 50.0, -5.0, -5.0]).expand(n, 2, 4)  # as far and narrow as it goes
    policy = SquashedNormal(outputs, HAVE.expand(n, 2, 2), BOUNDS)
    noise = policy.noise(rng())
    found = policy.log_prob(policy.vector_sample(noise))
    z = policy.mean + policy.log_std.exp() * noise
    exact = torch.distributions.Normal(policy.mean, policy.log_std.exp()).log_prob(z)
    exact = exact + 2 * z.cosh().log() - BOUNDS.half.log()
    wanted = torch.where(HAVE, exact, 0.0).sum(dim=2)
    torch.testing.assert_close(found, wanted, atol=1.0, rtol=0)
