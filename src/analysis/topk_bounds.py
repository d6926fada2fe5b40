"""Top-K selection in closed form: what independent policies and fitted factorisations can reach.

Paper: Gupta, Hare, Milzman, Kannan, Prasanna, *Action-Graph Policies*, arXiv 2602.17009, section
5.1. Sections 9.6 and 9.7 of `docs/results/claims.md` use these numbers;
`tests/theory/test_claims.py` checks every one by a second route.

Letters as in `analysis/claims.py`: N agents, K that should act, M bins of a signal in [0, 1].
"""

from collections.abc import Callable
from math import comb

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import bdtr

from analysis.claims import Array, exactly_k_probability, joint_actions

PENALTY = 0.5  # lambda of the anti-coordination game, Section 5.1
CLOSE = 0.1  # epsilon of the anti-coordination game: two signals nearer than this are in conflict


# ---- Top-K Selection played by independent policies (Section 5.1)


def top_k_success(decisions: Array, k: int) -> Array:
    """Probability that the agents who act are those with the k highest signals, exactly.

    Sums over the agent with the lowest signal among the k. Given its signal x, every other agent is
    either above x and acts or below x and does not. So the integrand is a polynomial of degree N-1
    in each bin. Gauss-Legendre quadrature integrates it without error.

    Args:
        decisions: probability that an agent acts when its signal is in a bin.
        k: number of agents that should act.
    Shapes:
        decisions: [..., N, M] -> [...]
    """
    *_, n_agents, n_bins = decisions.shape
    nodes, weights = np.polynomial.legendre.leggauss(n_agents // 2 + 1)
    nodes, weights = (nodes + 1) / 2, weights / (2 * n_bins)
    idle = 1 - decisions
    acts_in_bins_above = np.cumsum(decisions[..., ::-1], axis=-1)[..., ::-1] - decisions
    idle_in_bins_below = np.cumsum(idle, axis=-1) - idle
    above = (acts_in_bins_above[..., None] + decisions[..., None] * (1 - nodes)) / n_bins
    below = (idle_in_bins_below[..., None] + idle[..., None] * nodes) / n_bins
    total = np.zeros(decisions.shape[:-2])
    for i in range(n_agents):
        n_above = [np.ones_like(above[..., 0, :, :])] + [np.zeros_like(above[..., 0, :, :])] * (
            k - 1
        )
        for j in set(range(n_agents)) - {i}:
            a, b = above[..., j, :, :], below[..., j, :, :]
            n_above = [n_above[0] * b] + [n_above[c] * b + n_above[c - 1] * a for c in range(1, k)]
        total = total + (decisions[..., i, :, None] * n_above[k - 1] * weights).sum(axis=(-1, -2))
    return total


def close_pair_area(n_bins: int) -> Array:
    """Probability that two signals are in bins m, m' and less than `CLOSE` apart: [M, M]."""
    offset = np.subtract.outer(np.arange(n_bins), np.arange(n_bins)) / n_bins

    def below(limit: Array) -> Array:
        """P(x - y < limit) for x, y uniform in [0, 1/M)."""
        t = np.clip(limit * n_bins, -1, 1)
        return np.where(t < 0, (1 + t) ** 2 / 2, 1 - (1 - t) ** 2 / 2)

    return (below(CLOSE - offset) - below(-CLOSE - offset)) / n_bins**2


def penalised_return(decisions: Array, k: int) -> Array:
    """Expected return with a penalty for each close pair that acts: [..., N, M] -> [...]."""
    conflicts = decisions @ close_pair_area(decisions.shape[-1]) @ np.swapaxes(decisions, -1, -2)
    n_pairs = (conflicts.sum(axis=(-1, -2)) - np.trace(conflicts, axis1=-2, axis2=-1)) / 2
    return 2 * top_k_success(decisions, k) - 1 - PENALTY * n_pairs


def coordinate_ascent(value: Callable[[Array], Array], start: Array) -> tuple[float, Array]:
    """Replace one agent's rule after another by a best response until a whole round gains nothing.

    The value of an independent policy is affine in each agent's rule, so M+1 evaluations give it
    whole, and a best response acts exactly in the bins where acting gains.

    Args:
        value: batched value of a policy, such as `top_k_success`.
        start: probability that an agent acts when its signal is in a bin.
    Shapes:
        value: [..., N, M] -> [...];  start: [N, M];  returns the value and its decisions, [N, M]
    """
    decisions = start.copy()
    n_agents, n_bins = decisions.shape
    reached = float(value(decisions))
    while True:
        for i in range(n_agents):
            trials = np.repeat(decisions[None], n_bins + 1, axis=0)
            trials[:, i] = np.eye(
                n_bins + 1, n_bins, k=-1
            )  # never acting, then acting in one bin only
            values = value(trials)
            decisions[i] = values[1:] - values[0] > 1e-14
        previous, reached = reached, float(value(decisions))
        if reached < previous + 1e-13:
            return reached, decisions


def ascent_starts(n_starts: int, n_agents: int, n_bins: int, seed: int) -> list[Array]:
    """Starts for `coordinate_ascent`: random sets, probabilities and thresholds, in turn."""
    rng = np.random.default_rng(seed)
    shape, left_edges = (n_agents, n_bins), np.arange(n_bins) / n_bins
    draws: list[Callable[[], Array]] = [
        lambda: np.round(rng.random(shape)),
        lambda: rng.random(shape),
        lambda: np.asarray(left_edges > rng.random((n_agents, 1)), dtype=float),
    ]
    return [draws[s % len(draws)]() for s in range(n_starts)]


def threshold_return(p: float, mode: str = "per_pair") -> float:
    """Expected return of the penalty game, N=6 and K=2, when all act on signals above 1-p.

    Args:
        p: probability that an agent acts, at least `CLOSE`.
        mode: `per_pair`, a penalty for each close pair that acts; `once`, one if there is any.
    """
    if mode == "per_pair":  # two points in a length p are close w.p. 1 - (1 - CLOSE/p)^2
        cost = comb(6, 2) * (p**2 - (p - CLOSE) ** 2)
    else:  # c points in a length p are all apart w.p. (1 - (c-1) CLOSE/p)^c
        room = [max(p - max(c - 1, 0) * CLOSE, 0.0) for c in range(7)]
        cost = 1 - sum(comb(6, c) * (1 - p) ** (6 - c) * room[c] ** c for c in range(7))
    return 2 * exactly_k_probability(np.full(6, p), 2) - 1 - PENALTY * cost


def best_threshold_for_return(mode: str = "per_pair") -> float:
    """The acting probability p that maximises `threshold_return`."""
    found = minimize_scalar(
        lambda p: -threshold_return(p, mode),
        bounds=(CLOSE, 0.6),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(found.x)


def penalty_optimum(n_agents: int = 6) -> float:
    """Greatest expected return of the penalty game, K=2: top two close w.p. 1 - (1 - CLOSE)^N."""
    return 1 - PENALTY * (1 - (1 - CLOSE) ** n_agents)


# ---- population least-squares fits of the Top-K reward under uniform exploration


def at_most(count: int, n: int, p: Array) -> Array:
    """P(Binomial(n, p) <= count), also for a negative count."""
    return np.zeros_like(p) if count < 0 else bdtr(min(count, n), n, p)


def in_top_k(u: Array, n_agents: int, k: int) -> Array:
    """Probability that a signal u is among the k highest, the other N-1 unknown."""
    return at_most(k - 1, n_agents - 1, 1 - u)


def pair_in_top_k(u: Array, v: Array, n_agents: int, k: int) -> Array:
    """Probabilities that signals u, v are (1) or are not (0) in the top k, the others unknown.

    Shapes:
        u, v: [...] -> [..., 2, 2], u's membership before v's
    """
    high_in = at_most(k - 1, n_agents - 2, 1 - np.maximum(u, v))
    both = at_most(k - 2, n_agents - 2, 1 - np.minimum(u, v))
    one = high_in - both  # the higher signal only
    zero = np.zeros_like(one)
    u_is_higher = u > v
    rows = [1 - high_in, np.where(u_is_higher, zero, one), np.where(u_is_higher, one, zero), both]
    return np.stack(rows, axis=-1).reshape(*one.shape, 2, 2)


def vdn_fit_threshold(n_agents: int, k: int) -> float:
    """Signal above which the unary fit prefers to act: where `in_top_k` is 1/2.

    Under uniform exploration E[success | u_i, a_i] = P(a_i is right | u_i) / 2^(N-1). That is agent
    i's unary up to a constant (VDN) and its own regression target (IQL), so both fits act alike.
    """
    return float(
        brentq(lambda u: float(in_top_k(np.array(u), n_agents, k)) - 0.5, 0.0, 1.0, xtol=1e-14)
    )


def population_pair_fit(u: Array, k: int) -> tuple[Array, Array]:
    """Least-squares fit of success by a constant, f(u_i, a_i) and g(u_i, a_i, u_j, a_j).

    The pairs z_i = (u_i, a_i) are independent, so the projection of the indicator R of success is
    Hoeffding's decomposition cut after second order:
        f_0 = E[R],  f_i = E[R | z_i] - f_0,  f_ij = E[R | z_i, z_j] - f_i - f_j - f_0.
    The agents left out are right with probability 1/2 each, so both expectations follow from
    `in_top_k` and `pair_in_top_k`. The reward 2R - 1 has the same best joint actions.

    Shapes:
        u: [..., N] -> unary [..., N, 2], pair [..., P, 2, 2]; add f_0 = 2^-N
    """
    n = u.shape[-1]
    first, second = np.triu_indices(n, 1)
    is_in = in_top_k(u, n, k)
    unary = np.stack([1 - is_in, is_in], axis=-1) * 2.0 ** (1 - n) - 2.0**-n
    both = pair_in_top_k(u[..., first], u[..., second], n, k) * 2.0 ** (2 - n)
    pair = both - unary[..., first, :, None] - unary[..., second, None, :] - 2.0**-n
    return unary, pair


def hand_set_factors(u: Array, k: int) -> tuple[Array, Array]:
    """Unary and pairwise factors whose best joint action is always the k highest signals.

    An agent that acts adds 2K-1, two that act subtract 2, one that acts below an idle one subtracts
    0.3. With c acting and v such inversions the sum is K^2 - (c-K)^2 - 0.3 v, which has its maximum
    only at c = K and v = 0.

    Shapes:
        u: [..., N] -> unary [..., N, 2], pair [..., P, 2, 2]
    """
    first, second = np.triu_indices(u.shape[-1], 1)
    unary = np.zeros((*u.shape, 2))
    unary[..., 1] = 2 * k - 1
    pair = np.zeros((*u.shape[:-1], len(first), 2, 2))
    pair[..., 1, 1] = -2
    pair[..., 1, 0] = -0.3 * (u[..., first] < u[..., second])
    pair[..., 0, 1] = -0.3 * (u[..., first] > u[..., second])
    return unary, pair


def joint_values(unary: Array, pair: Array) -> Array:
    """Sum of the factors at every joint action: [..., N, 2], [..., P, 2, 2] -> [..., J]."""
    n_agents = unary.shape[-2]
    actions = joint_actions(n_agents)
    first, second = np.triu_indices(n_agents, 1)
    chosen = np.eye(2)[actions].reshape(len(actions), -1)  # [J, N * 2]
    chosen_pair = np.eye(4)[2 * actions[:, first] + actions[:, second]].reshape(
        len(actions), -1
    )  # [J, P * 4]
    batch = unary.shape[:-2]
    return unary.reshape(*batch, -1) @ chosen.T + pair.reshape(*batch, -1) @ chosen_pair.T


def greedy_success(
    factors: Callable[[Array, int], tuple[Array, Array]],
    n_agents: int,
    k: int,
    n_draws: int,
    seed: int,
) -> tuple[float, float]:
    """How often the exact best joint action of unary and pairwise factors is the top k.

    Args:
        factors: such as `population_pair_fit`.
        n_agents: number of agents.
        k: number of agents that should act.
        n_draws: number of joint observations, in blocks of 20000.
        seed: of the generator that draws them.

    Returns:
        the frequency and its standard error
    """
    rng = np.random.default_rng(seed)
    wanted = int("1" * k, 2)  # signals are sorted upwards, so the last k agents should act
    n_right = 0
    for block in range(0, n_draws, 20000):
        u = np.sort(rng.random((min(20000, n_draws - block), n_agents)), axis=1)
        n_right += int((joint_values(*factors(u, k)).argmax(axis=1) == wanted).sum())
    rate = n_right / n_draws
    return rate, float(np.sqrt(rate * (1 - rate) / n_draws))
