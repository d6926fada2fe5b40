"""Actions made of choices: nodes, availability and heads that sum, against loops over factors."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import CPU, fake_inputs, fake_sizes, normal

from components.spaces import ActionSpace, Discrete, Factor, Factored, combinations
from envs.base import make_env
from modules.action_graph.graph import ActionGraph
from modules.action_graph.layer import ActionGraphConfig
from modules.action_graph.nodes import NodeLayout, NodeMap
from modules.agents.agp_agent import AGPAgent, AGPAgentConfig
from modules.agents.base import AgentInputs, AgentSizes
from modules.agents.rnn_agent import RNNAgent, RNNAgentConfig
from modules.choices import Choices, SumOfChoices
from utils.errors import SettingsError, UserError
from utils.registry import ENVS
from utils.seeding import seeded_initialisation

MOVE = Factor("move", 3, ("stay", "left", "right"))
SPACES: tuple[ActionSpace, ...] = (
    Factored((Factor("symbol", 2), MOVE)),
    Discrete(3, "move"),
    Discrete(2, "symbol"),
)
SIZES = fake_sizes(n_actions=6, action_counts=(6, 3, 2), spaces=SPACES)


def particles(scenario: str) -> AgentSizes:
    component = ENVS.get("mpe")
    info = make_env("mpe", component.config(scenario=scenario), 1, CPU, 0, "env").info
    return replace(
        SIZES,
        n_agents=info.n_agents,
        n_actions=info.n_actions,
        action_counts=info.action_counts,
        spaces=info.spaces,
    )


def test_combinations_count_the_last_factor_fastest() -> None:
    assert combinations(Factored((Factor("a", 2), Factor("b", 3)))) == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)
    ]  # fmt: skip
    assert combinations(Discrete(2)) == [(0,), (1,)]


def test_choices_are_named_and_typed_by_factor() -> None:
    choices = Choices.of(SPACES, "nodes=factors")
    assert choices.names == (
        ("symbol 0", "symbol 1", "stay", "left", "right"),
        ("move 0", "move 1", "move 2"),
        ("symbol 0", "symbol 1"),
    )
    assert choices.types == ((0, 1, 2, 3, 4), (2, 3, 4), (0, 1))


@pytest.mark.parametrize("rank", [0, 2])
def test_the_sum_equals_a_loop_over_factors(rank: int) -> None:
    numbers = normal(4, 3, 5, 1 + rank)  # [B, N, C, 1 + rank]
    out = SumOfChoices(Choices.of(SPACES, "nodes=factors"))(numbers)
    assert out.shape == (4, 3, 6)
    for agent, space in enumerate(SPACES):
        assert isinstance(space, Discrete | Factored)
        starts = [sum(f.n for f in space.factors[:k]) for k in range(len(space.factors))]
        for action, made in enumerate(combinations(space)):
            rows = [numbers[:, agent, start + c] for start, c in zip(starts, made, strict=True)]
            wanted = sum(row[:, 0] for row in rows)
            if len(rows) == 2:
                wanted = wanted + (rows[0][:, 1:] * rows[1][:, 1:]).sum(dim=1)
            torch.testing.assert_close(out[:, agent, action], wanted)
        assert not out[:, agent, space.size :].any()


@pytest.mark.parametrize(
    ("scenario", "nodes", "products"), [("reference", 30, 100), ("world_comm", 34, 45)]
)
def test_particle_tasks_have_a_node_per_choice(scenario: str, nodes: int, products: int) -> None:
    sizes = particles(scenario)
    assert NodeLayout.build(sizes, "factors").n_nodes == nodes
    assert NodeLayout.build(sizes, "actions").n_nodes == products


def nodes_of(sizes: AgentSizes, **settings: Any) -> int:
    config = ActionGraphConfig(embed_dim=8, heads=2, **settings)
    return ActionGraph(config, sizes, sizes.input_dim, keep_nodes=False).layout.n_nodes


def test_a_node_per_choice_is_what_actions_of_several_choices_get() -> None:
    sizes = particles("reference")
    assert nodes_of(sizes) == 30
    assert nodes_of(sizes, nodes="actions") == nodes_of(sizes, edges="axial") == 100
    assert nodes_of(replace(sizes, action_feature_dim=2)) == 100
    assert nodes_of(particles("tag")) == 20


def test_equal_moves_have_equal_types_for_all_agents() -> None:
    layout = NodeLayout.build(particles("world_comm"), "factors")
    assert layout.choices is not None
    leader, other = layout.choices.types[:2]
    assert leader[4:] == other
    assert layout.choices.names[0] == (
        *(f"say {k}" for k in range(4)), "stay", "left", "right", "down", "up"
    )  # fmt: skip


def test_a_choice_counts_if_an_available_action_makes_it() -> None:
    node_map = NodeMap(NodeLayout.build(SIZES, "factors"))
    avail = torch.zeros(1, 3, 6, dtype=torch.bool)
    avail[0, 0, [1, 2]] = True  # symbol 0 with left or right
    avail[0, 1, 0] = avail[0, 2, 1] = True
    counts = node_map.available(avail, None)
    assert counts[0].int().tolist() == [1, 0, 0, 1, 1, 1, 0, 0, 0, 1]
    absent = node_map.available(avail, torch.tensor([[False, True, True]]))
    assert absent[0].int().tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def agent(head: str, use_rnn: bool, **settings: Any) -> torch.nn.Module:
    graph = ActionGraphConfig(embed_dim=8, heads=2, nodes="factors")
    sizes = replace(SIZES, use_rnn=use_rnn)
    with seeded_initialisation(0):
        if head == "baseline":
            return RNNAgent(RNNAgentConfig(head="additive", **settings), sizes)
        return AGPAgent(AGPAgentConfig(head=head, graph=graph, **settings), sizes)  # type: ignore[arg-type]


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("vector", {}),
    ("additive", {}),
    ("additive", {"pair_rank": 3}),
    ("node", {}),
    ("baseline", {}),
    ("baseline", {"pair_rank": 2, "share_parameters": False}),
]


@pytest.mark.parametrize(("head", "settings"), FORMS)
@pytest.mark.parametrize("use_rnn", [True, False])
def test_sequence_equals_single_steps_and_every_weight_learns(
    head: str, settings: dict[str, Any], use_rnn: bool
) -> None:
    network, inputs = agent(head, use_rnn, **settings), fake_inputs(SIZES, b=4, length=3)
    whole, _ = network(inputs, None)
    assert whole.shape == (4, 3, 3, 6)
    hidden = None
    for t in range(3):
        step = AgentInputs(inputs.x[:, t : t + 1], inputs.avail[:, t : t + 1])
        out, hidden = network(step, hidden)
        torch.testing.assert_close(out, whole[:, t : t + 1], atol=1e-5, rtol=0)
    whole.square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None
        assert p.grad.abs().sum() > 0, name


def test_without_graph_the_head_is_widened_to_as_many_weights() -> None:
    def count(enabled: bool) -> int:
        graph = ActionGraphConfig(embed_dim=8, heads=2, enabled=enabled)
        config = AGPAgentConfig(head="additive", pair_rank=1, match_params=not enabled, graph=graph)
        return sum(p.numel() for p in AGPAgent(config, SIZES).parameters())

    assert count(enabled=False) == pytest.approx(count(enabled=True), rel=0.03)


def test_tasks_without_factors_are_errors() -> None:
    sizes = fake_sizes()
    with pytest.raises(UserError, match=r"head=additive needs actions .* several choices"):
        RNNAgent(RNNAgentConfig(head="additive"), sizes)
    with pytest.raises(UserError, match=r"nodes=factors needs actions"):
        NodeLayout.build(sizes, "factors")
    described = replace(SIZES, action_feature_dim=2)
    with pytest.raises(UserError, match="nodes=factors has no place for action features"):
        AGPAgent(AGPAgentConfig(graph=ActionGraphConfig(nodes="factors")), described)


def test_a_pairwise_term_without_sum_is_an_error() -> None:
    with pytest.raises(SettingsError, match="pair_rank"):
        RNNAgentConfig(pair_rank=2)
    with pytest.raises(SettingsError, match="pair_rank"):
        AGPAgentConfig(pair_rank=2)
