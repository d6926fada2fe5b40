from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import fake_sizes, normal, rng
from torch import Tensor
from torch.nn import functional

from config.load import load_config
from modules.action_graph.graph import ActionGraph, empty_context
from modules.action_graph.layer import ActionGraphConfig, GraphLayer
from modules.agents.base import AgentSizes
from modules.layers import parameter_count
from utils.errors import SettingsError
from utils.seeding import seeded_initialisation

R, N, A, F, D = 4, 3, 4, 5, 16
RAGGED = (4, 2, 3)
DYNAMIC = fake_sizes(action_counts=RAGGED)
STATIC = fake_sizes(action_counts=RAGGED, dynamic_avail=False)
LITERAL: dict[str, Any] = {"residual": False, "layernorm": "none", "project_values": False}
FORMS: list[dict[str, Any]] = [
    {},
    {"attention": "gat"},
    {"attention": "gatv2"},
    {"residual": False},
    {"layernorm": "none"},
    {"ffn": True},
    {"pool": "sum"},
    {"pool": "max"},
    {"layers": 1},
    {"layers": 0},
    {"edges": "rook"},
    {"edges": "axial"},
    {"edges": "axial", "ffn": True, "residual": False},
    {"encoder_dim": 3 * D},
    {"relation_bias": True},
    {"tied": True, "layers": 3},
    {"tied": True, "edges": "axial", "ffn": True},
    LITERAL,
]
Node = tuple[int, int]


def make(sizes: AgentSizes = DYNAMIC, keep_nodes: bool = False, **settings: Any) -> ActionGraph:
    config = ActionGraphConfig(**{"embed_dim": D, "heads": 2} | settings)
    with seeded_initialisation(0):
        graph = ActionGraph(config, sizes, F, keep_nodes)
    for name, p in graph.named_parameters():
        if name.endswith("attention.bias"):  # zero at first, which would hide mistakes
            p.data = normal(*p.shape, seed=2)
    return graph


def weigh(context: Tensor) -> Tensor:
    """A number that depends on all of the context; the sum of a normalised vector is constant."""
    return (context * normal(*context.shape, seed=1)).sum()


def name_of(form: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in form.items()) or "default"


def random_avail(sizes: AgentSizes = DYNAMIC) -> Tensor:
    real = torch.arange(A) < torch.tensor(sizes.action_counts).unsqueeze(1)
    avail = torch.rand(R, N, A, generator=rng(3)) < 0.6
    avail[..., 0] = True
    return (avail & real) if sizes.dynamic_avail else real.expand(R, N, A)


def attends(edges: str, p: Node, q: Node) -> bool:
    """Whether node p attends to node q."""
    same_agent, same_action = p[0] == q[0], p[1] == q[1]
    return {
        "full": True,
        "rook": same_agent or same_action,
        "within_agent": same_agent,
        "same_action": same_action,
    }[edges]


def heard(graph: ActionGraph, edges: str, avail: Tensor, p: Node, nodes: list[Node]) -> list[Node]:
    """The nodes that p attends to in one exchange; avail: [N, A] bool."""
    others = [q for q in nodes if q != p and avail[q] and attends(edges, p, q)]
    if graph.config.edges == "axial":
        return others or [p]
    return [p, *others]


def relation(p: Node, q: Node) -> int:
    """Index of the learnt bias: itself, same agent, same action, other."""
    return 0 if p == q else 1 if p[0] == q[0] else 2 if p[1] == q[1] else 3


def slow_rounds(graph: ActionGraph) -> list[tuple[GraphLayer, str]]:
    """Each exchange of messages and its edges."""
    layers = list(graph.layers) * (graph.config.layers if graph.config.tied else 1)
    if graph.config.edges != "axial":
        return [(layer, graph.config.edges) for layer in layers]
    return [
        round_
        for layer in layers
        for round_ in ((layer.own, "within_agent"), (layer.across, "same_action"))
    ]


