"""Allocation (`envs/matrix_games/allocation.py`): the optimum, and what independent play earns.

Independent policies e_i = f_i(v_i) see their own value only. Their expected reward is

    J(f_1..f_N) = sum_i E[v f_i(v)] - p E|sum_i f_i(v_i) - K|.

* J is concave in (f_1..f_N), because |.| is convex. Permuting the agents does not change J, so the
  mean over all permutations, one rule f for every agent, earns at least as much. A draw instead of
  f(v) earns at most what its mean given v earns. So the best symmetric rule without chance is the
  best of all independent policies, those with a common random number included. (This does not
  hold in Top-K: success is not concave, and roles can help.)
* E|...| depends on the distribution of f(v) only, so the best f does not decrease.
* Where all give K/N they earn K/2, and nothing that depends on values may be worth its penalty.

Numerically f is a step function of M bins, and the distribution of the sum an N-fold convolution on
a grid of L steps per unit. |x| has a kink at 0, where a method of best responses stops too early
(no single agent gains by leaving all-give-K/N). So it is smoothed: x^2 / (2 w) where |x| < w, and
|x| - w / 2 elsewhere, which is never more than |x|. `ascend` then moves 1/N of the way to the best
responses, which never loses, by concavity. `Bound.most` uses concavity once more: no policy earns
more than the smoothed J(f) plus its slope at f towards the best policy, up to the grid's step.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from analysis.claims import Array


def optimum(n_agents: int, k: int) -> float:
    """Expected sum of the K largest of N values."""
    return k - k * (k + 1) / (2 * (n_agents + 1))


def grid_weights(effort: Array, n_steps: int) -> Array:
    """Distribution of f(v) on the grid; between two grid points by a fair draw with mean f(v).

    Shapes:
        effort: [M] -> [L + 1]
    """
    place = effort * n_steps
    below = np.minimum(np.floor(place).astype(int), n_steps - 1)
    above = place - below
    weights = np.bincount(below, 1 - above, n_steps + 1)
    weights += np.bincount(below + 1, above, n_steps + 1)
    return np.asarray(weights / len(effort))


def sum_weights(weights: Array, n_agents: int) -> Array:
    """Distribution of the sum of N independent efforts: [L + 1] -> [N L + 1]."""
    total = np.ones(1)
    for _ in range(n_agents):
        total = fftconvolve(total, weights)
    return np.asarray(total.clip(0))


def midpoints(n_bins: int) -> Array:
    """Mean value in each of M bins."""
    return (np.arange(n_bins) + 0.5) / n_bins


@dataclass(frozen=True)
class Bound:
    """The expected reward of independent policies.

    Attributes:
        reached: by `effort`, exactly.
        most: what none exceeds.
        effort: the rule f, [M].
    """

    reached: float
    most: float
    effort: Array


class IndependentPlay:
    """N agents that all play the same step function of their own value.

    Args:
        n_agents: N.
        k: K.
        penalty: p.
        n_bins: M.
        n_steps: L.
    """

    def __init__(self, n_agents: int, k: int, penalty: float, n_bins: int, n_steps: int):
        self.n_agents, self.penalty, self.n_steps = n_agents, penalty, n_steps
        self.values = midpoints(n_bins)
        self.apart = np.arange(n_agents * n_steps + 1) / n_steps - k  # sums minus K, [N L + 1]

    def expected_reward(self, effort: Array, width: float = 0.0) -> float:
        """J of `effort`, [M], with |.| smoothed within `width` of 0."""
        total = sum_weights(grid_weights(effort, self.n_steps), self.n_agents)
        gap = np.abs(self.apart)
        if width:
            gap = np.where(gap < width, gap**2 / (2 * width), gap - width / 2)
        gained = self.n_agents * (self.values * effort).mean()
        return float(gained - self.penalty * (total * gap).sum())

    def slope_of_penalty(self, effort: Array, width: float) -> Array:
        """Of the smoothed penalty in one agent's effort, at each grid point: [L + 1]."""
        others = sum_weights(grid_weights(effort, self.n_steps), self.n_agents - 1)
        sign = np.clip(self.apart / width, -1, 1)
        slope = self.penalty * fftconvolve(sign, others[::-1], mode="valid")
        return np.asarray(np.maximum.accumulate(slope))

    def ascend(self, effort: Array, width: float, accuracy: float) -> Bound:
        """Improve `effort` until it is as good as any within `accuracy`, smoothing included."""
        grid = np.arange(self.n_steps + 1) / self.n_steps
        while True:
            slope = self.slope_of_penalty(effort, width)
            gain = self.values - np.interp(effort, grid, slope)  # of J, per unit of effort
            better = np.maximum(gain * (1 - effort), -gain * effort).mean() * self.n_agents
            if better < accuracy:
                break
            response = np.interp(self.values, slope, grid, left=0.0, right=1.0)
            effort = effort + (response - effort) / self.n_agents
        most = self.expected_reward(effort, width) + better
        return Bound(self.expected_reward(effort), most, effort)


def best_independent(
    n_agents: int,
    k: int,
    penalty: float,
    n_bins: int = 128,
    n_steps: int = 4096,
    width: float = 0.01,
    accuracy: float = 1e-3,
) -> Bound:
    """The best of all independent policies.

    `most` counts rules that are no step functions, too: each agent's mean over a bin costs no
    penalty, and less than 1 / (8 M) of value.
    """
    play = IndependentPlay(n_agents, k, penalty, n_bins, n_steps)
    smooth = 0.64
    found = Bound(-np.inf, np.inf, np.full(n_bins, k / n_agents))
    while smooth > width:
        smooth = max(smooth / 2, width)
        found = play.ascend(found.effort, smooth, accuracy)
    reached, effort = found.reached, found.effort
    if reached < k / 2:
        reached, effort = k / 2, np.full(n_bins, k / n_agents)
    return Bound(reached, found.most + n_agents / (8 * n_bins), effort)
