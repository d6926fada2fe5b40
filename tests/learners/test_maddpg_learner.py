"""MADDPG against plain Python, one episode, step and agent at a time; what its gradients reach."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.fake_envs import (
    MIXED,
    RICH,
    TERMINATED,
    fake_batch,
    fake_info,
    make_controller,
    normal,
    pad,
    with_noisy_absent,
)
from torch import Tensor, nn

from build import build_controller
from build_training import build_learner
from components.episode_batch import EpisodeBatch
from components.policies import straight_through
from components.settings import AgentSettings, TrainingSettings
from config.load import load_config
from envs.base import EnvInfo
from learners.maddpg_learner import MADDPGLearner, MADDPGLearnerConfig
from modules.agents.rnn_agent import RNNAgentConfig
from modules.critics.base import CriticInputs, CriticSizes
from modules.critics.joint_action_value import JointActionValue, JointActionValueConfig
from modules.mixers.none import NoMixer
from utils.errors import SettingsError, UserError
from utils.seeding import seeded_initialisation

GAMMA, PENALTY, TAU = 0.9, 0.3, 0.7


def make(info: EnvInfo, share: bool = True, use_rnn: bool = True) -> MADDPGLearner:
    shared = AgentSettings(hidden_dim=8, use_rnn=use_rnn)
    agent = RNNAgentConfig(share_parameters=share)
    controller = make_controller(info, "rnn_agent", agent, shared=shared)
    sizes = CriticSizes(controller.input_dim, info.state_dim, info.n_agents, info.n_actions, 8, 1)
    with seeded_initialisation(2):
        critic = JointActionValue(JointActionValueConfig(share_parameters=share), sizes)
    config = MADDPGLearnerConfig(gumbel_temperature=TAU, logit_penalty=PENALTY)
    training = TrainingSettings(gamma=GAMMA, batch_size=4)
    learner = MADDPGLearner(config, training, controller, NoMixer(None, 0, 0), 1000, critic)
    with torch.no_grad(), seeded_initialisation(3):  # targets that differ from what is trained
        for p in learner.target.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return learner


def fixed_noise(learner: MADDPGLearner, batch: EpisodeBatch) -> Tensor:
    """Gumbel noise that every call of the loss then uses."""
    info = learner.controller.info
    noise = learner.noise(torch.Size((batch.n_episodes, batch.n_steps, info.n_agents, 4)))
    learner.noise_of = lambda policy: noise[:, : policy.avail.shape[1]]  # type: ignore[method-assign, attr-defined]
    return noise


def present(batch: EpisodeBatch, t: int, i: int) -> bool:
    return batch.is_active is None or bool(batch.is_active[0, t, i])


def value(critic: nn.Module, one: EpisodeBatch, t: int, joint: list[int], i: int) -> float:
    """Q_i of a joint action at step t of one episode, from the layers' weights."""
    n, a = len(joint), 4
    parts = [one.state[0, t]]
    for j, action in enumerate(joint):
        vector = torch.zeros(a)
        vector[action] = float(present(one, t, j))
        parts.append(vector)
    layers = [layer for layer in critic.network if not isinstance(layer, nn.ReLU)]
    if isinstance(layers[0], nn.Linear):
        parts.append(torch.eye(n)[i])
    z = torch.cat(parts)
    for k, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            z = layer.weight @ z + layer.bias
        else:  # separate weights
            z = z @ layer.weight[i] + layer.bias[i]
        z = z.clamp(min=0.0) if k + 1 < len(layers) else z
    return float(z.item())


