"""Every number of `docs/results/claims.md`, found again by enumeration, optimisation or simulation.

The section in a test's name is the section of the document: `pytest tests/theory -k 9_6`.
"""

from itertools import combinations, permutations, product
from math import comb, factorial

import numpy as np
import pytest
from scipy.optimize import minimize

from analysis import claims
from analysis import topk_bounds as topk

N, K = 6, 2
BOUND = 15 * (1 / 3) ** 2 * (2 / 3) ** 4


def least(function, n_parameters, n_starts=3):
    """The least value L-BFGS finds from a few starts."""
    starts = np.random.default_rng(0).normal(size=(n_starts, n_parameters))
    return min(minimize(function, x, method="L-BFGS-B").fun for x in starts)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# ---- 9.1 Theorem 3.1


def test_9_1_papers_witnesses_do_not_separate():
    p, q = np.meshgrid(*[np.linspace(0, 1, 101)] * 2)
    match = p * q + (1 - p) * (1 - q)
    assert match.max() == 1  # a product policy solves the first witness
    assert (match / 2).max() == 0.5  # hidden state: E_s[P(a_1 = a_2 = s)] = P(a_1 = a_2) / 2
    # A joint policy sees no more than the agents do: its return is linear in pi(a_1, a_2).
    returns = [np.mean([a == b == s for s in (0, 1)]) for a, b in product((0, 1), repeat=2)]
    assert max(returns) == 0.5


def test_9_1_swap_game_separates():
    independent, joint = claims.ring_returns_independent(2), claims.swap_returns_joint()
    assert (len(independent), independent.max()) == (16, 0.5)
    assert (len(joint), joint.max()) == (256, 1)
    assert (joint == 1).sum() == 1

    def loss(logits):  # stochastic rules: P(a_i = 1 | o_i)
        first, second = sigmoid(logits).reshape(2, 2)
        right = [
            (first[o] if p else 1 - first[o]) * (second[p] if o else 1 - second[p])
            for o, p in product((0, 1), repeat=2)
        ]
        return -np.mean(right)

    assert -least(loss, 4) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("n_agents", [2, 3, 4])
def test_9_1_ring_game_generalises_the_swap_game(n_agents):
    # o_1 fixes what every later bit must be, so at most 2 of 2^N joint observations succeed.
    assert claims.ring_returns_independent(n_agents).max() == 2.0 ** (1 - n_agents)


# ---- 9.2 Theorem 3.2


def test_9_2_first_table_does_not_follow_and_is_repaired():
    printed = claims.joint_table(claims.FIRST_UNARIES, claims.FIRST_PAIR)
    assert printed.tolist() == [[3, -2], [0, 0]]
    assert np.ptp(claims.FIRST_TARGET - printed) > 0  # no added constant repairs it
    corrected = claims.joint_table(claims.FIRST_UNARIES, claims.FIRST_PAIR_CORRECTED)
    assert corrected.tolist() == claims.FIRST_TARGET.tolist() == [[3, 0], [0, 2]]


def test_9_2_second_table_depends_on_how_it_is_split():
    table = claims.joint_table(claims.SECOND_UNARIES, claims.SECOND_PAIR)
    other = claims.joint_table(claims.OTHER_UNARIES, claims.OTHER_PAIR)
    assert table.tolist() == other.tolist() == [[3, -1], [-1, 2]]
    assert np.unravel_index(table.argmax(), (2, 2)) == (0, 0)
    assert [unary.argmax() for unary in claims.SECOND_UNARIES] == [1, 1]
    assert [unary.argmax() for unary in claims.OTHER_UNARIES] == [0, 0]
    # Max-sum on the one edge is exact: a_1 = argmax Q_1 + max_{a_2}(Q_2 + Q_12).
    unary, pair = claims.SECOND_UNARIES, claims.SECOND_PAIR
    assert (unary[0] + (unary[1][None] + pair).max(axis=1)).argmax() == 0


