from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes, normal

from modules.agents.base import AgentInputs
from modules.agents.dicg_agent import DICGAgent, DICGAgentConfig
from modules.implicit_graph import AttentionForm, EncoderForm
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation

SIZES, N = fake_sizes(hidden_dim=6), 3  # F=5, A=4
FORMS = get_args(AttentionForm)
every_form = pytest.mark.parametrize("form", FORMS)


def make(form: str = "general", use_rnn: bool = False, **settings: Any) -> DICGAgent:
    config = DICGAgentConfig(**{"attention": form, "embed_dim": 0, "encoder_dim": 7} | settings)
    with seeded_initialisation(0):
        return DICGAgent(config, replace(SIZES, use_rnn=use_rnn))


@every_form
@pytest.mark.parametrize("residual", [True, False])
def test_outputs_equal_the_equations(form: str, residual: bool) -> None:
    agent, inputs = make(form, residual=residual), fake_inputs(SIZES)
    out = agent(inputs, None)[0]
    for b, t in ((0, 0), (1, 2)):
        first = agent.encoder(inputs.x[b, t])  # [N, d]
        score = agent.attention.score
        scores = torch.zeros(N, N)
        for i in range(N):
            for j in range(N):
                if form == "general":
                    scores[i, j] = (score.weight @ first[i]) @ first[j]
                elif form == "dot":
                    scores[i, j] = first[i] @ first[j]
                elif form == "diff":
                    scores[i, j] = torch.tanh(score.weight[0] @ (first[i] - first[j]).abs())
        m = torch.eye(N) if form == "identity" else scores.exp() / scores.exp().sum(1, True)
        last = first
        for layer in agent.layers:
            w, bias = layer.linear.weight, layer.linear.bias
            rows = [sum(m[i, j] * last[j] for j in range(N)) for i in range(N)]
            last = torch.stack([torch.tanh(w @ row + bias) for row in rows])
        base = agent.aggregator(first + last if residual else last)
        step = AgentInputs(base.view(1, 1, N, -1), inputs.avail[b : b + 1, t : t + 1])
        torch.testing.assert_close(agent.base(step, None)[0][0, 0], out[b, t])


@every_form
def test_whose_inputs_an_agent_sees(form: str) -> None:
    inputs = fake_inputs(SIZES)
    inputs.x.requires_grad_()
    make(form)(inputs, None)[0][:, 1, 0].square().sum().backward()
    seen = inputs.x.grad.abs().sum(dim=(0, 3)) > 0  # [L, N]
    now = [True, False, False] if form == "identity" else [True] * N
    assert seen.tolist() == [[False] * N, now, [False] * N]


@every_form
def test_rows_of_the_attention_sum_to_one_and_leave_the_absent_out(form: str) -> None:
    inputs = fake_inputs(fake_sizes(varying_team=True))
    agent = make(form)
    inputs.is_active[:] = torch.tensor([True, True, False])
    weights = agent.attention(agent.encoder(inputs.x), inputs.is_active)
    torch.testing.assert_close(weights.sum(dim=3), torch.ones(2, 3, N))
    assert (weights[:, :, :2, 2] == 0).all()
    changed = inputs.x.clone()
    changed[:, :, 2] += 1.0
    before, after = (agent(replace(inputs, x=x), None)[0] for x in (inputs.x, changed))
    assert torch.equal(before[:, :, :2], after[:, :, :2])


@every_form
def test_permuting_agents_permutes_outputs(form: str) -> None:
    agent, inputs, order = make(form), fake_inputs(SIZES), torch.tensor([2, 0, 1])
    permuted = agent(replace(inputs, x=inputs.x[:, :, order]), None)[0]
    torch.testing.assert_close(permuted, agent(inputs, None)[0][:, :, order], atol=1e-6, rtol=0)


@pytest.mark.parametrize("use_rnn", [True, False])
@every_form
def test_sequence_equals_single_steps(form: str, use_rnn: bool) -> None:
    agent, inputs, hidden = make(form, use_rnn=use_rnn), fake_inputs(SIZES, length=5), None
    whole = agent(inputs, None)[0]
    for t in range(5):
        step = AgentInputs(inputs.x[:, t : t + 1], inputs.avail[:, t : t + 1])
        out, hidden = agent(step, hidden)
        torch.testing.assert_close(out, whole[:, t : t + 1], atol=1e-5, rtol=0)
    assert (hidden is not None) == use_rnn


@every_form
@pytest.mark.parametrize("embed_dim", [0, 9])
def test_gradient_reaches_every_parameter(form: str, embed_dim: int) -> None:
    agent = make(form, embed_dim=embed_dim)
    agent(fake_inputs(SIZES), None)[0].square().sum().backward()
    for name, p in agent.named_parameters():
        assert p.grad.abs().sum() > 0, name
    assert agent.base.first.weight.shape == (6, embed_dim or 5)


@pytest.mark.parametrize("encoder", get_args(EncoderForm))
def test_the_encoder(encoder: str) -> None:
    """Two layers: tanh behind both, or ReLU between them."""
    agent, x = make(encoder=encoder, embed_dim=6), normal(2, 3, N, 5)
    first, second = (layer for layer in agent.encoder if isinstance(layer, torch.nn.Linear))
    z = x @ first.weight.T + first.bias
    z = z.tanh() if encoder == "tanh" else z.clamp(min=0)
    out = z @ second.weight.T + second.bias
    torch.testing.assert_close(agent.encoder(x), out.tanh() if encoder == "tanh" else out)
    assert (first.bias == 0).all() == (encoder == "tanh")


def test_without_aggregator_the_base_agent_reads_the_graph() -> None:
    agent, inputs = make(aggregator=False), fake_inputs(SIZES)
    context = agent.context(inputs.x, inputs.is_active)
    expected = agent.base(replace(inputs, x=context), None)[0]
    assert torch.equal(agent(inputs, None)[0], expected)
    assert not list(agent.aggregator.parameters())


def test_sizes_that_cannot_be() -> None:
    for wrong in ({"layers": 0}, {"embed_dim": -1}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            DICGAgentConfig(**wrong)