def best(logits: Tensor, avail: Tensor) -> int:
    return int(logits.masked_fill(~avail, -torch.inf).argmax())


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("n_rewards", [1, 3])
@pytest.mark.parametrize("ends", [MIXED, TERMINATED])
@pytest.mark.parametrize("rich", [False, True])
def test_loss_equals_the_slow_loop(rich: bool, ends: Any, n_rewards: int, share: bool) -> None:
    info = fake_info(**RICH) if rich else fake_info(action_counts=(4, 2, 3))
    info = replace(info, truncates=ends is MIXED)
    learner, batch = make(info, share), fake_batch(info, ends, n_rewards=n_rewards)
    noise = fixed_noise(learner, batch)
    errors, gains, penalties = [], [], []
    for b in range(4):
        one = batch.select(torch.tensor([b])).shorten(int(batch.valid[b].sum()))
        outputs = learner.controller.outputs(one, one.n_steps)[0].detach()
        later = learner.controller.outputs(one, one.n_steps + 1, learner.target["agent"])[0]
        for t in range(one.n_steps):
            after = [best(later[t + 1, j], one.avail[0, t + 1, j]) for j in range(3)]
            sample = [best(outputs[t, j] + noise[b, t, j], one.avail[0, t, j]) for j in range(3)]
            for i in range(3):
                if not present(one, t, i):
                    continue
                target = one.reward[0, t, i % n_rewards].item()
                if not one.terminated[0, t] and present(one, t + 1, i):
                    target += GAMMA * value(learner.target["critic"], one, t + 1, after, i)
                taken = one.actions[0, t].tolist()
                critic = learner.online["critic"]
                errors.append((value(critic, one, t, taken, i) - target) ** 2)
                gains.append(value(critic, one, t, sample, i))
                penalties.append(outputs[t, i][one.avail[0, t, i]].square().mean().item())
    expected = np.mean(errors) - np.mean(gains) + PENALTY * np.mean(penalties)
    loss, _ = learner.loss(batch)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rich", [False, True])
def test_actors_follow_their_own_values_and_critics_their_errors_only(rich: bool) -> None:
    """The gradient of each network, found by following the other agents' samples as constants."""
    info = replace(fake_info(**RICH) if rich else fake_info(), truncates=False)
    learner, batch = make(info), fake_batch(info, TERMINATED)
    noise = fixed_noise(learner, batch)
    learner.loss(batch)[0].backward()
    found = {name: p.grad.clone() for name, p in learner.online.named_parameters()}
    learner.online.zero_grad()

    t, critic = batch.n_steps, learner.online["critic"]
    inputs = learner.controller.agent_inputs(batch, t)
    logits = learner.online["agent"](inputs, None)[0]
    masked = logits.masked_fill(~inputs.avail, -1e30)
    soft = ((masked + noise) / TAU).softmax(3)
    hard = torch.zeros_like(soft).scatter_(3, (masked + noise).argmax(3, keepdim=True), 1.0)
    counted = batch.valid.expand(-1, -1, 3)
    if inputs.is_active is not None:
        counted = counted & inputs.is_active
    for i in range(3):
        joint = hard.clone().requires_grad_()
        rows = joint.unsqueeze(2).expand(-1, -1, 3, -1, -1)
        seen = CriticInputs(batch.state[:, :t], inputs.x, None, inputs.is_active, rows)
        q = critic(seen)[:, :, i]
        (slope,) = torch.autograd.grad(q[counted[:, :, i]].sum(), joint)
        surrogate = -(slope[:, :, i] * soft[:, :, i])[counted[:, :, i]].sum() / counted.sum()
        surrogate.backward(retain_graph=True)
    squares = (logits.square() * inputs.avail).sum(3) / inputs.avail.sum(3)
    (PENALTY * squares[counted].mean()).backward()
    actors = {name: p.grad for name, p in learner.online["agent"].named_parameters()}
    for name, gradient in actors.items():
        torch.testing.assert_close(found[f"agent.{name}"], gradient, atol=1e-6, rtol=1e-4)

    learner.online.zero_grad()
    taken = nn.functional.one_hot(batch.actions, 4).float()
    q = critic(learner._rows(batch, inputs, taken))
    error = q - learner._targets(batch, inputs)
    error[counted].square().mean().backward()
    for name, p in critic.named_parameters():
        torch.testing.assert_close(found[f"critic.{name}"], p.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("end", "counts"), [("truncated", True), ("terminated", False)])
def test_the_last_value_counts_after_a_time_limit_only(end: str, counts: bool) -> None:
    batch, learner = fake_batch(fake_info(), ((6, end), (6, end))), make(fake_info())
    inputs = learner.controller.agent_inputs(batch, 7)
    before = learner._targets(batch, inputs)
    batch.state[:, -1] += 10.0
    assert torch.equal(learner._targets(batch, inputs), before) is not counts


def test_target_actors_remember_the_whole_episode() -> None:
    """The first observation reaches target actions at later steps."""
    batch, learner = fake_batch(fake_info(), ((6, "truncated"),) * 2), make(fake_info())
    inputs = learner.controller.agent_inputs(batch, 7)
    inputs.x.requires_grad_()
    learner.target["agent"](inputs, None)[0][:, 3].sum().backward()
    assert inputs.x.grad is not None
    assert (inputs.x.grad[:, :4].abs().sum(dim=(0, 2, 3)) > 0).all()