# ---- 9.3 Theorem B.1


@pytest.mark.parametrize("n_agents", [3, 4, 5])
def test_9_3_parity(n_agents):
    even = claims.parity(n_agents)
    assert claims.third_order_interaction(even) == 4
    residual = claims.pairwise_residual(even)
    assert residual == pytest.approx(even - 0.5, abs=1e-12)  # the best fit is constant
    assert np.sqrt((residual**2).mean()) == pytest.approx(0.5, abs=1e-12)
    assert np.abs(residual).max() == pytest.approx(0.5, abs=1e-12)
    actions = claims.joint_actions(n_agents)
    for i, j in combinations(range(n_agents), 2):  # Delta is zero for every pairwise function
        for a, b in product((0, 1), repeat=2):
            indicator = ((actions[:, i] == a) & (actions[:, j] == b)).astype(float)
            assert claims.third_order_interaction(indicator) == 0
    assert even[0] == even.max()  # no agent acts: unaries represent an optimal policy


# ---- 9.4 Theorems 4.1 and C.1, realisability


def test_9_4_swap_divergences():
    eps = 0.01
    target = claims.swap_target(eps)
    assert target.sum(axis=(2, 3)) == pytest.approx(np.ones((2, 2)))

    def product_policy(logits):  # P(a_i = 1 | o_1, o_2): [agent, o_1, o_2]
        act = sigmoid(logits)
        first, second = np.stack([1 - act, act], axis=-1)
        return first[..., :, None] * second[..., None, :]

    def divergence(policy):
        return (target * np.log(target / policy)).sum() / 4

    def independent(x):  # agent 1 sees o_1 only, agent 2 sees o_2 only
        first, second = np.meshgrid(x[:2], x[2:], indexing="ij")
        return divergence(product_policy(np.stack([first, second])))

    def joint(x):
        return divergence(product_policy(x.reshape(2, 2, 2)))

    found, found_joint = least(independent, 4), least(joint, 8)
    assert found == pytest.approx(1.334, abs=5e-4)
    assert found_joint == pytest.approx(0.0106, abs=5e-5)
    assert found == pytest.approx(claims.swap_divergence_independent(eps), abs=1e-6)
    assert found_joint == pytest.approx(claims.swap_divergence_joint_observation(eps), abs=1e-6)


def test_9_4_swap_divergences_without_smoothing():
    assert claims.swap_divergence_independent(1e-9) == pytest.approx(2 * np.log(2), abs=1e-6)
    assert claims.swap_divergence_joint_observation(1e-9) == pytest.approx(0, abs=1e-6)
    assert 2 * np.log(2) == pytest.approx(1.386, abs=5e-4)


def test_9_4_argmax_over_shared_noise_is_uniform_one_hot_play():
    for n_agents in (2, 3, 4):  # every order of continuous i.i.d. noise is equally likely
        winners = [np.argmax(order) for order in permutations(range(n_agents))]
        assert np.bincount(winners).tolist() == [factorial(n_agents - 1)] * n_agents


# ---- 9.5 symmetric play


@pytest.mark.parametrize(("n_agents", "best"), [(2, 0.5), (3, 0.444), (6, 0.402)])
def test_9_5_best_identical_play_of_exactly_one_acts(n_agents, best):
    p = np.linspace(0, 1, 60001)
    found = (n_agents * p * (1 - p) ** (n_agents - 1)).max()
    assert found == pytest.approx(best, abs=5e-4)
    assert found == pytest.approx((1 - 1 / n_agents) ** (n_agents - 1), abs=1e-8)
    identical = np.full(n_agents, 1 / n_agents)
    assert claims.exactly_k_probability(identical, 1) == pytest.approx(found, abs=1e-8)
    for action in (0.0, 1.0):  # greedy: all act or none does
        assert claims.exactly_k_probability(np.full(n_agents, action), 1) == 0


# ---- 9.6 Equation 9 and the bound of Section 5.1


