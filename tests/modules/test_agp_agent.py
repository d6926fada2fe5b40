from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import fake_inputs, fake_sizes

from config.load import load_config
from modules.action_graph.layer import ActionGraphConfig
from modules.agents.agp_agent import AGPAgent, AGPAgentConfig
from modules.agents.base import AgentInputs, AgentSizes
from modules.layers import parameter_count
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation

H, D = 6, 8
RICH = fake_sizes(action_counts=(4, 2, 3), action_feature_dim=2, varying_team=True)
RECURRENT = ("none", "pre", "post")
GRAPHS: list[dict[str, Any]] = [
    {},
    {"nodes": "agents"},
    {"enabled": False},
    {"edges": "within_agent"},
    {"attention": "gatv2", "ffn": True},
    {"residual": False, "layernorm": "none", "project_values": False},
    {"edges": "axial"},
    {"inputs": "features", "edges": "axial", "ffn": True},
]
FORMS = [
    (recurrent, head, graph)
    for recurrent, head, graph in product(RECURRENT, ("vector", "node"), GRAPHS)
    if (head == "vector" or (graph.get("enabled", True) and "nodes" not in graph))
    and (recurrent != "pre" or "inputs" not in graph)
]
every_form = pytest.mark.parametrize(("recurrent", "head", "graph"), FORMS)


def make(
    recurrent: str = "none",
    head: str = "vector",
    graph: dict[str, Any] | None = None,
    sizes: AgentSizes = RICH,
    **settings: Any,
) -> AGPAgent:
    graph_config = ActionGraphConfig(**{"embed_dim": D, "heads": 2} | (graph or {}))
    place = "post" if recurrent == "none" else recurrent
    config = AGPAgentConfig(place, head, graph=graph_config, **settings)  # type: ignore[arg-type]
    with seeded_initialisation(0):
        return AGPAgent(config, replace(sizes, hidden_dim=H, use_rnn=recurrent != "none"))


def each(inputs: AgentInputs, change: Any) -> AgentInputs:
    """The same change of every field."""
    fields = (inputs.x, inputs.avail, inputs.action_features, inputs.is_active)
    return AgentInputs(*(None if x is None else change(x) for x in fields))


@every_form
def test_sequence_equals_single_steps(recurrent: str, head: str, graph: dict[str, Any]) -> None:
    agent, inputs = make(recurrent, head, graph), fake_inputs(RICH, length=5)
    whole, last = agent(inputs, None)
    assert whole.shape == (2, 5, 3, 4)
    hidden = None
    for t in range(5):
        out, hidden = agent(each(inputs, lambda x, t=t: x[:, t : t + 1]), hidden)
        torch.testing.assert_close(out, whole[:, t : t + 1], atol=1e-5, rtol=0)
    if recurrent == "none":
        assert hidden is last is None
    else:
        assert last.shape == (2, 3, H)
        torch.testing.assert_close(hidden, last, atol=1e-5, rtol=0)


@every_form
def test_permuting_agents_permutes_outputs(
    recurrent: str, head: str, graph: dict[str, Any]
) -> None:
    sizes, order = replace(RICH, action_counts=(4, 4, 4)), torch.tensor([2, 0, 1])
    agent, inputs = make(recurrent, head, graph, sizes), fake_inputs(sizes)
    out = agent(inputs, None)[0][:, :, order]
    permuted = agent(each(inputs, lambda x: x[:, :, order]), None)[0]
    torch.testing.assert_close(permuted, out, atol=1e-6, rtol=1e-5)


@every_form
def test_equal_inputs_give_equal_outputs(recurrent: str, head: str, graph: dict[str, Any]) -> None:
    sizes = replace(RICH, action_counts=(4, 4, 4))
    inputs = each(fake_inputs(sizes), lambda x: x[:, :, :1].expand_as(x))
    out = make(recurrent, head, graph, sizes)(inputs, None)[0]
    torch.testing.assert_close(out, out[:, :, :1].expand_as(out), atol=1e-6, rtol=1e-5)