def test_padding_and_absent_agents_change_nothing() -> None:
    info = replace(fake_info(**RICH), truncates=False)
    batch = fake_batch(info, TERMINATED)
    gradients = []
    for episodes in (batch, with_noisy_absent(pad(batch, 2))):
        learner = make(info, use_rnn=False)
        learner.noise_of = lambda policy: torch.zeros(policy.avail.shape)  # type: ignore[method-assign, attr-defined]
        learner.loss(episodes)[0].backward()
        gradients.append([p.grad for p in learner.online.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def critic_inputs(learner: MADDPGLearner, batch: EpisodeBatch) -> CriticInputs:
    inputs = learner.controller.agent_inputs(batch, batch.n_steps)
    return learner._rows(batch, inputs, nn.functional.one_hot(batch.actions, 4).float())


@pytest.mark.parametrize("share", [True, False])
def test_what_the_critic_sees(share: bool) -> None:
    """State and all actions at the same step; nothing of what policies see beyond the state."""
    info = fake_info()
    learner, batch = make(info, share), fake_batch(info, MIXED)
    seen = critic_inputs(learner, batch)
    assert seen.joint_actions is not None
    seen.joint_actions.requires_grad_()
    seen.state = seen.state.clone().requires_grad_()
    seen.own = seen.own.clone().requires_grad_()
    q = learner.online["critic"](seen)
    q[:, 2, 1].sum().backward()
    reached = seen.joint_actions.grad.abs().sum(dim=(0, 4)) > 0  # [L, N, N]
    expected = torch.zeros(6, 3, 3, dtype=torch.bool)
    expected[2, 1] = True
    assert torch.equal(reached, expected)
    assert (seen.state.grad.abs().sum(dim=(0, 2)) > 0).tolist() == [t == 2 for t in range(6)]
    assert seen.own.grad is None
    assert not torch.isclose(q[..., 0], q[..., 1]).any()  # agents have separate values


@pytest.mark.parametrize("share", [True, False])
def test_what_an_agent_knows_at_execution(share: bool) -> None:
    info = fake_info()
    learner, batch = make(info, share), fake_batch(info, ((6, "truncated"),) * 2)
    before = learner.controller.outputs(batch, 6)
    batch.obs[:, 3, 0] += 1.0
    changed = (learner.controller.outputs(batch, 6) != before).any(dim=3).any(dim=0)  # [L, N]
    assert changed[:, 0].tolist() == [False, False, False, True, True, True]
    assert not changed[:, 1:].any()


def test_a_straight_through_sample() -> None:
    logits, noise = normal(50, 4).requires_grad_(), normal(50, 4, seed=1)
    avail = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) < 0.6
    avail[:, 0] = True
    sample = straight_through(logits, avail, noise, 0.5)
    best_action = (logits + noise).masked_fill(~avail, -torch.inf).argmax(1)
    torch.testing.assert_close(sample, nn.functional.one_hot(best_action, 4).float())
    weights = normal(50, 4, seed=2)
    (sample * weights).sum().backward()
    soft_logits = logits.detach().clone().requires_grad_()
    soft = ((soft_logits + noise) / 0.5).masked_fill(~avail, -1e30).softmax(1)
    (soft * weights).sum().backward()
    torch.testing.assert_close(logits.grad, soft_logits.grad)
    assert (logits.grad[~avail] == 0).all()


@pytest.mark.parametrize("wrong", [{"gumbel_temperature": 0.0}, {"logit_penalty": -1.0}])
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        MADDPGLearnerConfig(**wrong)


@pytest.mark.parametrize(
    ("alg", "remedy"),
    [
        ("mappo", "Use critic=action_graph or dicg or own_value"),
        ("coma", "Use a method without such a critic"),
        ("maddpg", "Use a method without such a critic"),
    ],
)
def test_a_critic_of_the_state_is_an_error_where_there_is_none(alg: str, remedy: str) -> None:
    """What may replace it estimates the same."""
    config, info = load_config(alg, None, []), fake_info(state_dim=0)
    with pytest.raises(UserError, match=f"has none. {remedy}"):
        build_learner(config, build_controller(config, info))