def test_9_6_equation_9_is_a_bound_on_identical_policies_only():
    p = np.linspace(0, 1, 1001)
    identical = comb(5, 2) * p**2 * (1 - p) ** 3
    assert (identical.max(), p[identical.argmax()]) == pytest.approx((0.3456, 0.4))
    assert claims.exactly_k_probability(np.full(5, 0.4), 2) == pytest.approx(0.3456)
    assert claims.exactly_k_probability(np.array([1.0, 1, 0, 0, 0]), 2) == 1


def test_9_6_common_threshold():
    p = np.linspace(0, 1, 3001)
    success = comb(N, K) * p**K * (1 - p) ** (N - K)
    assert p[success.argmax()] == pytest.approx(1 / 3)
    assert success.max() == pytest.approx(0.32922, abs=5e-6)
    decisions = np.zeros((N, 30))
    decisions[:, 20:] = 1
    assert topk.top_k_success(decisions, K) == pytest.approx(BOUND, abs=1e-12)
    assert 2 * BOUND - 1 == pytest.approx(-0.342, abs=5e-4)  # the expected return


def test_9_6_fixed_roles_succeed_once_in_fifteen_and_are_a_fixed_point():
    roles = np.zeros((N, 30))
    roles[:K] = 1
    assert topk.top_k_success(roles, K) == pytest.approx(1 / 15, abs=1e-12)
    reached, _ = topk.coordinate_ascent(lambda d: topk.top_k_success(d, K), roles)
    assert reached == pytest.approx(1 / 15, abs=1e-12)


@pytest.mark.parametrize(("n_agents", "k"), [(6, 2), (4, 1), (4, 3)])
def test_9_6_success_of_uneven_rules_agrees_with_simulation(n_agents, k):
    rng = np.random.default_rng(0)
    base = np.linspace(0, 1, 10) ** 2
    decisions = np.clip(base + rng.uniform(-0.3, 0.3, size=(n_agents, 10)), 0, 1)
    u = rng.random((100_000, n_agents))
    probability = decisions[np.arange(n_agents), (u * 10).astype(int)]
    acts = rng.random(u.shape) < probability
    is_top = u >= np.sort(u, axis=1)[:, [n_agents - k]]
    right = (acts == is_top).all(axis=1)
    assert topk.top_k_success(decisions, k) == pytest.approx(
        right.mean(), abs=4 * right.std() / np.sqrt(len(u))
    )


def check_ascent(n_bins, n_starts):
    for start in topk.ascent_starts(n_starts, N, n_bins, seed=0):
        reached, decisions = topk.coordinate_ascent(lambda d: topk.top_k_success(d, K), start)
        assert reached == pytest.approx(BOUND, abs=1e-9)
        assert decisions.sum(axis=1) == pytest.approx(np.full(N, n_bins / 3))


def test_9_6_coordinate_ascent_returns_to_the_common_threshold():
    check_ascent(n_bins=30, n_starts=6)


@pytest.mark.slow
def test_9_6_coordinate_ascent_full_size():
    check_ascent(n_bins=60, n_starts=60)


def test_9_6_unary_fit():
    t = topk.vdn_fit_threshold(N, K)
    assert t**5 + 5 * t**4 * (1 - t) == pytest.approx(0.5)  # at most one of five is above
    assert t == pytest.approx(0.686, abs=5e-4)
    success = claims.exactly_k_probability(np.full(N, 1 - t), K)
    assert success == pytest.approx(comb(N, K) * (1 - t) ** K * t ** (N - K))
    assert success == pytest.approx(0.3275, abs=5e-5)


