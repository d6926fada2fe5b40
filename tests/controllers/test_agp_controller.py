from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import RICH, fake_batch, fake_info, make_controller, rng

from components.settings import AgentSettings
from controllers.agp_controller import AGPController, AGPControllerConfig
from envs.base import EnvStep
from modules.action_graph.layer import ActionGraphConfig
from modules.agents.agp_agent import AGPAgentConfig
from utils.errors import SettingsError

N, A, K = 3, 4, 2
INFO = fake_info(**RICH)
GRAPH = ActionGraphConfig(embed_dim=8, heads=2)


def make(recurrent: str = "none", **settings: Any) -> AGPController:
    place = "post" if recurrent == "none" else recurrent
    agent = AGPAgentConfig(place, graph=GRAPH)  # type: ignore[arg-type]
    shared = AgentSettings(True, True, hidden_dim=8, use_rnn=recurrent != "none")
    controller = make_controller(INFO, "agp_agent", agent, "agp_controller", shared, **settings)
    assert isinstance(controller, AGPController)
    return controller


def test_no_noise_unless_asked_for() -> None:
    controller = make()
    assert controller.noise_dim == 0
    assert controller.draw_noise(5, rng()) is None


@pytest.mark.parametrize("rows", ["shared", "per_agent"])
def test_noise(rows: str) -> None:
    controller = make(common_noise=K, common_noise_rows=rows)
    noise = controller.draw_noise(2000, rng())
    assert noise.shape == (2000, N, K)
    assert noise.dtype == torch.float32
    same = noise == noise[:, :1]
    assert same.all() if rows == "shared" else not same[:, 1:].any()
    assert noise.mean().abs() < 0.05
    assert noise.std().item() == pytest.approx(1.0, abs=0.05)
    assert noise[..., 0].ne(noise[..., 1]).all()
    assert torch.equal(noise, controller.draw_noise(2000, rng()))


def test_noise_is_the_last_part_of_the_input() -> None:
    controller, batch = make(common_noise=K), fake_batch(INFO, noise_dim=K)
    x = controller.agent_inputs(batch, 7).x
    assert x.shape[3] == 5 + A + N + K
    assert torch.equal(x[..., :5], batch.obs)
    assert torch.equal(x[..., -K - N : -K], torch.eye(N).expand(4, 7, N, N))
    assert torch.equal(x[..., -K:], batch.noise)


@pytest.mark.parametrize("noise_dim", [0, K])
@pytest.mark.parametrize("recurrent", ["none", "pre", "post"])
def test_whole_episodes_equal_acting_step_by_step(recurrent: str, noise_dim: int) -> None:
    controller = make(recurrent, common_noise=noise_dim)
    batch = fake_batch(INFO, noise_dim=noise_dim)
    whole, hidden, nothing = controller.outputs(batch, 7), None, torch.zeros(4)
    for t in range(7):
        step = EnvStep(
            batch.obs[:, t],
            batch.state[:, t],
            batch.avail[:, t],
            nothing,
            nothing.bool(),
            nothing.bool(),
            {},
            batch.action_features[:, t],
            batch.is_active[:, t],
        )
        noise = None if batch.noise is None else batch.noise[:, t]
        last = batch.actions[:, t - 1] if t else None
        outputs, hidden = controller.act(step, last, noise, hidden)
        torch.testing.assert_close(outputs, whole[:, t], atol=1e-5, rtol=0)


def test_noise_moves_the_values() -> None:
    controller, batch = make(common_noise=K), fake_batch(INFO, noise_dim=K)
    before = controller.outputs(batch, 7)
    batch.noise += 1
    assert not torch.allclose(before, controller.outputs(batch, 7))


def test_attention_of_whole_episodes() -> None:
    controller, batch = make(), fake_batch(INFO)
    weights = controller.attention(batch)
    assert [w.shape for w in weights] == [(4, 7, 2, 9, 9)] * 2
    layout = controller.agent.graph.layout
    agent, action = torch.tensor(layout.agent), torch.tensor(layout.action)
    some = batch.avail[:, :, agent, action] & batch.is_active[:, :, agent]  # [B, T+1, P]
    for w in weights:
        assert not w.requires_grad
        torch.testing.assert_close(w.sum(dim=4), torch.ones(4, 7, 2, 9))
        from_others = w * ~torch.eye(9, dtype=torch.bool)
        assert (from_others.sum(dim=(2, 3))[~some] == 0).all()


def test_negative_noise() -> None:
    with pytest.raises(SettingsError, match="common_noise: -1 must not be negative"):
        AGPControllerConfig(common_noise=-1)
