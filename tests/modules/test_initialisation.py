import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes
from torch import nn

from modules.agents.agp_agent import AGPAgent, AGPAgentConfig
from modules.agents.dicg_agent import DICGAgent, DICGAgentConfig
from modules.agents.mat_agent import MATAgent, MATAgentConfig
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from modules.initialisation import RELU_GAIN, orthogonal_mlp, orthogonal_weights
from utils.seeding import seeded_initialisation


def gain(weight: torch.Tensor) -> float:
    """The factor on an orthogonal matrix; fails if the matrix is none."""
    weight = weight.detach()
    rows = weight if weight.shape[0] <= weight.shape[1] else weight.T
    square = rows @ rows.T
    factor = square.diagonal().mean()
    torch.testing.assert_close(square, factor * torch.eye(len(square)), atol=1e-4, rtol=1e-3)
    return float(factor.sqrt())


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("use_rnn", [True, False])
def test_an_agents_layers_are_orthogonal(share: bool, use_rnn: bool) -> None:
    sizes = fake_sizes(use_rnn=use_rnn)
    with seeded_initialisation(0):
        agent = RNNAgent(RNNAgentConfig(share_parameters=share), sizes)
        orthogonal_weights(agent, 0.01)
    first = [agent.first.weight] if share else agent.first.weight
    last = [agent.last.weight] if share else agent.last.weight
    assert [gain(w) for w in first] == pytest.approx([RELU_GAIN] * len(first), rel=1e-4)
    assert [gain(w) for w in last] == pytest.approx([0.01] * len(last), rel=1e-4)
    for module in agent.modules():
        if isinstance(module, nn.GRU):
            for gate in module.weight_hh_l0.chunk(3):
                assert gain(gate) == pytest.approx(1.0, rel=1e-4)
    biases = [p for name, p in agent.named_parameters() if "bias" in name]
    assert biases
    assert all((p == 0).all() for p in biases)
    outputs, _ = agent(fake_inputs(sizes), None)
    assert outputs.abs().max() < 0.1  # policies begin almost uniform


def test_an_action_graph_keeps_its_weights() -> None:
    with seeded_initialisation(0):
        agent = AGPAgent(AGPAgentConfig(), fake_sizes())
    graph = {name: p.clone() for name, p in agent.graph.named_parameters()}
    with seeded_initialisation(1):
        orthogonal_weights(agent, 0.01)
    assert all(torch.equal(graph[name], p) for name, p in agent.graph.named_parameters())
    assert gain(agent.head.last.weight) == pytest.approx(0.01, rel=1e-4)


def test_a_transformer_keeps_its_weights() -> None:
    with seeded_initialisation(0):
        agent = MATAgent(MATAgentConfig(), fake_sizes())
    before = {name: p.clone() for name, p in agent.named_parameters()}
    orthogonal_weights(agent, 0.01)
    assert all(torch.equal(before[name], p) for name, p in agent.named_parameters())
    query, token = agent.encoder.blocks[0].attention.query, agent.decoder.embed
    assert gain(query.weight) == pytest.approx(0.01, rel=1e-4)
    assert gain(token.weight) == pytest.approx(RELU_GAIN, rel=1e-4)
    inputs = fake_inputs(fake_sizes())
    assert agent(inputs, None)[0].abs().max() < 0.1  # policies begin almost uniform


def test_an_mlp() -> None:
    with seeded_initialisation(0):
        mlp = orthogonal_mlp([5, 8, 8, 2])
    layers = [layer for layer in mlp if isinstance(layer, nn.Linear)]
    assert [gain(layer.weight) for layer in layers] == pytest.approx([RELU_GAIN, RELU_GAIN, 1.0])
    assert [layer.weight.shape for layer in layers] == [(8, 5), (8, 8), (2, 8)]


def test_an_implicit_graph_keeps_its_weights() -> None:
    with seeded_initialisation(0):
        agent = DICGAgent(DICGAgentConfig(encoder="tanh"), fake_sizes())
    parts = (agent.encoder, agent.attention, agent.layers)
    before = [p.clone() for part in parts for p in part.parameters()]
    with seeded_initialisation(1):
        orthogonal_weights(agent, 0.01)
    after = [p for part in parts for p in part.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert gain(agent.base.last.weight) == pytest.approx(0.01, rel=1e-4)
