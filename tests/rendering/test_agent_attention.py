"""From nodes to agents, by hand."""

import torch

from modules.action_graph.nodes import NodeLayout, NodeMap
from rendering.agent_attention import between_agents


def test_mean_over_available_nodes_and_sum_over_all() -> None:
    layout = NodeLayout(2, 2, agent=(0, 0, 1), action=(0, 1, 0), action_type=(0, 1, 0))
    heads = torch.tensor(
        [
            [[1.0, 0.0, 0.0], [0.0, 0.4, 0.6], [0.2, 0.2, 0.6]],
            [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]],
        ]
    )
    weights = heads.view(1, 1, 2, 3, 3)
    avail = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    counts = NodeMap(layout).over_time
    wanted = torch.tensor([[0.35, 0.65], [0.7, 0.3]])  # (0.5, 0.5), (0.2, 0.8): mean; row 3
    assert torch.allclose(between_agents(weights, layout, counts(avail, None))[0, 0], wanted)
    avail[0, 0, 0, 1] = False
    shown = between_agents(weights, layout, counts(avail, None))
    assert torch.allclose(shown[0, 0, 0], torch.tensor([0.5, 0.5]))
    absent = torch.tensor([[[True, False]]])
    rows = between_agents(weights, layout, counts(avail, absent))[0, 0].sum(dim=1)
    assert torch.allclose(rows, torch.tensor([1.0, 0.0]))


def test_one_node_for_each_agent() -> None:
    layout = NodeLayout(2, 1, agent=(0, 1), action=(0, 0), action_type=(0, 0))
    weights = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    avail = torch.tensor([[False, True], [True, True]]).view(1, 1, 2, 2)
    counts = NodeMap(layout).over_time(avail, None)
    shown = between_agents(weights.view(1, 1, 1, 2, 2), layout, counts)
    assert torch.allclose(shown[0, 0], weights)
