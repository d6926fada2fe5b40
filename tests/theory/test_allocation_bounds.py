"""The bounds of `allocation`, found again by linear programming, simulation and hand."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from analysis.allocation_bounds import (
    IndependentPlay,
    best_independent,
    grid_weights,
    midpoints,
    optimum,
)

SMALL = {"n_bins": 64, "n_steps": 1024, "width": 0.04, "accuracy": 2e-3}


def test_optimum_is_the_mean_of_the_largest_values() -> None:
    assert optimum(6, 2) == pytest.approx(11 / 7)
    values = np.sort(np.random.default_rng(0).random((200_000, 6)), axis=1)
    largest = values[:, -2:].sum(axis=1)
    assert optimum(6, 2) == pytest.approx(largest.mean(), abs=4 * largest.std() / 200_000**0.5)


def test_weights_on_the_grid_keep_the_mean() -> None:
    weights = grid_weights(np.array([0.0, 0.1, 0.55, 1.0]), 4)
    assert weights.sum() == pytest.approx(1)
    assert weights @ (np.arange(5) / 4) == pytest.approx(1.65 / 4)


def test_expected_reward_agrees_with_simulation() -> None:
    effort = np.round(np.linspace(0, 1, 32) ** 2 * 64) / 64
    exact = IndependentPlay(5, 2, 1.5, 32, 64).expected_reward(effort)
    values = np.random.default_rng(1).random((200_000, 5))
    given = effort[(values * 32).astype(int)]
    reward = (values * given).sum(axis=1) - 1.5 * np.abs(given.sum(axis=1) - 2)
    assert exact == pytest.approx(reward.mean(), abs=4 * reward.std() / 200_000**0.5)


def linear_program(n_bins: int, k: int, penalty: float) -> float:
    """The best two step functions, one for each of two agents: no symmetry is assumed."""
    pairs = list(product(range(n_bins), repeat=2))
    n = 2 * n_bins
    cost = np.concatenate(
        [-np.tile(midpoints(n_bins), 2) / n_bins, [penalty / len(pairs)] * len(pairs)]
    )
    rows, limits = [], []
    for p, (a, b) in enumerate(pairs):
        for sign in (1, -1):  # gap >= |f_1(a) + f_2(b) - k|
            row = np.zeros(n + len(pairs))
            row[a] = row[n_bins + b] = sign
            row[n + p] = -1
            rows.append(row)
            limits.append(sign * k)
    box = [(0, 1)] * n + [(0, None)] * len(pairs)
    return -float(linprog(cost, np.array(rows), limits, bounds=box).fun)


@pytest.mark.parametrize("penalty", [0.3, 0.45, 2.0])
def test_two_agents_agree_with_a_linear_program(penalty: float) -> None:
    """Below one half it pays to spend more on large values: the rule is not constant there."""
    n_bins, slack = 12, 2 / (8 * 12)
    found = best_independent(2, 1, penalty, n_bins, 1024, width=0.01, accuracy=1e-3)
    exact = linear_program(n_bins, 1, penalty)
    assert found.reached == pytest.approx(exact, abs=0.01)
    assert exact <= found.most <= exact + slack + 0.02


def test_six_agents_cannot_use_their_values_alone() -> None:
    """All give K/N and earn K/2; nothing that depends on one's own value earns more."""
    bound = best_independent(6, 2, 2.0, **SMALL)
    assert bound.reached == 1
    assert bound.effort == pytest.approx(2 / 6)
    assert 1 <= bound.most < 1.04


def test_ten_agents_can_where_the_penalty_is_small() -> None:
    bound = best_independent(10, 3, 1.1, **SMALL)
    assert 1.5 + 0.15 < bound.reached <= bound.most < bound.reached + 0.06
    assert (np.diff(bound.effort) >= 0).all()
    assert bound.effort[0] < 0.001
    assert bound.effort[-1] > 0.9
