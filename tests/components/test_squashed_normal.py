import math

import pytest
import torch
from tests.helpers.fake_envs import CPU, normal, rng

from components.squashed_normal import MEAN_RANGE, Bounds, SquashedNormal

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


def test_a_policy_near_a_bound_knows_the_densities_of_its_samples() -> None:
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