def slow_context(graph: ActionGraph, x: Tensor, avail: Tensor, i: int) -> Tensor:
    """algorithms.md 6.2 for one row and agent, node by node, with pooling at the very end.

    x: [N, F], avail: [N, A] -> [d]
    """
    c, enc = graph.config, graph.encoder
    nodes = [(j, a) for j in range(N) for a in range(RAGGED[j])]
    z = {}
    for j, a in nodes:
        e = functional.relu(enc.from_input(x[j]) + enc.action_embedding.weight[a])
        z[j, a] = enc.project(functional.relu(enc.second(e)))
    width = D // c.heads
    for layer, edges in slow_rounds(graph):
        normed = {p: layer.norm(z[p]) for p in nodes}
        qkv = {p: layer.attention.project_in(normed[p]).split(D) for p in nodes}
        new = {}
        for p in nodes:
            keys = heard(graph, edges, avail, p, nodes)
            heads, plain = [], torch.zeros(D)
            for h in range(c.heads):
                part = slice(h * width, (h + 1) * width)
                scores = [qkv[p][0][part] @ qkv[q][1][part] / width**0.5 for q in keys]
                if c.relation_bias:
                    bias = layer.attention.bias[h]
                    scores = [s + bias[relation(p, q)] for s, q in zip(scores, keys, strict=True)]
                alpha = torch.stack(scores).softmax(dim=0)
                plain = plain + sum(w * normed[q] for w, q in zip(alpha, keys, strict=True))
                if c.project_values:
                    values = [qkv[q][2][part] for q in keys]
                    heads.append(sum(w * v for w, v in zip(alpha, values, strict=True)))
            if c.project_values:
                message = layer.attention.project_out(torch.cat(heads))
            else:
                message = plain / c.heads
            new[p] = z[p] + message if c.residual else message
            if layer.ffn is not None:
                new[p] = new[p] + layer.ffn(new[p])
        z = new
    pooled = [z[i, a] for a in range(RAGGED[i]) if avail[i, a]]
    if not pooled:
        return torch.zeros(D)
    if c.pool == "max":
        return graph.norm(torch.stack(pooled).amax(dim=0))
    return graph.norm(sum(pooled) / (len(pooled) if c.pool == "mean" else 1))


@pytest.mark.parametrize("sizes", [DYNAMIC, STATIC], ids=["dynamic", "static"])
@pytest.mark.parametrize("form", [f for f in FORMS if "attention" not in f], ids=name_of)
def test_equals_the_slow_reference(form: dict[str, Any], sizes: AgentSizes) -> None:
    graph = make(sizes, **form)
    x, avail = normal(R, N, F), random_avail(sizes)
    if sizes.dynamic_avail:
        avail[0, 1] = False  # an agent without any action
    out = graph(x, avail)
    assert out.context.shape == (R, N, D)
    assert out.nodes is out.attention is None
    for r, i in product(range(2), range(N)):
        slow = slow_context(graph, x[r], avail[r], i)
        torch.testing.assert_close(out.context[r, i], slow, atol=1e-5, rtol=1e-4)


def test_preset_agp_literal_is_equation_14() -> None:
    settings = load_config("agp_literal", "topk", []).agent_args.graph
    assert settings == ActionGraphConfig(**LITERAL)
    graph, x = make(STATIC, **LITERAL), normal(R, N, F)
    z = graph.encoder(x, None)
    for layer in graph.layers:
        alpha = layer.attention.weights(z, None)
        new = torch.zeros_like(z)
        for h, p, q in product(range(2), range(9), range(9)):
            new[:, p] += alpha[:, h, p, q].unsqueeze(1) * z[:, q] / 2
        z = new
    context = graph(x, random_avail(STATIC)).context
    start = 0
    for i, count in enumerate(RAGGED):
        torch.testing.assert_close(context[:, i], z[:, start : start + count].mean(dim=1))
        start += count


