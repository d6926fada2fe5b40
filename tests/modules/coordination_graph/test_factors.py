"""Utilities and pay-offs against the paper's equations, one pair and one entry at a time."""

from itertools import product

import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes
from torch import Tensor
from torch.nn import functional

from modules.agents.base import AgentInputs
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from modules.coordination_graph.factors import CoordinationGraph, Factors, PairPayoffs
from utils.seeding import seeded_initialisation

H, N, A = 6, 3, 4
EDGES = torch.tensor([[0, 0, 1], [1, 2, 2]])
FORMS = [(0, 0), (2, 0), (0, 5), (3, 5)]  # rank, hidden_dim
every_form = pytest.mark.parametrize(("rank", "hidden_dim"), FORMS)


def make(rank: int = 0, hidden_dim: int = 0, edges: Tensor = EDGES) -> CoordinationGraph:
    with seeded_initialisation(0):
        agent = RNNAgent(RNNAgentConfig(), fake_sizes(hidden_dim=H, use_rnn=True))
        payoffs = PairPayoffs(H, A, edges, rank, hidden_dim) if edges.shape[1] else None
        return CoordinationGraph(agent, payoffs, None)


def run(graph: CoordinationGraph, inputs: AgentInputs) -> Factors:
    return graph(inputs, None)[0]


def slow_table(payoffs: PairPayoffs, h_first: Tensor, h_second: Tensor) -> Tensor:
    """F(h_i, h_j), [A, A]."""
    z = payoffs.first(torch.cat([h_first, h_second]))
    if payoffs.last is not None:
        z = payoffs.last(z.clamp(min=0))
    if not payoffs.rank:
        return z.view(A, A)
    u, v = z.view(2, payoffs.rank, A)
    return sum(torch.outer(u[k], v[k]) for k in range(payoffs.rank))


@every_form
def test_factors_equal_the_equations(rank: int, hidden_dim: int) -> None:
    graph, inputs = make(rank, hidden_dim), fake_inputs(fake_sizes())
    factors, (features, _) = run(graph, inputs), graph.agent.features(inputs, None)
    torch.testing.assert_close(factors.utility, graph.agent(inputs, None)[0] / N)
    payoff = factors.payoff()
    assert payoff.shape == (2, 3, 3, A, A)
    for b, t, (e, (i, j)) in product(range(2), range(3), enumerate(EDGES.T.tolist())):
        h = features[b, t]
        there, back = (slow_table(graph.payoffs, h[p], h[q]) for p, q in ((i, j), (j, i)))
        torch.testing.assert_close(payoff[b, t, e], (there + back.T) / 2 / 3)


@every_form
def test_value_is_the_sum_of_the_terms(rank: int, hidden_dim: int) -> None:
    factors = run(make(rank, hidden_dim), fake_inputs(fake_sizes()))
    factors.bias = torch.arange(6.0).view(2, 3, 1)
    actions = torch.arange(2 * 3 * N).view(2, 3, N) % A
    value, payoff = factors.value(actions), factors.payoff()
    assert value.shape == (2, 3, 1)
    for b, t in product(range(2), range(3)):
        taken = actions[b, t].tolist()
        expected = factors.bias[b, t] + sum(factors.utility[b, t, i, taken[i]] for i in range(N))
        for e, (i, j) in enumerate(EDGES.T.tolist()):
            expected = expected + payoff[b, t, e, taken[i], taken[j]]
        torch.testing.assert_close(value[b, t], expected)
    torch.testing.assert_close(factors[:, 1:].value(actions[:, 1:]), value[:, 1:])
    assert not factors.detach().value(actions).requires_grad


