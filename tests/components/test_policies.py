import math

import pytest
import torch
from tests.helpers.fake_envs import normal, rng

from components.policies import entropy, gumbel, log_policy, soft_policy_loss, soft_value

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