def test_9_6_pair_memberships_by_enumerating_the_other_agents():
    for u, v in [(0.7, 0.4), (0.4, 0.7), (0.95, 0.9), (0.2, 0.1)]:
        expected = np.zeros((2, 2))
        low, high = min(u, v), max(u, v)
        # Each of the others is below both signals, between them or above both.
        for others in product(((low, -1), (high - low, 0), (1 - high, 1)), repeat=N - 2):
            places = np.array([place for _, place in others])
            n_above_high, n_above_low = (places == 1).sum(), (places >= 0).sum()
            high_in, low_in = n_above_high < K, n_above_low + 1 < K
            cell = (high_in, low_in) if u > v else (low_in, high_in)
            expected[int(cell[0]), int(cell[1])] += np.prod([chance for chance, _ in others])
        found = topk.pair_in_top_k(np.array(u), np.array(v), N, K)
        assert found == pytest.approx(expected, abs=1e-12)
        alone = sum(comb(5, c) * (1 - u) ** c * u ** (5 - c) for c in range(K))
        assert topk.in_top_k(np.array(u), N, K) == pytest.approx(alone)
        other, weight = nodes_between([u])
        averaged = weight @ topk.pair_in_top_k(np.full_like(other, u), other, N, K)[:, 1].sum(-1)
        assert averaged == pytest.approx(alone, abs=1e-12)


def nodes_between(edges, n_nodes=8):
    """Gauss-Legendre nodes and weights on the pieces of [0, 1] between `edges`."""
    x, w = np.polynomial.legendre.leggauss(n_nodes)
    edges = np.array([0, *sorted(edges), 1])
    width = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + width * (x + 1)).ravel(), (width * w).ravel()


def test_9_6_pair_fit_satisfies_the_normal_equations():
    """Three agents, one acts: the residual averages to zero given any (u_1, a_1, u_2, a_2)."""
    actions = claims.joint_actions(3)
    for first, second in [(0.3, 0.8), (0.8, 0.3), (0.55, 0.6)]:
        third, weight = nodes_between([first, second])
        u = np.stack([np.full_like(third, first), np.full_like(third, second), third], axis=1)
        fitted = 2.0**-3 + topk.joint_values(*topk.population_pair_fit(u, 1))
        is_right = (actions[None] == (np.arange(3) == u.argmax(axis=1)[:, None])[:, None]).all(-1)
        residual = weight @ (is_right - fitted)  # [J]
        for a, b in product((0, 1), repeat=2):
            fixed = (actions[:, 0] == a) & (actions[:, 1] == b)
            assert residual[fixed].mean() == pytest.approx(0, abs=1e-12)


def test_9_6_pair_fit_terms_average_to_zero():
    """Hoeffding's terms for six agents: orthogonal, so the fit is the projection."""
    first = 0.37
    second, weight = nodes_between([first])
    u = np.full((len(second), N), 0.5)
    u[:, 0], u[:, 1] = first, second
    unary, pair = topk.population_pair_fit(u, K)
    assert weight @ unary[:, 1].mean(axis=-1) == pytest.approx(0, abs=1e-12)
    assert weight @ pair[:, 0].mean(axis=-1) == pytest.approx(np.zeros(2), abs=1e-12)


def test_9_6_joint_values_agree_with_a_loop():
    rng = np.random.default_rng(0)
    unary, pair = rng.normal(size=(4, 2)), rng.normal(size=(6, 2, 2))
    slow = [
        sum(unary[i, a[i]] for i in range(4))
        + sum(pair[p, a[i], a[j]] for p, (i, j) in enumerate(combinations(range(4), 2)))
        for a in product((0, 1), repeat=4)
    ]
    assert topk.joint_values(unary, pair) == pytest.approx(slow)


def test_9_6_pair_fit_succeeds_in_half_of_the_draws():
    rate, error = topk.greedy_success(topk.population_pair_fit, N, K, n_draws=60_000, seed=0)
    assert error < 0.0021
    assert rate == pytest.approx(0.501, abs=0.007)
    assert rate > BOUND + 0.15  # pairwise methods exceed the bound in expectation


