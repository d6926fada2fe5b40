"""Against sums written out episode by episode, without any recursion over padding."""

import pytest
import torch
from tests.helpers.fake_envs import MIXED, fake_batch, fake_info, pad, rng

from components.episode_batch import EpisodeBatch
from components.returns import generalised_advantages, lambda_returns
from utils.shapes import ShapeError

GAMMA = 0.9
ENDS = (*MIXED, (6, "terminated"))


def batch_and_values(n_rewards: int, n_values: int) -> tuple[EpisodeBatch, torch.Tensor]:
    """Episodes and values of every step [B, T+1, R'], huge where there is only padding."""
    batch = fake_batch(fake_info(), ENDS, n_rewards=n_rewards)
    value = torch.randn(len(ENDS), batch.n_steps + 1, n_values, generator=rng(1))
    for b, (length, _) in enumerate(ENDS):
        value[b, length + 1 :] = 1e6
    return batch, value


def n_step(reward: list[float], after: list[float], ended: bool, t: int, n: int) -> float:
    """Rewards of steps t..t+n-1, and what follows if the world has not ended by then."""
    total = sum(GAMMA**k * reward[t + k] for k in range(n))
    if t + n == len(reward) and ended:
        return total
    return total + GAMMA**n * after[t + n - 1]


def slow_lambda_return(
    reward: list[float], after: list[float], ended: bool, t: int, lam: float
) -> float:
    left = len(reward) - t
    total = sum(
        (1 - lam) * lam ** (n - 1) * n_step(reward, after, ended, t, n) for n in range(1, left)
    )
    return total + lam ** (left - 1) * n_step(reward, after, ended, t, left)


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(("n_rewards", "n_values"), [(1, 1), (3, 3), (1, 3)])
def test_lambda_returns_equal_the_weighted_n_step_returns(
    lam: float, n_rewards: int, n_values: int
) -> None:
    batch, value = batch_and_values(n_rewards, n_values)
    found = lambda_returns(batch.reward, value[:, 1:], batch.terminated, batch.valid, GAMMA, lam)
    assert found.shape == (len(ENDS), 6, n_values)
    for b, (length, end) in enumerate(ENDS):
        for i in range(n_values):
            reward = batch.reward[b, :length, i % n_rewards].tolist()
            after = value[b, 1 : length + 1, i].tolist()
            for t in range(length):
                slow = slow_lambda_return(reward, after, end == "terminated", t, lam)
                assert found[b, t, i].item() == pytest.approx(slow, abs=1e-5), (b, t, i)


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
def test_advantages_equal_the_sum_of_errors(lam: float) -> None:
    batch, value = batch_and_values(1, 1)
    found = generalised_advantages(
        batch.reward, value[:, :-1], value[:, 1:], batch.terminated, batch.valid, GAMMA, lam
    )
    for b, (length, end) in enumerate(ENDS):
        errors = []
        for t in range(length):
            last = t == length - 1 and end == "terminated"
            after = 0.0 if last else GAMMA * value[b, t + 1, 0].item()
            errors.append(batch.reward[b, t, 0].item() + after - value[b, t, 0].item())
        for t in range(length):
            slow = sum((GAMMA * lam) ** k * e for k, e in enumerate(errors[t:]))
            assert found[b, t, 0].item() == pytest.approx(slow, abs=1e-5), (b, t)


def by_hand(end: str, lam: float) -> list[float]:
    """Rewards 1, 2; values after them 10, 20; gamma 0.5."""
    batch = fake_batch(fake_info(episode_limit=2), ((2, end),))
    batch.reward[0, :, 0] = torch.tensor([1.0, 2.0])
    value = torch.tensor([10.0, 20.0]).view(1, 2, 1)
    out = lambda_returns(batch.reward, value, batch.terminated, batch.valid, 0.5, lam)
    return out.flatten().tolist()


def test_values_by_hand() -> None:
    assert by_hand("terminated", 0.0) == [6.0, 2.0]  # 1 + 5; 2
    assert by_hand("truncated", 0.0) == [6.0, 12.0]  # 1 + 5; 2 + 10
    assert by_hand("terminated", 1.0) == [2.0, 2.0]  # 1 + 1; 2
    assert by_hand("truncated", 1.0) == [7.0, 12.0]  # 1 + 1 + 5; 2 + 10
    assert by_hand("truncated", 0.5) == [6.5, 12.0]  # 1 + (10 / 2 + 12 / 2) / 2


def test_advantage_with_lambda_one_is_the_return_minus_the_value() -> None:
    batch, value = batch_and_values(1, 1)
    done = (batch.reward, value[:, 1:], batch.terminated, batch.valid)
    returns = lambda_returns(*done, GAMMA, 1.0)
    advantage = generalised_advantages(batch.reward, value[:, :-1], *done[1:], GAMMA, 1.0)
    real = batch.valid
    torch.testing.assert_close((advantage + value[:, :-1])[real], returns[real])


@pytest.mark.parametrize("lam", [0.0, 0.4, 1.0])
def test_padding_changes_nothing(lam: float) -> None:
    batch, value = batch_and_values(1, 3)
    longer = pad(batch, 5)
    more = torch.cat([value, torch.full((len(ENDS), 5, 3), -1e6)], dim=1)

    def both(x: EpisodeBatch, v: torch.Tensor) -> list[torch.Tensor]:
        ends = (x.terminated, x.valid, GAMMA, lam)
        real = x.valid.squeeze(2)
        returns = lambda_returns(x.reward, v[:, 1:], *ends)
        return [returns[real], generalised_advantages(x.reward, v[:, :-1], v[:, 1:], *ends)[real]]

    for a, b in zip(both(batch, value), both(longer, more), strict=True):
        assert torch.equal(a, b)


def test_wrong_shapes_are_named() -> None:
    batch, value = batch_and_values(1, 1)
    with pytest.raises(ShapeError, match=r"expected shape \[B=5, T=6, 1\]"):
        lambda_returns(batch.reward, value[:, 1:], batch.terminated, batch.valid[:, :5], GAMMA, 0.5)
