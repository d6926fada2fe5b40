import pytest
import torch
from tests.helpers.fake_envs import RICH, fake_batch, fake_info, make_controller
from torch.nn import functional

from controllers.dcg_controller import DCGController, DCGControllerConfig
from envs.base import EnvInfo
from modules.agents.rnn_agent import RNNAgentConfig
from modules.coordination_graph.inference import Enumeration, MaxSum
from utils.errors import SettingsError, UserError

INFO = fake_info(**RICH)


def make(info: EnvInfo = INFO, **settings: object) -> DCGController:
    agent = RNNAgentConfig()
    made = make_controller(info, "rnn_agent", agent, "dcg_controller", **settings)
    assert isinstance(made, DCGController)
    return made


@pytest.mark.parametrize("inference", ["maxsum", "exact"])
def test_outputs_mark_the_greedy_joint_action(inference: str) -> None:
    controller, batch = make(inference=inference), fake_batch(INFO)
    outputs = controller.outputs(batch, 7)
    best = controller.greedy(controller.factors(batch, 7), batch.avail)
    assert torch.equal(outputs, functional.one_hot(best, 4).float())
    assert (batch.avail & (outputs > 0)).any(dim=3).all()


def test_two_agents_find_what_neither_prefers_alone() -> None:
    """Utilities favour (0, 0), one pay-off outweighs them."""
    info = fake_info(n_agents=2, n_actions=2)
    controller = make(info)
    graph = controller.agent
    with torch.no_grad():
        for p in graph.parameters():
            p.zero_()
        graph.agent.last.bias.copy_(torch.tensor([1.0, 0.0]))  # f_i = (1, 0)
        graph.payoffs.first.bias.copy_(torch.tensor([0.0, 0, 0, 5]))  # f_12(1, 1) = 5
    batch = fake_batch(info)
    batch.avail[:] = True
    assert controller.outputs(batch, 7).argmax(dim=3).eq(1).all()
    batch.avail[:, :, 1, 1] = False
    assert controller.outputs(batch, 7).argmax(dim=3).eq(0).all()


def test_messages_stop_where_they_can_change_nothing() -> None:
    def iterations(**settings: object) -> int:
        greedy = make(**settings).greedy
        assert isinstance(greedy, MaxSum)
        return greedy.iterations

    assert iterations(edges="line") == 2
    assert iterations(edges="line", msg_iterations=1) == 1
    assert iterations(edges="line", msg_damping=0.5) == 8
    assert iterations(edges="full") == 8


def test_dueling_reads_the_state_in_training_only() -> None:
    batch = fake_batch(INFO)
    plain, dueling = make(), make(dueling=True)
    assert plain.factors(batch, 7).bias is None
    bias = dueling.factors(batch, 7).bias
    torch.testing.assert_close(bias, dueling.agent.state_value(batch.state))
    before = dueling.outputs(batch, 7)
    batch.own_state += 100.0
    assert torch.equal(dueling.outputs(batch, 7), before)


def test_random_edges_follow_the_seed() -> None:
    info = fake_info(n_agents=6)

    def edges(seed: int) -> list[list[int]]:
        agent = ("rnn_agent", RNNAgentConfig())
        made = make_controller(info, *agent, "dcg_controller", seed=seed, edges=4)
        return made.agent.payoffs.edges.tolist()  # type: ignore[union-attr]

    assert edges(1) == edges(1)
    assert edges(1) != edges(2)


FORMS = [{"payoff_rank": 2}, {"payoff_hidden_dim": 8}, {"edges": "vdn"}]


@pytest.mark.parametrize("settings", FORMS)
def test_other_forms_act_as_they_are_trained(settings: dict[str, object]) -> None:
    controller, batch = make(**settings), fake_batch(INFO)
    whole = controller.outputs(batch, 7)
    assert torch.equal(controller.outputs(batch, 3), whole[:, :3])


def test_what_cannot_be() -> None:
    with pytest.raises(UserError, match="exact inference would look at 8,192"):
        make(fake_info(n_agents=13, n_actions=2), inference="exact")
    with pytest.raises(UserError, match="9 random edges, but 3 agents make only 3 pairs"):
        make(edges=9)
    assert isinstance(make(inference="exact").greedy, Enumeration)
    for wrong in ({"msg_damping": 1.0}, {"payoff_rank": -1}, {"dueling_hidden_dim": 0}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            DCGControllerConfig(**wrong)  # type: ignore[arg-type]
