"""Numbers behind the theory of Action-Graph Policies, by enumeration or in closed form.

Paper: Gupta, Hare, Milzman, Kannan, Prasanna, *Action-Graph Policies*, arXiv 2602.17009: theorems
3.1, 3.2, 4.1, 4.2, B.1, C.1 and equation 9. `docs/results/claims.md` says which statement each
number belongs to, `tests/theory/test_claims.py` checks every one by a second route,
`benchmarks/claims_table.py` prints them.

Departs from the paper: where its witness does not separate the classes of policies, the games here
are ours.

Letters: N agents, K agents that should act, M bins of a signal in [0, 1]. P = N(N-1)/2 pairs i < j
in the order of `np.triu_indices`, J = 2^N joint actions in the order of `joint_actions`. Signals
are independent and uniform.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Tables of the proof of Theorem 3.2, Appendix A.2: rows are agent 1's action, columns agent 2's.
FIRST_TARGET = np.array([[3.0, 0.0], [0.0, 2.0]])
FIRST_UNARIES = (np.array([1.0, 0.0]), np.array([2.0, 0.0]))
FIRST_PAIR = np.array([[0.0, -3.0], [-2.0, 0.0]])  # as printed
FIRST_PAIR_CORRECTED = np.array([[0.0, -1.0], [-2.0, 2.0]])  # ours
SECOND_UNARIES = (np.array([0.0, 1.0]), np.array([0.0, 1.0]))
SECOND_PAIR = np.array([[3.0, -2.0], [-2.0, 0.0]])
OTHER_UNARIES = (
    np.array([1.0, 0.0]),
    np.array([1.0, 0.0]),
)  # ours: the same sum, split differently
OTHER_PAIR = np.array([[1.0, -2.0], [-2.0, 2.0]])


def joint_actions(n_agents: int) -> NDArray[np.int64]:
    """All joint actions of N agents with two actions each, as rows: [J, N]."""
    return np.array(list(product((0, 1), repeat=n_agents)))


def entropy(p: Array) -> float:
    """Entropy in nats of a distribution without zeros."""
    return float(-(p * np.log(p)).sum())


# ---- the swap game (Theorems 3.1, 4.1, 4.2, C.1): o_1, o_2 are fair independent bits, the reward
# is 1 iff a_1 = o_2 and a_2 = o_1. The ring game has N agents and wants a_i = o_{i+1}, cyclically.


def ring_returns_independent(n_agents: int) -> Array:
    """Expected returns in the ring game of the 4^N deterministic independent policies."""
    observations = joint_actions(n_agents)  # a joint observation is N bits too: [J, N]
    wanted = np.roll(observations, -1, axis=1)
    rules = joint_actions(2)  # a rule maps the agent's bit to an action
    agents = np.arange(n_agents)
    return np.array(
        [
            (np.array(policy)[agents, observations] == wanted).all(axis=1).mean()
            for policy in product(rules, repeat=n_agents)
        ]
    )


def swap_returns_joint() -> Array:
    """Expected returns in the swap game of the 256 deterministic rules that see both bits."""
    observations = list(product((0, 1), repeat=2))
    return np.array(
        [
            np.mean([rule[i] == (p, o) for i, (o, p) in enumerate(observations)])
            for rule in product(observations, repeat=4)
        ]
    )


def swap_target(eps: float) -> Array:
    """The swap policy pi*_eps, mixed with a uniform joint action: [o_1, o_2, a_1, a_2]."""
    target = np.full((2, 2, 2, 2), eps / 4)
    for o, p in product((0, 1), repeat=2):
        target[o, p, p, o] += 1 - eps
    return target


def swap_divergence_independent(eps: float) -> float:
    """Least expected KL(pi*_eps || pi) over independent policies: 2 log 2 - H(pi*_eps).

    The best product has pi*_eps's own marginals given each agent's bit, which are uniform.
    """
    return float(2 * np.log(2) - entropy(swap_target(eps)[0, 0]))


def swap_divergence_joint_observation(eps: float) -> float:
    """Least expected KL(pi*_eps || pi) over policies that are products given both observations."""
    target = swap_target(eps)[0, 0]
    return entropy(target.sum(axis=1)) + entropy(target.sum(axis=0)) - entropy(target)


# ---- value tables (Theorem 3.2) and parity (Theorem B.1)


def joint_table(unaries: tuple[Array, Array], pair: Array) -> Array:
    """Q_1(a_1) + Q_2(a_2) + Q_12(a_1, a_2): [2, 2]."""
    return unaries[0][:, None] + unaries[1][None, :] + pair


def parity(n_agents: int) -> Array:
    """1 where an even number of agents act, else 0: [J]."""
    return 1.0 - joint_actions(n_agents).sum(axis=1) % 2


def third_order_interaction(values: Array) -> float:
    """Delta_123 of Theorem B.1: alternating sum over agents 1 to 3, all others at action 0.

    Args:
        values: one value per joint action, [J].
    """
    actions = joint_actions(int(np.log2(len(values))))
    is_restricted = (actions[:, 3:] == 0).all(axis=1)
    return float(((-1.0) ** actions.sum(axis=1) * values)[is_restricted].sum())


def pairwise_residual(values: Array) -> Array:
    """Residual of the least-squares fit by constant, unary and pairwise terms: [J] -> [J]."""
    actions = joint_actions(int(np.log2(len(values))))
    first, second = np.triu_indices(actions.shape[1], 1)
    ones = np.ones((len(actions), 1))
    design = np.hstack([ones, actions, actions[:, first] * actions[:, second]])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


# ---- acting without signals (Equation 9, Theorem C.1)


def exactly_k_probability(p: Array, k: int) -> float:
    """Probability that exactly k of N agents act, each independently with its own p_i, [N]."""
    distribution = np.ones(1)
    for p_i in p:
        distribution = np.convolve(distribution, [1 - p_i, p_i])
    return float(distribution[k])


def one_hot_divergence(p: Array) -> float:
    """KL(uniform over one-hot joint actions || product of Bernoulli(p_i)) for p [N]."""
    n = len(p)
    return float(-np.log(n) - np.mean(np.log(p) + (n - 1) * np.log1p(-p)))


def one_hot_least_divergence(n_agents: int) -> float:
    """The least `one_hot_divergence`, at p_i = 1/N: -(N-1) log(1 - 1/N) (Theorem C.1, Step 3)."""
    return float(-(n_agents - 1) * np.log1p(-1 / n_agents))