@pytest.mark.slow
def test_9_6_pair_fit_full_size():
    rate, error = topk.greedy_success(topk.population_pair_fit, N, K, n_draws=2_000_000, seed=1)
    assert error < 0.0004
    assert rate == pytest.approx(0.5014, abs=0.0015)


def test_9_6_hand_set_factors_always_succeed():
    rate, _ = topk.greedy_success(topk.hand_set_factors, N, K, n_draws=20_000, seed=0)
    assert rate == 1
    u = np.random.default_rng(0).random(N)
    for acts, value in zip(
        claims.joint_actions(N),
        topk.joint_values(*topk.hand_set_factors(u, K)),
        strict=True,
    ):
        inversions = sum(
            u[i] < u[j] for i in np.flatnonzero(acts) for j in np.flatnonzero(1 - acts)
        )
        assert value == pytest.approx(K**2 - (acts.sum() - K) ** 2 - 0.3 * inversions)


# ---- 9.7 the anti-coordination penalty


def penalty_draws(n_draws=200_000):
    return np.random.default_rng(0).random((n_draws, N))


def count_conflicts(u, acts):
    return sum(
        acts[:, i] & acts[:, j] & (np.abs(u[:, i] - u[:, j]) < topk.CLOSE)
        for i, j in combinations(range(N), 2)
    )


def test_9_7_penalty_leaves_the_optimal_joint_action_alone():
    u = penalty_draws(2_000)
    is_top = u >= np.sort(u, axis=1)[:, [N - K]]
    for acts in claims.joint_actions(N).astype(bool):
        conflicts = count_conflicts(u, np.broadcast_to(acts, u.shape))
        reward = np.where((acts == is_top).all(axis=1), 1, -1) - topk.PENALTY * conflicts
        succeeds = (acts == is_top).all(axis=1)
        assert set(np.unique(reward[succeeds])) <= {0.5, 1}
        assert (reward[~succeeds] <= -1).all()


def test_9_7_greatest_expected_return():
    assert topk.penalty_optimum() == pytest.approx(0.7657, abs=5e-5)
    top_two = np.sort(penalty_draws(), axis=1)[:, -2:]
    is_close = np.diff(top_two, axis=1) < topk.CLOSE
    assert 1 - 0.5 * is_close.mean() == pytest.approx(topk.penalty_optimum(), abs=0.0025)


@pytest.mark.parametrize(
    ("mode", "p", "value", "success", "value_at_third"),
    [("per_pair", 0.254, -0.707, 0.300, -0.767), ("once", 0.296, -0.566, 0.323, -0.578)],
)
def test_9_7_best_common_threshold_for_return(mode, p, value, success, value_at_third):
    grid = np.linspace(0.1, 1, 9001)
    returns = [topk.threshold_return(q, mode) for q in grid]
    best = topk.best_threshold_for_return(mode)
    assert best == pytest.approx(grid[np.argmax(returns)], abs=1e-4)
    assert best == pytest.approx(p, abs=5e-4)
    assert topk.threshold_return(best, mode) == pytest.approx(value, abs=5e-4)
    assert claims.exactly_k_probability(np.full(N, best), K) == pytest.approx(success, abs=5e-4)
    assert topk.threshold_return(1 / 3, mode) == pytest.approx(value_at_third, abs=5e-4)

    u = penalty_draws()
    acts = u > 1 - best
    conflicts = count_conflicts(u, acts)
    is_top = u >= np.sort(u, axis=1)[:, [N - K]]
    rewards = np.where((acts == is_top).all(axis=1), 1, -1) - topk.PENALTY * (
        conflicts if mode == "per_pair" else np.minimum(conflicts, 1)
    )
    error = rewards.std() / np.sqrt(len(u))
    assert rewards.mean() == pytest.approx(topk.threshold_return(best, mode), abs=4 * error)


