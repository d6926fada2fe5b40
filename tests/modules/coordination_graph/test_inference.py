"""Message passing and enumeration against plain Python over joint actions."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from tests.helpers.fake_envs import normal
from torch import Tensor

from analysis.topk_bounds import hand_set_factors
from modules.coordination_graph import inference
from modules.coordination_graph.factors import Factors
from modules.coordination_graph.inference import Enumeration, MaxSum
from modules.coordination_graph.topology import Topology, edge_list, longest_path
from utils.errors import UserError

B, L, N, A = 3, 4, 4, 3


def factors_of(utility: Tensor, payoff: Tensor, edges: Tensor) -> Factors:
    """`Factors` with whole tables [B, L, E, A, A] of edges; what comes from behind is zero."""
    sides = torch.arange(2 * edges.shape[1]).view(2, -1)
    return Factors(utility, torch.cat([payoff, torch.zeros_like(payoff)], dim=2), edges, sides)


def random_factors(topology: Topology, seed: int = 0, n: int = N, a: int = A) -> Factors:
    pairs = edge_list(topology, n, np.random.default_rng(0))
    edges = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
    utility = normal(B, L, n, a, seed=seed)
    return factors_of(utility, normal(B, L, len(pairs), a, a, seed=seed + 100), edges)


def some_available(n: int = N, a: int = A) -> Tensor:
    avail = normal(B, L, n, a, seed=7) > -0.3
    avail[..., 0] = True
    return avail


def by_hand(factors: Factors, avail: Tensor, b: int, t: int) -> tuple[float, tuple[int, ...]]:
    """The best joint action of one step, by looking at each."""
    n, a = avail.shape[2:]
    payoff, best = factors.payoff()[b, t], (float("-inf"), ())
    for joint in product(range(a), repeat=n):
        if all(avail[b, t, i, joint[i]] for i in range(n)):
            value = sum(factors.utility[b, t, i, joint[i]].item() for i in range(n))
            pairs = enumerate(factors.edges.T.tolist())
            value += sum(payoff[e, joint[i], joint[j]].item() for e, (i, j) in pairs)
            best = max(best, (value, joint))
    return best


def slow_max_sum(
    factors: Factors, avail: Tensor, b: int, t: int, iterations: int, damping: float
) -> list[int]:
    """Algorithm 3 of the paper, one message at a time."""
    n, a = avail.shape[2:]
    payoff = factors.payoff()[b, t].double()
    own = factors.utility[b, t].double().masked_fill(~avail[b, t], -torch.inf)
    tables = {}
    for e, (i, j) in enumerate(factors.edges.T.tolist()):
        tables[i, j], tables[j, i] = payoff[e], payoff[e].T
    message = {edge: torch.zeros(a, dtype=torch.float64) for edge in tables}
    beliefs, best, best_value = own, own.argmax(dim=1).tolist(), float("-inf")
    for _ in range(iterations if tables else 0):
        new = {}
        for (i, j), table in tables.items():
            sent = ((beliefs[i] - message[j, i]).unsqueeze(1) + table).amax(dim=0)
            new[i, j] = damping * message[i, j] + (1 - damping) * (sent - sent.mean())
        message = new
        beliefs = torch.stack(
            [own[i] + sum(m for (_, j), m in message.items() if j == i) for i in range(n)]
        )
        actions = beliefs.argmax(dim=1).tolist()
        value = sum(own[i, actions[i]].item() for i in range(n))
        value += sum(t[actions[i], actions[j]].item() for (i, j), t in tables.items() if i < j)
        if value > best_value:
            best, best_value = actions, value
    return best


@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize("topology", ["vdn", "line", "cycle", "star", "full", 4])
def test_batched_messages_equal_the_slow_loop(topology: Topology, damping: float) -> None:
    factors, avail = random_factors(topology), some_available()
    found = MaxSum(5, damping)(factors, avail)
    assert found.shape == (B, L, N)
    for b, t in product(range(B), range(L)):
        assert found[b, t].tolist() == slow_max_sum(factors, avail, b, t, 5, damping)


@pytest.mark.parametrize("topology", ["vdn", "line", "star", ((0, 2), (2, 3))])
def test_max_sum_is_exact_on_trees_after_the_longest_path(topology: Topology) -> None:
    factors, avail = random_factors(topology), some_available()
    longest = longest_path(factors.edges.T.tolist(), N)
    assert longest is not None
    for found in (MaxSum(longest, 0.0)(factors, avail), MaxSum(8, 0.0)(factors, avail)):
        for b, t in product(range(B), range(L)):
            assert tuple(found[b, t].tolist()) == by_hand(factors, avail, b, t)[1]


@pytest.mark.parametrize("topology", ["vdn", "cycle", "full", 5])
def test_enumeration_is_exact(topology: Topology) -> None:
    factors, avail = random_factors(topology), some_available()
    found = Enumeration((A,) * N, A, factors.edges)(factors, avail)
    for b, t in product(range(B), range(L)):
        assert tuple(found[b, t].tolist()) == by_hand(factors, avail, b, t)[1]


def test_enumeration_of_different_action_sets() -> None:
    counts = (3, 1, 2, 3)
    factors = random_factors("full")
    avail = (torch.arange(A) < torch.tensor(counts).unsqueeze(1)).expand(B, L, N, A)
    found = Enumeration(counts, A, factors.edges)(factors, avail)
    for b, t in product(range(B), range(L)):
        assert tuple(found[b, t].tolist()) == by_hand(factors, avail, b, t)[1]


def test_enumeration_of_one_agent() -> None:
    factors = random_factors("full", n=1)
    found = Enumeration((A,), A, factors.edges)(factors, torch.ones(B, L, 1, A, dtype=torch.bool))
    assert torch.equal(found, factors.utility.argmax(dim=3))


def test_too_many_joint_actions() -> None:
    Enumeration((2,) * 12, 2, torch.zeros(2, 0, dtype=torch.int64))
    with pytest.raises(UserError, match=r"look at 8,192 joint actions .* Use maxsum"):
        Enumeration((2,) * 13, 2, torch.zeros(2, 0, dtype=torch.int64))


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_more_iterations_never_lower_the_value(damping: float) -> None:
    factors = random_factors("full", n=6)
    avail = some_available(6)
    values = [factors.value(MaxSum(k, damping)(factors, avail)) for k in range(1, 12)]
    for before, after in pairwise(values):
        assert (after >= before - 1e-6).all()
    best = factors.value(Enumeration((A,) * 6, A, factors.edges)(factors, avail))
    assert (values[-1] <= best + 1e-6).all()


@pytest.mark.parametrize(
    ("iterations", "damping", "expected"),
    [(1, 0.0, 0.0), (8, 0.0, 0.0), (40, 0.0, 0.0), (8, 0.5, 1.0)],
)
def test_exactly_two_of_six_need_damping(iterations: int, damping: float, expected: float) -> None:
    """The maximum is always the top 2 of 6; without damping all agents change sides together."""
    u = np.random.default_rng(1).random((500, 6))
    utility, payoff = (torch.tensor(x).unsqueeze(1) for x in hand_set_factors(u, 2))
    factors = factors_of(utility, payoff, torch.triu_indices(6, 6, 1))
    found = MaxSum(iterations, damping)(factors, torch.ones_like(utility, dtype=torch.bool))
    top = torch.zeros(500, 6).scatter_(1, torch.tensor(u).topk(2).indices, 1.0)
    assert (found.squeeze(1) == top).all(dim=1).float().mean().item() == expected
    exact = Enumeration((2,) * 6, 2, factors.edges)(factors, utility > -9)
    assert torch.equal(exact.squeeze(1), top.long())


def test_iterations_without_messages_follow_the_utilities() -> None:
    factors, avail = random_factors("full"), some_available()
    expected = factors.utility.masked_fill(~avail, -torch.inf).argmax(dim=3)
    assert torch.equal(MaxSum(0, 0.0)(factors, avail), expected)


@pytest.mark.parametrize("exact", [False, True])
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    factors, avail = random_factors("full"), some_available()
    solve = Enumeration((A,) * N, A, factors.edges) if exact else MaxSum(4, 0.2)
    whole = solve(factors, avail)
    monkeypatch.setattr(inference, "BLOCK", 1)
    assert torch.equal(solve(factors, avail), whole)


@pytest.mark.parametrize("exact", [False, True])
def test_unavailable_actions_are_never_chosen(exact: bool) -> None:
    factors, avail = random_factors("full"), some_available()
    factors.utility.masked_fill_(~avail, 1e6)
    solve = Enumeration((A,) * N, A, factors.edges) if exact else MaxSum(6, 0.0)
    assert avail.gather(3, solve(factors, avail).unsqueeze(3)).all()
