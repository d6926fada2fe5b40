"""The network of MACPF against plain Python, and who may influence whom."""

from itertools import product
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes, normal, rng
from torch import Tensor
from torch.nn import functional

from modules.agents.base import AgentInputs
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from modules.dependence import DependentNetwork, parents_mask
from utils.seeding import seeded_initialisation

B, L, N, A, H = 2, 3, 3, 4, 8
SIZES = fake_sizes(varying_team=True)
CPU = torch.device("cpu")
ACTIONS = torch.randint(A, (B, L, N), generator=rng())


@pytest.fixture
def network() -> DependentNetwork:
    with seeded_initialisation(0):
        return DependentNetwork(RNNAgent(RNNAgentConfig(), SIZES), N, A, 5)


@torch.no_grad()
def slow_dependent(
    network: DependentNetwork, z: Tensor, actions: list[int], parents: list[list[int]], i: int
) -> list[float]:
    """Agent i's dependent outputs at one step, as the equations stand. z: [H], i's features."""
    total = torch.zeros(network.message.out_features)
    for j in parents[i]:
        one_hot = torch.zeros(N + A)
        one_hot[j] = one_hot[N + actions[j]] = 1.0
        total += functional.elu(network.message(one_hot))
    own: list[float] = (
        network.agent.last(z) + network.correction(torch.cat([z, total / N]))
    ).tolist()
    return own


def dependent(network: DependentNetwork, inputs: AgentInputs, actions: Tensor, kind: Any) -> Tensor:
    _, own, _ = network.alone(inputs, None)
    return own + network.received(actions, parents_mask(N, kind, CPU), inputs.is_active)


@pytest.mark.parametrize("kind", ["preceding", "all"])
@pytest.mark.parametrize("varying", [False, True])
def test_dependent_outputs_equal_a_slow_loop(
    network: DependentNetwork, kind: str, varying: bool
) -> None:
    inputs = fake_inputs(SIZES, B, L)
    if not varying:
        inputs.is_active = None
    found = dependent(network, inputs, ACTIONS, kind)
    z, _ = network.agent.features(inputs, None)
    everyone = {"preceding": [[], [0], [0, 1]], "all": [[], [0, 2], [0, 1]]}[kind]
    for b, t, i in product(range(B), range(L), range(N)):
        parents = everyone
        if inputs.is_active is not None:
            active = inputs.is_active[b, t]
            parents = [[j for j in row if active[j]] for row in everyone]
        expected = slow_dependent(network, z[b, t, i], ACTIONS[b, t].tolist(), parents, i)
        assert found[b, t, i].tolist() == pytest.approx(expected, abs=1e-5)


def test_independent_outputs_are_those_of_the_agent_network(network: DependentNetwork) -> None:
    inputs = fake_inputs(SIZES, B, L)
    outputs, hidden = network(inputs, None)
    alone, _, alone_hidden = network.alone(inputs, None)
    expected, expected_hidden = network.agent(inputs, None)
    for x in (outputs, alone):
        assert torch.equal(x, expected)
    for h in (hidden, alone_hidden):
        assert torch.equal(h, expected_hidden)


@pytest.mark.parametrize("kind", ["preceding", "all"])
def test_only_parents_actions_matter(network: DependentNetwork, kind: str) -> None:
    inputs = fake_inputs(SIZES, B, L)
    inputs.is_active = None
    before = dependent(network, inputs, ACTIONS, kind)
    parents = parents_mask(N, kind, CPU)
    for j in range(N):
        changed = ACTIONS.clone()
        changed[:, :, j] = (changed[:, :, j] + 1) % A
        after = dependent(network, inputs, changed, kind)
        for i in range(N):
            assert torch.equal(after[:, :, i], before[:, :, i]) == (parents[i, j] == 0)


def test_own_history_is_all_that_an_agent_sees(network: DependentNetwork) -> None:
    inputs = fake_inputs(SIZES, B, L)
    inputs.x.requires_grad_()
    independent, own, _ = network.alone(inputs, None)
    outputs = own + network.received(ACTIONS, parents_mask(N, "all", CPU), inputs.is_active)
    for out, i, t in product((independent, outputs), range(N), range(L)):
        (gradient,) = torch.autograd.grad(out[:, t, i].sum(), inputs.x, retain_graph=True)
        seen = gradient.abs().sum(dim=(0, 3)) > 0  # [L, N]
        assert seen[: t + 1, i].all()
        seen[: t + 1, i] = False
        assert not seen.any()


def test_the_dependent_loss_leaves_the_independent_head_alone(network: DependentNetwork) -> None:
    inputs = fake_inputs(SIZES, B, L)
    dependent(network, inputs, ACTIONS, "preceding").square().sum().backward()
    for name, p in network.named_parameters():
        if name.startswith("agent.last"):
            assert p.grad is None, name
        else:
            assert p.grad is not None, name
            assert p.grad.abs().sum() > 0, name


@pytest.mark.parametrize("varying", [False, True])
def test_choosing_in_order_sees_what_the_parallel_pass_sees(
    network: DependentNetwork, varying: bool
) -> None:
    inputs = fake_inputs(SIZES, B, L)
    if not varying:
        inputs.is_active = None
    noise, seen = 3 * normal(B, L, N, A), []

    def pick(i: int, outputs: Tensor) -> Tensor:
        seen.append(outputs)
        return (outputs + noise[:, :, i]).argmax(dim=-1)

    with torch.no_grad():
        _, own, _ = network.alone(inputs, None)
        actions = network.in_order(own, inputs.is_active, pick)
        whole = dependent(network, inputs, actions, "preceding")
    torch.testing.assert_close(torch.stack(seen, dim=2), whole, atol=1e-5, rtol=1e-5)
    assert torch.equal(actions, (whole + noise).argmax(dim=-1))


def test_parents() -> None:
    assert parents_mask(3, "preceding", CPU).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert parents_mask(3, "all", CPU).tolist() == [[0, 0, 0], [1, 0, 1], [1, 1, 0]]