@every_form
def test_gradient_reaches_every_parameter(recurrent: str, head: str, graph: dict[str, Any]) -> None:
    agent = make(recurrent, head, graph)
    agent(fake_inputs(RICH, b=4), None)[0].square().sum().backward()
    for name, p in agent.named_parameters():
        assert p.grad.abs().sum() > 0, name


@every_form
def test_finite_where_nothing_is_available(
    recurrent: str, head: str, graph: dict[str, Any]
) -> None:
    agent, inputs = make(recurrent, head, graph), fake_inputs(RICH)
    inputs.avail[0] = False
    inputs.avail[1, 1, 2] = False
    inputs.is_active[1, 2] = False
    inputs.x.requires_grad_()
    out = agent(inputs, None)[0]
    assert torch.isfinite(out).all()
    out.square().sum().backward()
    assert torch.isfinite(inputs.x.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in agent.parameters() if p.grad is not None)


@every_form
def test_inactive_agents_have_no_influence(
    recurrent: str, head: str, graph: dict[str, Any]
) -> None:
    inputs = fake_inputs(RICH)
    inputs.is_active[:] = torch.tensor([True, False, True])
    read = inputs.action_features if graph.get("inputs") == "features" else inputs.x
    read.requires_grad_()
    out = make(recurrent, head, graph)(inputs, None)[0]
    (gradient,) = torch.autograd.grad(out[:, :, [0, 2]].square().sum(), read)
    assert (gradient[:, :, 1] == 0).all()
    assert gradient[:, :, 0].abs().sum() > 0


@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize(
    "graph", [{"edges": "within_agent"}, {"edges": "self"}, {"enabled": False}]
)
def test_without_edges_between_agents_only_own_inputs_count(
    recurrent: str, graph: dict[str, Any]
) -> None:
    inputs = fake_inputs(RICH)
    inputs.x.requires_grad_()
    make(recurrent, graph=graph)(inputs, None)[0][:, :, 1].square().sum().backward()
    assert (inputs.x.grad[:, :, [0, 2]] == 0).all()
    assert inputs.x.grad[:, :, 1].abs().sum() > 0


@pytest.mark.parametrize("nodes", ["actions", "agents"])
@pytest.mark.parametrize("recurrent", RECURRENT)
def test_the_full_graph_reads_every_agent(recurrent: str, nodes: str) -> None:
    sizes = replace(RICH, varying_team=False)
    inputs = fake_inputs(sizes)
    inputs.x.requires_grad_()
    make(recurrent, graph={"nodes": nodes}, sizes=sizes)(inputs, None)[0][:, -1, 1].sum().backward()
    seen = inputs.x.grad.abs().sum(dim=(0, 3))  # [L, N]
    assert (seen[-1] > 0).all()
    assert (seen[0] > 0).all() == (recurrent != "none")


def test_agent_nodes_do_not_see_actions() -> None:
    agent, inputs = make(graph={"nodes": "agents"}), fake_inputs(RICH)
    assert agent.graph.layout.n_nodes == 3
    out = agent(inputs, None)[0]
    other = torch.ones_like(inputs.avail)
    features = inputs.action_features + 1
    changed = agent(replace(inputs, avail=other, action_features=features), None)[0]
    assert torch.equal(out, changed)


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_node_head_scores_each_node_by_itself(recurrent: str) -> None:
    """Q(i, a) depends on what h_(i,a) is, not on where a stands: relabelling actions permutes Q."""
    sizes = replace(RICH, action_counts=(4, 4, 4))
    agent, inputs = make(recurrent, "node", sizes=sizes), fake_inputs(sizes)
    order = torch.tensor([3, 1, 0, 2])
    relabelled = make(recurrent, "node", sizes=sizes)
    weight = relabelled.graph.encoder.action_embedding.weight
    weight.data = weight.data[order]
    permuted = replace(
        inputs,
        avail=inputs.avail[..., order],
        action_features=inputs.action_features[..., order, :],
    )
    out, found = agent(inputs, None)[0], relabelled(permuted, None)[0]
    torch.testing.assert_close(found, out[..., order], atol=1e-6, rtol=1e-5)


