"""Who knows what when MACPF's agents choose."""

from typing import Any, cast

import pytest
import torch
from tests.helpers.fake_envs import RICH, fake_batch, fake_info, make_controller, rng
from torch import Tensor

from components.action_selectors import CategoricalConfig, PolicySampler, greedy_actions
from components.settings import AgentSettings, ExplorationSettings
from controllers.basic_controller import BasicController
from envs.base import EnvStep
from modules.agents.rnn_agent import RNNAgentConfig
from modules.dependence import DependentNetwork
from utils.errors import SettingsError

N, A = 3, 4
INFO = fake_info(**RICH)


def make(**settings: Any) -> BasicController:
    shared = AgentSettings(obs_last_action=True, hidden_dim=8)
    agent = ("rnn_agent", RNNAgentConfig())
    return make_controller(INFO, *agent, name="macpf_controller", shared=shared, **settings)


def step_at(t: int, **changes: Tensor) -> EnvStep:
    batch, none = fake_batch(INFO), torch.zeros(4)
    seen = {"obs": batch.obs, "state": batch.state, "avail": batch.avail}
    fields = {name: x[:, t].clone() for name, x in seen.items()} | changes
    ends = {"reward": none, "terminated": none.bool(), "truncated": none.bool()}
    return EnvStep(**fields, **ends, is_active=torch.ones(4, N, dtype=torch.bool))


class Recorder:
    """Selects as a run does, and keeps what it was given."""

    def __init__(self, greedy: bool):
        self.greedy, self.generator, self.seen = greedy, rng(), []

    def __call__(self, outputs: Tensor, avail: Tensor) -> Tensor:
        self.seen.append(outputs)
        return PolicySampler(CategoricalConfig(), ExplorationSettings()).select(
            outputs, avail, 0, self.greedy, self.generator
        )


def choose(controller: BasicController, step: EnvStep, greedy: bool) -> tuple[Tensor, Tensor]:
    """Actions [B, N], and the outputs [B, N, A] they were chosen from."""
    recorder = Recorder(greedy)
    with torch.inference_mode():
        actions, _ = controller.choose(step, None, None, None, recorder, greedy)
    assert step.avail.gather(2, actions.unsqueeze(2)).all()
    return actions, torch.cat(recorder.seen, dim=1)


def test_a_test_is_independent_and_at_once() -> None:
    controller, step, recorder = make(), step_at(0), Recorder(greedy=True)
    actions, _ = controller.choose(step, None, None, None, recorder, True)
    outputs, _ = controller.act(step, None, None, None)
    assert len(recorder.seen) == 1
    assert torch.equal(actions, greedy_actions(outputs, step.avail))
    for i in range(N):  # own observation only
        obs = step.obs.clone()
        obs[:, i] += 1.0
        after, _ = controller.act(step_at(0, obs=obs), None, None, None)
        changed = (after != outputs).any(dim=2).any(dim=0)
        assert changed.tolist() == [j == i for j in range(N)]


@pytest.mark.parametrize("greedy", [False, True])
def test_dependent_agents_know_their_predecessors_actions(greedy: bool) -> None:
    controller, step = make(execution="dependent"), step_at(0)
    network = cast(DependentNetwork, controller.agent)
    actions, outputs = choose(controller, step, greedy)
    with torch.no_grad():
        _, own, _ = network.alone(controller.step_inputs(step, None, None), None)
        heard = network.received(
            actions.unsqueeze(1), torch.ones(N, N).tril(-1), step.is_active.unsqueeze(1)
        )
    torch.testing.assert_close(outputs, (own + heard).squeeze(1), atol=1e-6, rtol=1e-5)
    assert heard.abs().sum() > 0


@pytest.mark.parametrize("changed", range(N))
def test_nothing_but_actions_passes_and_only_forward(changed: int) -> None:
    controller, step = make(), step_at(0)
    actions, outputs = choose(controller, step, greedy=False)
    obs = step.obs.clone()
    obs[:, changed] += 3.0
    after_actions, after = choose(controller, step_at(0, obs=obs), greedy=False)
    assert torch.equal(after[:, :changed], outputs[:, :changed])
    assert not torch.equal(after[:, changed], outputs[:, changed])
    for b in range(4):  # a later agent sees a difference only where a predecessor acts otherwise
        for i in range(changed + 1, N):
            same = torch.equal(actions[b, :i], after_actions[b, :i])
            assert torch.allclose(after[b, i], outputs[b, i], atol=1e-6) == same


def test_memory_is_the_same_in_either_way() -> None:
    controller, step = make(), step_at(0)
    last = torch.zeros(4, N, dtype=torch.int64)
    for hidden in (None, torch.ones(4, N, 8)):
        results = [
            controller.choose(step, last, None, hidden, Recorder(greedy), greedy)[1]
            for greedy in (False, True)
        ]
        assert results[0] is not None
        assert torch.equal(*results)


def test_settings_out_of_range() -> None:
    with pytest.raises(SettingsError, match="message_dim: 0 must be at least 1"):
        make(message_dim=0)
