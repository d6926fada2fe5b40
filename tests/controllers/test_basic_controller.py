from itertools import product
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import RICH, fake_batch, fake_info, make_controller

from components.episode_batch import EpisodeBatch
from components.settings import AgentSettings
from controllers.basic_controller import BasicController
from envs.base import EnvStep
from modules.agents.agp_agent import AGPAgentConfig
from modules.agents.rnn_agent import RNNAgentConfig
from utils.errors import UserError

N, A = 3, 4
INFO = fake_info(**RICH)
OPTIONS = list(product([False, True], [False, True], ["own", "joint"]))


def make(
    obs_agent_id: bool = False,
    obs_last_action: bool = False,
    obs_mode: str = "own",
    agent: tuple[str, Any] = ("rnn_agent", RNNAgentConfig()),
    seed: int = 1,
    use_rnn: bool = True,
) -> BasicController:
    shared = AgentSettings(obs_agent_id, obs_last_action, 8, use_rnn)
    return make_controller(INFO, *agent, shared=shared, seed=seed, obs_mode=obs_mode)


def step_of(batch: EpisodeBatch, t: int) -> EnvStep:
    none = torch.zeros(batch.n_episodes)
    return EnvStep(
        batch.obs[:, t],
        batch.state[:, t],
        batch.avail[:, t],
        none,
        none.bool(),
        none.bool(),
        {},
        None if batch.action_features is None else batch.action_features[:, t],
        None if batch.is_active is None else batch.is_active[:, t],
    )


@pytest.mark.parametrize(("ids", "last_action", "mode"), OPTIONS)
def test_layout_of_the_input(ids: bool, last_action: bool, mode: str) -> None:
    batch = fake_batch(INFO)
    inputs = make(ids, last_action, mode).agent_inputs(batch, 7)
    for b, t, i in product(range(4), range(7), range(N)):
        seen = [i] + [j for j in range(N) if j != i] if mode == "joint" else [i]
        there = batch.is_active[b, t] if mode == "joint" else torch.ones(N)
        expected = [x for j in seen for x in (batch.obs[b, t, j] * there[j]).tolist()]
        if last_action:
            one_hot = [0.0] * A
            if t > 0:
                one_hot[int(batch.actions[b, t - 1, i])] = 1.0
            expected += one_hot
        if ids:
            expected += [float(i == j) for j in range(N)]
        assert inputs.x[b, t, i].tolist() == pytest.approx(expected), (b, t, i)


def test_everything_else_is_passed_on() -> None:
    batch = fake_batch(INFO)
    inputs = make().agent_inputs(batch, 4)
    assert inputs.x.shape[1] == 4
    for name in ("avail", "action_features", "is_active"):
        assert torch.equal(getattr(inputs, name), getattr(batch, name)[:, :4]), name
    plain = make_controller(fake_info(), "rnn_agent", RNNAgentConfig())
    inputs = plain.agent_inputs(fake_batch(fake_info()), 4)
    assert inputs.action_features is inputs.is_active is None


@pytest.mark.parametrize(
    ("agent", "use_rnn"),
    [
        (("rnn_agent", RNNAgentConfig()), True),
        (("rnn_agent", RNNAgentConfig()), False),
        (("agp_agent", AGPAgentConfig(recurrent="pre")), True),
    ],
    ids=["rnn", "feed-forward", "agp"],
)
@pytest.mark.parametrize(("ids", "last_action", "mode"), OPTIONS)
def test_whole_episodes_equal_acting_step_by_step(
    ids: bool, last_action: bool, mode: str, agent: tuple[str, Any], use_rnn: bool
) -> None:
    controller = make(ids, last_action, mode, agent, use_rnn=use_rnn)
    batch = fake_batch(INFO)
    whole = controller.outputs(batch, 7)
    assert whole.shape == (4, 7, N, A)
    hidden = None
    for t in range(7):
        last = batch.actions[:, t - 1] if t else None
        outputs, hidden = controller.act(step_of(batch, t), last, None, hidden)
        torch.testing.assert_close(outputs, whole[:, t], atol=1e-5, rtol=0)


@pytest.mark.parametrize("last_action", [False, True])
def test_fewer_steps_are_a_prefix(last_action: bool) -> None:
    controller, batch = make(obs_last_action=last_action), fake_batch(INFO)
    whole = controller.outputs(batch, 7)
    for n_steps in (1, 3):
        torch.testing.assert_close(controller.outputs(batch, n_steps), whole[:, :n_steps])


def test_another_network_of_the_same_form() -> None:
    controller, other, batch = make(seed=1), make(seed=2), fake_batch(INFO)
    found = controller.outputs(batch, 7, other.agent)
    assert torch.equal(found, other.outputs(batch, 7))
    assert not torch.equal(found, controller.outputs(batch, 7))


def test_the_seed_decides_the_weights_and_nothing_else_moves() -> None:
    before = torch.get_rng_state()
    a, b, c = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(a.agent.parameters(), b.agent.parameters(), strict=True))
    assert all(torch.equal(x, y) for x, y in pairs)
    assert not torch.equal(a.agent.first.weight, c.agent.first.weight)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (torch.zeros(2, 1, N, A), r"returned \[2, 1, 3, 4\]\."),
        (
            (torch.zeros(2, 1, N, 1), None),
            r"\[B, L, N, A\]=\[2, 1, 3, 4\] and .* \[2, 1, 3, 1\], None",
        ),
        ((torch.zeros(2, 1, N, A), None, 7), r", None, 7\."),
    ],
)
def test_an_agent_that_returns_something_else_is_an_error(returned: Any, said: str) -> None:
    controller = make()
    controller.agent.forward = lambda *_: returned
    with pytest.raises(UserError, match=f"agent=rnn_agent: forward must return .*{said}"):
        controller.outputs(fake_batch(INFO, ((3, "terminated"),) * 2), 1)


def test_no_noise() -> None:
    controller, generator = make(), torch.Generator().manual_seed(0)
    assert controller.noise_dim == 0
    assert controller.draw_noise(4, generator) is None