def test_node_head_by_hand() -> None:
    agent, inputs = make(head="node"), fake_inputs(RICH, length=1)
    rows = [None if x is None else x[:, 0] for x in (inputs.avail, inputs.action_features)]
    graph = agent.graph(inputs.x[:, 0], rows[0], rows[1], inputs.is_active[:, 0])
    out, head = agent(inputs, None)[0], agent.head
    for i, a in [(0, 0), (1, 1), (2, 2)]:
        joined = torch.cat([inputs.x[1, 0, i], graph.context[1, i]])
        z = head.from_agent(joined) + head.from_node.weight @ graph.nodes[1, i, a]
        torch.testing.assert_close(out[1, 0, i, a], head.last(z.clamp(min=0))[0])


def test_vector_head_by_hand() -> None:
    agent, inputs = make(), fake_inputs(RICH, length=1)
    context = agent.graph(
        inputs.x[:, 0], inputs.avail[:, 0], inputs.action_features[:, 0], inputs.is_active[:, 0]
    ).context
    joined = torch.cat([inputs.x[1, 0, 2], context[1, 2]])
    expected = agent.head.last(agent.head.first(joined).clamp(min=0))
    torch.testing.assert_close(agent(inputs, None)[0][1, 0, 2], expected)


def test_without_graph_the_context_is_zero() -> None:
    agent, inputs = make(graph={"enabled": False}), fake_inputs(RICH)
    joined = torch.nn.functional.pad(inputs.x, (0, D))
    expected = agent.head.last(agent.head.first(joined).clamp(min=0))
    torch.testing.assert_close(agent(inputs, None)[0], expected)


@pytest.mark.parametrize("recurrent", RECURRENT)
def test_attention(recurrent: str) -> None:
    agent, inputs = make(recurrent), fake_inputs(RICH)
    weights = agent.attention(inputs)
    assert [w.shape for w in weights] == [(2 * 3, 2, 9, 9)] * 2
    for w in weights:
        torch.testing.assert_close(w.sum(dim=3), torch.ones(6, 2, 9))


def test_attention_without_a_graph() -> None:
    with pytest.raises(ValueError, match="no action graph"):
        make(graph={"enabled": False}).attention(fake_inputs(RICH))


@pytest.mark.parametrize("recurrent", RECURRENT)
@pytest.mark.parametrize("sizes", [fake_sizes(1), fake_sizes(40), RICH], ids=["1", "40", "rich"])
def test_the_ablation_without_graph_has_as_many_parameters(
    sizes: AgentSizes, recurrent: str
) -> None:
    sizes = replace(sizes, hidden_dim=64, use_rnn=recurrent != "none")
    overrides = [] if recurrent == "none" else [f"agent_args.recurrent={recurrent}"]
    counts = []
    for alg in ("agp", "agp_no_graph"):
        with seeded_initialisation(0):
            agent = AGPAgent(load_config(alg, "topk", overrides).agent_args, sizes)
        counts.append(parameter_count(agent))
    assert counts[1] == pytest.approx(counts[0], rel=0.01)


def test_parameter_counts() -> None:
    f, a = 5, 4
    graph = parameter_count(make().graph)
    assert parameter_count(make()) - graph == ((f + D) * H + H) + (H * a + a)
    assert parameter_count(make(head="node")) - graph == ((f + D) * H + H) + D * H + (H + 1)
    plain = make(graph={"enabled": False})
    assert parameter_count(plain) == parameter_count(make()) - graph
    gru = 3 * (H * H + H * H + 2 * H)
    post = ((f + D) * H + H) + gru + (H * H + H) + (H * a + a)
    assert parameter_count(make("post")) - graph == post


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"head": "node", "graph": ActionGraphConfig(enabled=False)}, "head: the node head"),
        ({"head": "node", "graph": ActionGraphConfig(nodes="agents")}, "head: the node head"),
        ({"match_params": True}, "match_params: matching parameters only"),
        (
            {"recurrent": "pre", "graph": ActionGraphConfig(inputs="features")},
            "recurrent: a GRU before the graph reads observations",
        ),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        AGPAgentConfig(**settings)