def test_9_7_no_other_decision_sets_found_with_a_greater_return():
    thirds = np.zeros((N, 60))
    thirds[:, 40:] = 1
    assert topk.penalised_return(thirds, K) == pytest.approx(topk.threshold_return(1 / 3))
    best = topk.threshold_return(topk.best_threshold_for_return())
    for start in topk.ascent_starts(3, N, 60, seed=0):
        reached, _ = topk.coordinate_ascent(lambda d: topk.penalised_return(d, K), start)
        assert best - 3e-4 < reached < best  # bins of 1/60 cannot hit p = 0.254 exactly


# ---- 9.9 Theorem C.1's constant


@pytest.mark.parametrize(
    ("n_agents", "least_divergence"),
    [(2, 0.6931), (3, 0.8109), (4, 0.8630), (5, 0.8926), (6, 0.9116)],
)
def test_9_9_least_divergence_from_uniform_one_hot_play(n_agents, least_divergence):
    actions = claims.joint_actions(n_agents)
    one_hot = actions[actions.sum(axis=1) == 1]

    def divergence(logits):
        p = sigmoid(logits)
        chance = np.where(one_hot == 1, p, 1 - p).prod(axis=1)
        return np.mean(np.log(1 / n_agents / chance))

    found = least(divergence, n_agents)
    assert found == pytest.approx(least_divergence, abs=5e-5)
    assert found == pytest.approx(claims.one_hot_least_divergence(n_agents), abs=1e-6)
    p = np.linspace(0.1, 0.6, n_agents)
    assert claims.one_hot_divergence(p) == pytest.approx(divergence(np.log(p / (1 - p))))
    assert found >= 1 - 1 / n_agents
    if n_agents == 2:
        assert found == pytest.approx(np.log(2), abs=1e-9)
    else:
        assert found < np.log(n_agents)  # so "at least log N" fails


@pytest.mark.parametrize("n_agents", [2, 3, 4])
def test_9_9_ring_game_has_the_divergence_that_the_theorem_claims(n_agents):
    """With the ring game's one optimal policy, Theorem C.1 holds: N log 2 is at least log N."""
    observations = claims.joint_actions(n_agents)
    wanted = np.roll(observations, -1, axis=1)
    agents = np.arange(n_agents)

    def divergence(logits):  # pi* is deterministic, so the KL is -log of what pi gives its action
        act = sigmoid(logits.reshape(n_agents, 2))[agents, observations]
        return -np.log(np.where(wanted == 1, act, 1 - act)).sum(axis=1).mean()

    found = least(divergence, 2 * n_agents)
    assert found == pytest.approx(n_agents * np.log(2), abs=1e-6)
    assert found >= np.log(n_agents)


def test_9_9_least_divergence_increases_to_one():
    values = np.array([claims.one_hot_least_divergence(n) for n in (*range(2, 200), 10**6)])
    assert (np.diff(values) > 0).all()
    assert 1 - 1e-6 < values[-1] < 1


# ---- 9.10 Theorem 4.2


def test_9_10_mixing_with_a_uniform_joint_action_leaves_the_product_class():
    eps = 0.1
    mixed = (1 - eps) * np.array([[1.0, 0], [0, 0]]) + eps / 4
    assert np.abs(mixed - np.outer(mixed.sum(axis=1), mixed.sum(axis=0))).max() > 0.01
    factor = (1 - eps) * np.array([1.0, 0]) + eps / 2  # smoothing each factor does not leave it
    assert np.linalg.matrix_rank(mixed) == 2
    assert np.linalg.matrix_rank(np.outer(factor, factor)) == 1


@pytest.mark.parametrize("n_agents", [2, 3, 6])
def test_9_10_one_hot_equalities_have_no_solution(n_agents):
    """Equal probabilities of all one-hot actions force equal p; then each is below 1/N."""
    p = np.linspace(0, 1, 10001)
    each = p * (1 - p) ** (n_agents - 1)
    assert each.max() == pytest.approx((1 - 1 / n_agents) ** (n_agents - 1) / n_agents, abs=1e-6)
    assert each.max() < 1 / n_agents
