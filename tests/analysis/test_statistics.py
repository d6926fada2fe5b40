"""Statistics over seeds and tasks against values worked by hand and stored figures of rliable.

The stored figures are those of rliable 1.2.0 with numpy 1.26.4, pandas 2.1.4 and scipy 1.11.4
(`pip install "numpy<2" "pandas<2.2" "scipy<1.12" "setuptools<70" rliable`):

    a, b = np.array(A).T, np.array(B).T  # [runs, tasks]; c = a - 0.15
    metrics.aggregate_iqm(a)
    metrics.probability_of_improvement(c, b)
    rly.create_performance_profile({"b": b}, np.linspace(0, 1, 11), reps=2000)
    rly.get_interval_estimates({"a": a, "b": b}, lambda x: np.array([metrics.aggregate_iqm(x)]),
                               reps=50000, random_state=np.random.RandomState(1))
    rly.get_interval_estimates({"cb": (c, b)}, lambda x, y: np.array(
        [metrics.probability_of_improvement(x, y)]), reps=5000, ...)
"""

import numpy as np
import pytest

from analysis.statistics import (
    bootstrap_interval,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    t_interval,
)

A = [
    np.array(x)
    for x in (
        [0.8, 0.755, 0.751, 0.811, 0.666],
        [0.83, 0.701, 0.738, 0.707, 0.754],
        [0.773, 0.806, 0.849, 0.797, 0.61],
        [0.711, 0.934, 0.836, 0.87, 0.671],
    )
]
B = [
    np.array(x)
    for x in (
        [0.232, 0.631, 0.59],
        [0.553, 0.563, 0.623],
        [0.347, 0.097, 0.294],
        [0.654, 0.492, 0.504],
    )
]
C = [task - 0.15 for task in A]
LEVELS = np.linspace(0, 1, 11)


def test_the_t_interval_of_three_values_by_hand():
    low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    half = 4.302653 / np.sqrt(3)  # the table's quantile for two degrees of freedom; sd 1
    assert (low, high) == (pytest.approx(2 - half, abs=1e-5), pytest.approx(2 + half, abs=1e-5))


def test_one_seed_has_no_interval():
    assert np.isnan(t_interval(np.array([1.0]))).all()


@pytest.mark.parametrize(
    ("scores", "stored"),
    [(A, 0.7696), (B, 0.50816667), (A[:1], 0.76866667), (B[:3], 0.4694)],
)
def test_the_interquartile_mean_is_that_of_rliable(scores, stored):
    assert interquartile_mean(scores) == pytest.approx(stored, abs=1e-7)


def test_the_probability_of_improvement_is_that_of_rliable():
    assert probability_of_improvement(A, B) == 1
    assert probability_of_improvement(B, A) == 0
    assert probability_of_improvement(C, B) == pytest.approx(0.78333333)
    ties = [np.array([0.5, 0.5, 0.1]), np.array([0.5, 0.7, 0.7])]
    others = [np.array([0.5, 0.2]), np.array([0.7, 0.7])]
    assert probability_of_improvement(ties, others) == pytest.approx(0.41666667)


def test_the_performance_profile_is_that_of_rliable():
    stored = [1, 0.916667, 0.916667, 0.75, 0.666667, 0.583333, 0.25, 0, 0, 0, 0]
    assert performance_profile(B, LEVELS) == pytest.approx(stored, abs=1e-6)


@pytest.mark.parametrize(("scores", "stored"), [(A, (0.7316, 0.8034)), (B, (0.4125, 0.5805))])
def test_the_bootstrap_of_the_interquartile_mean_is_near_that_of_rliable(scores, stored):
    assert bootstrap_interval(interquartile_mean, scores) == pytest.approx(stored, abs=0.01)


def test_the_bootstrap_of_the_improvement_is_near_that_of_rliable():
    found = bootstrap_interval(probability_of_improvement, C, B)
    assert found == pytest.approx((0.61667, 0.93333), abs=0.02)


def test_the_bootstrap_of_a_profile_is_near_that_of_rliable():
    low, high = bootstrap_interval(lambda scores: performance_profile(scores, LEVELS), B)
    stored = [[1, 0.75, 0.75, 0.5833, 0.5, 0.4167, 0], [1, 1, 1, 0.9167, 0.75, 0.75, 0.5]]
    assert low[:7] == pytest.approx(stored[0], abs=0.09)  # shares are twelfths
    assert high[:7] == pytest.approx(stored[1], abs=0.09)


def test_resampling_stays_within_a_task():
    tasks = [np.array([0.0, 0.0]), np.array([1.0, 1.0])]
    assert bootstrap_interval(lambda s: s[0].mean(axis=-1), tasks) == (0, 0)
    assert bootstrap_interval(lambda s: s[1].mean(axis=-1), tasks) == (1, 1)


def test_the_same_report_each_time():
    assert bootstrap_interval(interquartile_mean, B) == bootstrap_interval(interquartile_mean, B)


def test_one_seed_for_each_task_gives_no_interval():
    tasks = [np.array([0.2]), np.array([0.7])]
    assert np.isnan(bootstrap_interval(interquartile_mean, tasks)).all()
    low, high = bootstrap_interval(lambda s: performance_profile(s, LEVELS), tasks)
    assert low.shape == high.shape == LEVELS.shape
    two = [np.array([0.2]), np.array([0.7, 0.9])]
    assert np.isfinite(bootstrap_interval(interquartile_mean, two)).all()
