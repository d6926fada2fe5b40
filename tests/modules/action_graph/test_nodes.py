import math

import pytest
import torch
from tests.helpers.fake_envs import fake_sizes, normal

from components.spaces import Box
from modules.action_graph.graph import ActionGraph
from modules.action_graph.layer import ActionGraphConfig
from modules.action_graph.nodes import (
    NodeEncoder,
    NodeKind,
    NodeLayout,
    NodeMap,
    bound_features,
)
from modules.agents.base import AgentSizes
from utils.seeding import seeded_initialisation

RAGGED = (4, 2, 3)
SIZES = fake_sizes(action_counts=RAGGED, action_feature_dim=2)
N, A, D = 3, 4, 8


def test_compact_layout_leaves_out_what_can_never_be_taken() -> None:
    layout = NodeLayout.build(SIZES)
    assert layout.agent == (0, 0, 0, 0, 1, 1, 2, 2, 2)
    assert layout.action == layout.action_type == (0, 1, 2, 3, 0, 1, 0, 1, 2)
    assert (layout.n_nodes, layout.is_dense) == (9, False)


def test_padded_layout_has_every_pair() -> None:
    layout = NodeLayout.build(SIZES, compact=False)
    assert layout.agent == (0,) * 4 + (1,) * 4 + (2,) * 4
    assert layout.action == (0, 1, 2, 3) * 3
    assert (layout.n_nodes, layout.is_dense) == (12, True)
    assert NodeLayout.build(fake_sizes()) == NodeLayout.build(fake_sizes(), compact=False)


def test_one_node_per_agent() -> None:
    layout = NodeLayout.build(SIZES, "agents")
    assert (layout.agent, layout.action, layout.slots) == ((0, 1, 2), (0, 0, 0), 1)
    assert layout.is_dense


def test_action_types() -> None:
    types = ((7, 8, 9, 5), (8, 7, 0, 0), (5, 5, 7, 0))
    layout = NodeLayout.build(fake_sizes(action_counts=RAGGED, action_types=types))
    assert layout.action_type == (7, 8, 9, 5, 8, 7, 5, 5, 7)


@pytest.mark.parametrize("compact", [True, False])
def test_gather_and_scatter(compact: bool) -> None:
    layout = NodeLayout.build(SIZES, compact=compact)
    node_map, x = NodeMap(layout), normal(2, N, A, D)
    nodes = node_map.gather(x)
    assert nodes.shape == (2, layout.n_nodes, D)
    for p, (i, a) in enumerate(zip(layout.agent, layout.action, strict=True)):
        assert torch.equal(nodes[:, p], x[:, i, a])
    back = node_map.scatter(nodes)
    for i in range(N):
        for a in range(A):
            has_node = not compact or a < RAGGED[i]
            assert torch.equal(back[:, i, a], x[:, i, a] * has_node)


def test_scatter_keeps_booleans() -> None:
    back = NodeMap(NodeLayout.build(SIZES)).scatter(torch.ones(1, 9, 1, dtype=torch.bool))
    assert back.dtype == torch.bool
    assert back.squeeze(3).sum(dim=2).tolist() == [list(RAGGED)]


def make_encoder(
    kind: NodeKind = "actions", feature_dim: int = 2, compact: bool = True, encoder_dim: int = D
) -> NodeEncoder:
    with seeded_initialisation(0):
        layout = NodeLayout.build(SIZES, kind, compact)
        return NodeEncoder(NodeMap(layout), 5, feature_dim, D, encoder_dim)


@pytest.mark.parametrize("feature_dim", [0, 2])
@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("encoder_dim", [D, 3 * D])
def test_encoder_is_an_mlp_on_input_action_and_features(
    feature_dim: int, compact: bool, encoder_dim: int
) -> None:
    encoder = make_encoder(feature_dim=feature_dim, compact=compact, encoder_dim=encoder_dim)
    x, features = normal(2, N, 5), normal(2, N, A, 2, seed=1) if feature_dim else None
    z = encoder(x, features)
    layout = encoder.node_map.layout
    columns = [encoder.from_input.weight, encoder.action_embedding.weight.T]
    if encoder.from_features is not None:
        columns.append(encoder.from_features.weight)
    first = torch.cat(columns, dim=1)  # the first layer on concat(x_i, onehot(a), f_(i,a))
    for p, (i, a) in enumerate(zip(layout.agent, layout.action, strict=True)):
        parts = [x[1, i], torch.eye(A)[a]]
        if features is not None:
            parts.append(features[1, i, a])
        e = (first @ torch.cat(parts) + encoder.from_input.bias).clamp(min=0)
        n = (encoder.second.weight @ e + encoder.second.bias).clamp(min=0)
        torch.testing.assert_close(z[1, p], encoder.project.weight @ n + encoder.project.bias)


def test_agent_nodes_read_neither_actions_nor_their_features() -> None:
    encoder = make_encoder("agents")
    assert encoder.action_embedding is encoder.from_features is None
    x = normal(2, N, 5)
    z = encoder(x, normal(2, N, A, 2, seed=1))
    assert z.shape == (2, N, D)
    assert torch.equal(z, encoder(x, None))


def test_initial_size_of_the_action_embedding() -> None:
    weight = make_encoder().action_embedding.weight
    assert weight.shape == (A, D)
    assert 0.3 < weight.abs().max() <= A**-0.5


def sizes_of(*boxes: Box) -> AgentSizes:
    counts = tuple(box.size for box in boxes)
    n, a = len(boxes), max(counts)
    return fake_sizes(n_agents=n, n_actions=a, action_counts=counts, spaces=boxes)


def test_bounds_that_agents_share_make_no_features() -> None:
    speaker, mover = Box((0.0,) * 3, (1.0,) * 3), Box((0.0,) * 5, (1.0,) * 5)
    assert bound_features(sizes_of(speaker, mover)) is None
    assert bound_features(sizes_of(Box((0.0, -2.0), (1.0, 2.0)), Box((0.0,), (1.0,)))) is None
    assert bound_features(SIZES) is None


def test_features_of_bounds_that_differ() -> None:
    sizes = sizes_of(Box((0.0, -3.0), (1.0, 7.0)), Box((-1.0,), (1.0,)))
    bounds = bound_features(sizes)
    assert bounds is not None
    expected = [[[0, 1], [-2, 3]], [[-1, 1], [0, 0]]]  # log2(1 + |x|) with the sign of x
    torch.testing.assert_close(bounds / math.log(2), torch.tensor(expected, dtype=torch.float32))


def test_agents_that_see_the_same_differ_by_their_bounds() -> None:
    sizes = sizes_of(Box((0.0,), (1.0,)), Box((0.0,), (5.0,)), Box((0.0,), (1.0,)))
    graph = ActionGraph(ActionGraphConfig(embed_dim=8, heads=2), sizes, 4, keep_nodes=False)
    x = normal(2, 1, 4).expand(2, 3, 4)
    context = graph(x, torch.ones(2, 3, 1, dtype=torch.bool)).context
    torch.testing.assert_close(context[:, 0], context[:, 2])
    assert not torch.allclose(context[:, 0], context[:, 1])
