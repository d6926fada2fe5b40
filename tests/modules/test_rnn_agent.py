from dataclasses import replace

import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes

from modules.agents.base import AgentInputs
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from modules.layers import parameter_count
from utils.seeding import seeded_initialisation

FORMS = [(rnn, share) for rnn in (True, False) for share in (True, False)]
SIZES = fake_sizes()  # F=5, N=3, A=4
PERMUTATION = torch.tensor([2, 0, 1])


def make(use_rnn: bool = True, share: bool = True) -> RNNAgent:
    with seeded_initialisation(0):
        return RNNAgent(RNNAgentConfig(share), replace(SIZES, use_rnn=use_rnn))


@pytest.mark.parametrize(("use_rnn", "share"), FORMS)
def test_sequence_equals_single_steps(use_rnn: bool, share: bool) -> None:
    agent, inputs = make(use_rnn, share), fake_inputs(SIZES, length=5)
    whole, last = agent(inputs, None)
    assert whole.shape == (2, 5, 3, 4)
    hidden = None
    for t in range(5):
        step = AgentInputs(inputs.x[:, t : t + 1], inputs.avail[:, t : t + 1])
        out, hidden = agent(step, hidden)
        torch.testing.assert_close(out, whole[:, t : t + 1], atol=1e-5, rtol=0)
    if use_rnn:
        assert last.shape == (2, 3, 8)
        torch.testing.assert_close(hidden, last)
    else:
        assert hidden is last is None


@pytest.mark.parametrize("use_rnn", [True, False])
def test_permuting_agents_permutes_outputs(use_rnn: bool) -> None:
    agent, inputs = make(use_rnn), fake_inputs(SIZES)
    out = agent(inputs, None)[0]
    permuted = agent(replace(inputs, x=inputs.x[:, :, PERMUTATION]), None)[0]
    torch.testing.assert_close(permuted, out[:, :, PERMUTATION], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("use_rnn", "share"), FORMS)
def test_equal_inputs_give_equal_outputs_only_with_shared_weights(
    use_rnn: bool, share: bool
) -> None:
    inputs = fake_inputs(SIZES)
    same = replace(inputs, x=inputs.x[:, :, :1].expand(-1, -1, 3, -1))
    out = make(use_rnn, share)(same, None)[0]
    assert torch.allclose(out[:, :, 0], out[:, :, 1], atol=1e-6) is share


@pytest.mark.parametrize(("use_rnn", "share"), FORMS)
def test_an_agent_sees_its_own_past_and_nothing_else(use_rnn: bool, share: bool) -> None:
    inputs = fake_inputs(SIZES)
    inputs.x.requires_grad_()
    make(use_rnn, share)(inputs, None)[0][:, 1, 0].sum().backward()
    seen = inputs.x.grad.abs().sum(dim=(0, 3))  # [L, N]
    assert (seen[:, 1:] == 0).all()  # other agents
    assert seen[2, 0] == 0  # the future
    assert seen[1, 0] > 0
    assert (seen[0, 0] > 0) == use_rnn


def test_value_without_memory_by_a_slow_loop() -> None:
    agent, inputs = make(use_rnn=False), fake_inputs(SIZES)
    out = agent(inputs, None)[0]
    for i in range(3):
        z = inputs.x[1, 2, i]
        for layer in (agent.first, agent.middle):
            z = (layer.weight @ z + layer.bias).clamp(min=0)
        torch.testing.assert_close(out[1, 2, i], agent.last.weight @ z + agent.last.bias)


@pytest.mark.parametrize(("use_rnn", "share"), FORMS)
def test_gradient_reaches_every_parameter(use_rnn: bool, share: bool) -> None:
    agent = make(use_rnn, share)
    agent(fake_inputs(SIZES), None)[0].square().sum().backward()
    for name, p in agent.named_parameters():
        assert p.grad.abs().sum() > 0, name


def test_parameter_counts() -> None:
    ends = (5 * 8 + 8) + (8 * 4 + 4)
    assert parameter_count(make(use_rnn=False)) == ends + 8 * 8 + 8
    assert parameter_count(make()) == ends + 3 * (8 * 8 + 8 * 8 + 2 * 8)
    for use_rnn in (True, False):
        assert parameter_count(make(use_rnn, False)) == 3 * parameter_count(make(use_rnn))