@pytest.mark.parametrize("sizes", [DYNAMIC, STATIC], ids=["dynamic", "static"])
@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_pooling_before_the_output_projection_is_the_same_function(
    form: dict[str, Any], sizes: AgentSizes
) -> None:
    early, late = make(sizes, **form), make(sizes, **form)
    late.pool_early = False
    plain = not form.get("ffn") and form.get("edges") != "axial"
    if form.get("pool", "mean") == "mean" and plain and form.get("layers", 2):
        assert early.pool_early
    x, avail = normal(R, N, F), random_avail(sizes)
    if sizes.dynamic_avail:
        avail[0, 1] = False
        avail[1] = False
    a, b = early(x, avail).context, late(x, avail).context
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    weight = normal(R, N, D, seed=1)
    for graph, out in ((early, a), (late, b)):
        (out * weight).sum().backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in graph.parameters())
    for p, q in zip(early.parameters(), late.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None)
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_compact_equals_padded(form: dict[str, Any]) -> None:
    for sizes in (DYNAMIC, STATIC):
        for keep_nodes in (False, True):
            compact = make(sizes, keep_nodes, **form)
            padded = make(sizes, keep_nodes, compact=False, **form)
            padded.load_state_dict(compact.state_dict())
            assert padded.layout.n_nodes > compact.layout.n_nodes
            x, avail = normal(R, N, F), random_avail(sizes)
            a, b = compact(x, avail), padded(x, avail)
            torch.testing.assert_close(a.context, b.context, atol=1e-6, rtol=1e-5)
            if keep_nodes:
                torch.testing.assert_close(a.nodes[avail], b.nodes[avail], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_unavailable_nodes_have_no_influence(form: dict[str, Any]) -> None:
    sizes = replace(DYNAMIC, action_feature_dim=2)
    graph = make(sizes, keep_nodes=True, **form)
    avail, features = random_avail(), normal(R, N, A, 2, seed=2).requires_grad_()
    out = graph(normal(R, N, F), avail, features)
    (gradient,) = torch.autograd.grad(
        out.nodes[avail].square().sum() + out.context.square().sum(), features
    )
    assert (gradient[~avail] == 0).all()
    assert gradient[avail].abs().sum() > 0


@pytest.mark.parametrize("edges", ["axial", "full"])
def test_described_nodes_are_seen_whether_available_or_not(edges: str) -> None:
    sizes = fake_sizes(action_counts=(A,) * N, action_feature_dim=2)
    graph = make(sizes, keep_nodes=True, inputs="features", edges=edges)
    described = torch.rand(R, N, A, generator=rng(5)) < 0.7
    described[..., 0] = True
    features = torch.where(described.unsqueeze(3), normal(R, N, A, 2, seed=2), 0.0)
    features.requires_grad_()
    nothing = torch.zeros(R, N, A, dtype=torch.bool)
    out, other = (graph(normal(R, N, 0), avail, features) for avail in (nothing, described))
    assert torch.equal(out.context, other.context)
    (gradient,) = torch.autograd.grad(
        out.nodes[described].square().sum() + weigh(out.context), features
    )
    assert (gradient[~described] == 0).all()
    assert (gradient[described].abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("edges", ["within_agent", "self"])
def test_own_edges_read_no_other_agents_input(edges: str) -> None:
    x = normal(R, N, F).requires_grad_()
    context = make(edges=edges)(x, random_avail()).context
    for i in range(N):
        (gradient,) = torch.autograd.grad(weigh(context[:, i]), x, retain_graph=True)
        seen = gradient.abs().sum(dim=(0, 2))
        assert seen[i] > 0
        assert (seen[torch.arange(N) != i] == 0).all()  # exactly


@pytest.mark.parametrize("edges", ["full", "cross_agent", "same_action", "rook"])
def test_other_edges_read_every_agents_input(edges: str) -> None:
    x = normal(R, N, F).requires_grad_()
    context = make(edges=edges)(x, random_avail()).context
    for i in range(N):
        (gradient,) = torch.autograd.grad(weigh(context[:, i]), x, retain_graph=True)
        assert (gradient.abs().sum(dim=(0, 2)) > 1e-6).all()


@pytest.mark.parametrize(
    ("nodes", "form"),
    [
        pytest.param(nodes, form, id=f"{nodes}, {name_of(form)}")
        for nodes, form in product(("actions", "agents"), FORMS)
        if nodes == "actions" or form.get("edges") != "axial"
    ],
)
def test_finite_where_nothing_is_available(nodes: str, form: dict[str, Any]) -> None:
    graph = make(nodes=nodes, **form)
    avail = random_avail()
    avail[0] = False
    avail[1, 2] = False
    x = normal(R, N, F).requires_grad_()
    out = graph(x, avail, return_attention=True)
    assert (out.context[0] == 0).all()
    assert (out.context[1, 2] == 0).all()
    assert (out.context[1:, 0].abs().sum(dim=1) > 0).all()
    assert all(torch.isfinite(w).all() for w in out.attention)
    weigh(out.context).backward()
    assert torch.isfinite(x.grad).all()
    for p in graph.parameters():
        assert p.grad is None or torch.isfinite(p.grad).all()


@pytest.mark.parametrize("nodes", ["actions", "agents"])
@pytest.mark.parametrize("dynamic_avail", [True, False])
def test_inactive_agents_have_no_influence(nodes: str, dynamic_avail: bool) -> None:
    sizes = replace(DYNAMIC, varying_team=True, dynamic_avail=dynamic_avail)
    graph, x = make(sizes, nodes=nodes), normal(R, N, F).requires_grad_()
    is_active = torch.tensor([[True, False, True]]).expand(R, N)
    context = graph(x, random_avail(sizes), None, is_active).context
    assert (context[:, 1] == 0).all()
    (gradient,) = torch.autograd.grad(weigh(context), x)
    assert (gradient[:, 1] == 0).all()
    assert (gradient[:, [0, 2]].abs().sum(dim=2) > 0).all()


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_permuting_agents_permutes_contexts(form: dict[str, Any]) -> None:
    sizes, order = fake_sizes(), torch.tensor([2, 0, 1])
    graph, x, avail = make(sizes, **form), normal(R, N, F), random_avail(sizes)
    out = graph(x, avail).context[:, order]
    permuted = graph(x[:, order], avail[:, order]).context
    torch.testing.assert_close(permuted, out, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("attention", ["dot", "gat", "gatv2"])
@pytest.mark.parametrize("edges", ["full", "within_agent", "same_action", "axial"])
def test_attention_is_normalised_over_allowed_edges(edges: str, attention: str) -> None:
    graph, avail = make(edges=edges, attention=attention), random_avail()
    plain = graph(normal(R, N, F), avail)
    out = graph(normal(R, N, F), avail, return_attention=True)
    torch.testing.assert_close(out.context, plain.context)
    exchanges = [e for _, e in slow_rounds(graph)]
    assert [w.shape for w in out.attention] == [(R, 2, 9, 9)] * len(exchanges)
    assert len(exchanges) == graph.n_exchanges
    nodes = list(zip(graph.layout.agent, graph.layout.action, strict=True))
    for w, of_round in zip(out.attention, exchanges, strict=True):
        torch.testing.assert_close(w.sum(dim=3), torch.ones(R, 2, 9))
        for r, p in product(range(R), range(9)):
            allowed = heard(graph, of_round, avail[r], nodes[p], nodes)
            assert [q in allowed for q in nodes] == (w[r, :, p] > 0).all(dim=0).tolist()


def test_static_availability_is_never_looked_at() -> None:
    graph, x = make(STATIC), normal(R, N, F)
    assert graph.always_available
    assert not make(DYNAMIC).always_available
    assert not make(replace(STATIC, varying_team=True)).always_available
    assert not make(STATIC, compact=False).always_available
    dynamic = make(DYNAMIC)
    dynamic.load_state_dict(graph.state_dict())
    a, b = graph(x, random_avail(STATIC)), dynamic(x, random_avail(STATIC))
    torch.testing.assert_close(a.context, b.context)


def test_nodes_are_returned_where_the_head_needs_them() -> None:
    graph = make(STATIC, keep_nodes=True)
    out = graph(normal(R, N, F), random_avail(STATIC))
    assert out.nodes.shape == (R, N, A, D)
    real = random_avail(STATIC)
    assert (out.nodes[~real] == 0).all()
    graph.norm = torch.nn.Identity()
    out = graph(normal(R, N, F), random_avail(STATIC))
    means = out.nodes.sum(dim=2) / torch.tensor(RAGGED).view(1, N, 1)
    torch.testing.assert_close(out.context, means)


@pytest.mark.parametrize("form", [f for f in FORMS if f.get("layers", 2)], ids=name_of)
def test_gradient_reaches_every_parameter(form: dict[str, Any]) -> None:
    graph = make(replace(DYNAMIC, action_feature_dim=2), **form)
    out = graph(normal(R, N, F), random_avail(), normal(R, N, A, 2, seed=2))
    weigh(out.context).backward()
    for name, p in graph.named_parameters():
        assert p.grad.abs().sum() > 0, name


def test_a_wide_first_layer_of_the_encoder_keeps_the_size_of_nodes() -> None:
    narrow, wide = make(), make(encoder_dim=3 * D)
    added = (F + 1) * 2 * D + A * 2 * D + 2 * D * D
    assert parameter_count(wide) == parameter_count(narrow) + added
    assert wide(normal(R, N, F), random_avail()).context.shape == (R, N, D)


def test_tied_rounds_have_the_weights_of_one() -> None:
    counts = {
        n: parameter_count(make(tied=True, edges="axial", ffn=True, layers=n)) for n in (1, 2, 8)
    }
    assert len(set(counts.values())) == 1
    few, many = make(tied=True, layers=2), make(tied=True, layers=3)
    many.load_state_dict(few.state_dict())
    x, avail = normal(R, N, F), random_avail()
    assert not torch.allclose(few(x, avail).context, many(x, avail).context)


def test_parameter_counts() -> None:
    encoder = (F * D + D) + A * D + 2 * (D * D + D)
    attention = (D * 3 * D + 3 * D) + (D * D + D)
    assert parameter_count(make()) == encoder + 2 * (2 * D + attention) + 2 * D
    assert parameter_count(make(**LITERAL)) == encoder + 2 * (D * 2 * D + 2 * D)
    assert parameter_count(make(nodes="agents")) == parameter_count(make()) - A * D
    assert parameter_count(make(compact=False)) == parameter_count(make())
    ffn = 2 * D + (D * 2 * D + 2 * D) + (2 * D * D + D)
    assert parameter_count(make(ffn=True)) == parameter_count(make()) + 2 * ffn


def test_constant_tensors_are_not_in_checkpoints() -> None:
    names = make(edges="rook").state_dict()
    assert not [name for name in names if "edges" in name or "flat" in name]


def test_empty_context() -> None:
    assert torch.equal(empty_context(normal(R, N, 3), D), torch.zeros(R, N, D))
    assert empty_context(normal(R, N, 20), D).shape == (R, N, D)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"embed_dim": 6, "heads": 4}, "heads: 4 heads do not divide embed_dim=6"),
        ({"embed_dim": 0, "heads": 1}, "embed_dim: 0 must be at least 1"),
        ({"layers": -1}, "layers: -1 must not be negative"),
        ({"heads": 0}, "heads: 0 must be at least 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, int], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        ActionGraphConfig(**settings)  # type: ignore[arg-type]