@every_form
def test_gradient_reaches_every_parameter_through_taken_actions_only(
    rank: int, hidden_dim: int
) -> None:
    graph = make(rank, hidden_dim)
    factors = run(graph, fake_inputs(fake_sizes()))
    factors.utility.retain_grad()
    factors.tables.retain_grad()
    actions = torch.arange(2 * 3 * N).view(2, 3, N) % A
    factors.value(actions).square().sum().backward()
    for name, p in graph.named_parameters():
        assert p.grad.abs().sum() > 0, name
    touched = factors.utility.grad != 0
    assert torch.equal(touched, functional.one_hot(actions, A).bool())
    first, second = actions[..., EDGES[0]], actions[..., EDGES[1]]
    taken = torch.zeros_like(factors.tables, dtype=torch.bool)  # [B, L, D, A, A]
    for b, t, e in product(range(2), range(3), range(3)):
        p, q, i, j = *factors.sides[:, e], first[b, t, e], second[b, t, e]
        taken[b, t, p, i, j] = taken[b, t, q, j, i] = True
    assert torch.equal(factors.tables.grad != 0, taken)


@every_form
def test_each_term_knows_its_own_agents_only(rank: int, hidden_dim: int) -> None:
    """Utilities follow one agent's history, pay-offs those of their pair."""
    inputs = fake_inputs(fake_sizes())
    inputs.x.requires_grad_()
    factors = run(make(rank, hidden_dim), inputs)
    for i in range(N):
        (seen,) = torch.autograd.grad(factors.utility[:, 1, i].sum(), inputs.x, retain_graph=True)
        assert (seen.abs().sum(dim=(0, 3)) > 0).tolist() == [
            [t <= 1 and j == i for j in range(N)] for t in range(3)
        ]
    for e, pair in enumerate(EDGES.T.tolist()):
        total = factors.payoff()[:, 1, e].square().sum()
        (seen,) = torch.autograd.grad(total, inputs.x, retain_graph=True)
        assert (seen.abs().sum(dim=(0, 3)) > 0).tolist() == [
            [t <= 1 and j in pair for j in range(N)] for t in range(3)
        ]


@every_form
def test_an_edge_has_no_direction(rank: int, hidden_dim: int) -> None:
    inputs = fake_inputs(fake_sizes())
    payoff = run(make(rank, hidden_dim), inputs).payoff()
    turned = run(make(rank, hidden_dim, EDGES.flip(0)), inputs).payoff()
    torch.testing.assert_close(turned, payoff.transpose(3, 4))


@every_form
def test_the_absent_contribute_nothing(rank: int, hidden_dim: int) -> None:
    inputs = fake_inputs(fake_sizes(varying_team=True))
    inputs.is_active[:] = torch.tensor([True, False, True])
    graph = make(rank, hidden_dim)
    factors = run(graph, inputs)
    actions = torch.zeros(2, 3, N, dtype=torch.int64)
    value, changed = factors.value(actions), actions.clone()
    changed[:, :, 1] = 3
    assert torch.equal(factors.value(changed), value)
    assert (factors.payoff()[:, :, [0, 2]] == 0).all()  # edges (0, 1) and (1, 2)
    everyone = run(graph, AgentInputs(inputs.x, inputs.avail))
    torch.testing.assert_close(factors.payoff()[:, :, 1], everyone.payoff()[:, :, 1])


def test_without_edges_it_is_the_mean_of_utilities() -> None:
    graph, inputs = make(edges=EDGES[:, :0]), fake_inputs(fake_sizes())
    actions = torch.ones(2, 3, N, dtype=torch.int64)
    expected = graph.agent(inputs, None)[0][..., 1].mean(dim=2, keepdim=True)
    torch.testing.assert_close(run(graph, inputs).value(actions), expected)


@every_form
def test_sequence_equals_single_steps(rank: int, hidden_dim: int) -> None:
    graph, inputs = make(rank, hidden_dim), fake_inputs(fake_sizes(), length=5)
    whole, hidden = run(graph, inputs), None
    for t in range(5):
        step = AgentInputs(inputs.x[:, t : t + 1], inputs.avail[:, t : t + 1])
        one, hidden = graph(step, hidden)
        torch.testing.assert_close(one.utility, whole.utility[:, t : t + 1], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.payoff(), whole.payoff()[:, t : t + 1], atol=1e-5, rtol=0)
