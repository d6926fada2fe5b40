"""COMA's loss against plain Python, with the counterfactual found by trying every action."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.fake_envs import (
    CPU,
    MIXED,
    RICH,
    TERMINATED,
    fake_batch,
    fake_info,
    make_controller,
    pad,
    with_noisy_absent,
)

from components.buffers.rollout import Rollout
from components.episode_batch import EpisodeBatch
from components.schedules import Progress
from components.settings import AgentSettings, TrainingSettings
from envs.base import EnvInfo
from learners.coma_learner import COMALearner, COMALearnerConfig
from modules.agents.rnn_agent import RNNAgentConfig
from modules.critics.base import CriticInputs, CriticSizes
from modules.critics.joint_q import JointQ, JointQConfig
from modules.mixers.none import NoMixer
from utils.seeding import seeded_initialisation

GAMMA, LAMBDA, ENTROPY = 0.9, 0.7, 0.3


def make(info: EnvInfo, use_rnn: bool = True, **config: Any) -> COMALearner:
    shared = AgentSettings(hidden_dim=8, use_rnn=use_rnn)
    controller = make_controller(info, "rnn_agent", RNNAgentConfig(), shared=shared)
    sizes = CriticSizes(controller.input_dim, info.state_dim, info.n_agents, info.n_actions, 8, 1)
    with seeded_initialisation(2):
        critic = JointQ(JointQConfig(), sizes)
    settings = {"td_lambda": LAMBDA, "entropy_start": ENTROPY, "orthogonal_init": False} | config
    training = TrainingSettings(gamma=GAMMA, batch_size=4)
    mixer = NoMixer(None, 0, 0)
    learner = COMALearner(COMALearnerConfig(**settings), training, controller, mixer, 1000, critic)
    with torch.no_grad(), seeded_initialisation(3):  # targets that differ from what is trained
        for p in learner.target["critic"].parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return learner


def value_of(critic: Any, learner: COMALearner, one: EpisodeBatch, t: int, joint: Any) -> Any:
    """Q_i(s, x_i, u_-i, u_i) of every agent for one joint action at step t, [N]."""
    inputs = learner.controller.agent_inputs(one, one.n_steps)
    active = None if inputs.is_active is None else inputs.is_active[:, t : t + 1]
    actions = torch.tensor(joint).view(1, 1, -1)
    seen = CriticInputs(one.state[:, t : t + 1], inputs.x[:, t : t + 1], actions, active)
    rows = critic(seen)[0, 0].detach()
    return [rows[i, a].item() for i, a in enumerate(joint)]


@pytest.mark.parametrize("rich", [False, True])
def test_loss_equals_the_slow_loop(rich: bool) -> None:
    info = replace(fake_info(**RICH) if rich else fake_info(), truncates=False)
    learner, batch = make(info), fake_batch(info, TERMINATED)
    gains, entropies, errors = [], [], []
    for b in range(4):
        one = batch.select(torch.tensor([b])).shorten(int(batch.valid[b].sum()))
        steps = range(one.n_steps)
        taken = [one.actions[0, t].tolist() for t in steps]
        old = [value_of(learner.target["critic"], learner, one, t, taken[t]) for t in steps]
        inputs = learner.agent_inputs(one, one.n_steps)
        log_pi = learner.policies(inputs).log_probs[0].detach()
        for t in steps:
            for i in range(info.n_agents):
                if one.is_active is not None and not one.is_active[0, t, i]:
                    continue
                target, weight = 0.0, 1.0
                for s in range(t, one.n_steps):  # TD(lambda), unrolled
                    target += weight * one.reward[0, s, 0].item()
                    if s + 1 < one.n_steps:
                        here = one.is_active is None or bool(one.is_active[0, s + 1, i])
                        target += weight * GAMMA * (1 - LAMBDA) * old[s + 1][i] * here
                    weight *= GAMMA * LAMBDA
                values = []
                for action in range(info.n_actions):  # the others act as they did
                    joint = [*taken[t][:i], action, *taken[t][i + 1 :]]
                    values.append(value_of(learner.critic, learner, one, t, joint)[i])
                policy = log_pi[t, i].exp().tolist()
                baseline = sum(p * q for p, q in zip(policy, values, strict=True))
                advantage = values[taken[t][i]] - baseline
                gains.append(advantage * log_pi[t, i, taken[t][i]].item())
                entropies.append(-sum(p * np.log(p) for p in policy if p > 0))
                errors.append((values[taken[t][i]] - target) ** 2)
    expected = 0.5 * np.mean(errors) - np.mean(gains) - ENTROPY * np.mean(entropies)
    loss, _ = learner.loss(learner.prepare(batch))
    assert loss.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("end", "counts"), [("truncated", True), ("terminated", False)])
def test_the_last_value_counts_after_a_time_limit_only(end: str, counts: bool) -> None:
    info = fake_info()
    batch = fake_batch(info, ((6, end), (6, end)))
    before = make(info).prepare(batch).target
    batch.state[:, -1] += 10.0
    assert torch.equal(make(info).prepare(batch).target, before) is not counts


def test_padding_and_absent_agents_change_nothing() -> None:
    info = replace(fake_info(**RICH), truncates=False)
    batch = fake_batch(info, TERMINATED)
    gradients = []
    for episodes in (batch, with_noisy_absent(pad(batch, 2))):
        learner = make(info, use_rnn=False)
        learner.loss(learner.prepare(episodes))[0].backward()
        gradients.append([p.grad for p in learner.online.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


def test_the_critic_sees_the_actions_of_the_others_only() -> None:
    learner, batch = make(fake_info()), fake_batch(fake_info(), MIXED)
    own = learner.controller.agent_inputs(batch, batch.n_steps).x
    state = batch.state[:, :-1]
    before = learner.critic(CriticInputs(state, own, batch.actions))
    other = batch.actions.clone()
    other[:, :, 0] = (other[:, :, 0] + 1) % 4
    after = learner.critic(CriticInputs(state, own, other))
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    assert not torch.isclose(before[:, :, 1:], after[:, :, 1:]).all(dim=3).any()


def test_actors_learn_in_the_last_of_several_steps_of_the_critic() -> None:
    info = fake_info()
    learner = make(info, critic_epochs=3)
    buffer = Rollout(None, EpisodeBatch.zeros(info, 4, CPU), np.random.default_rng(0), False)
    moved = []
    actors = next(learner.controller.agent.parameters())
    train = learner.train

    def watched(*args: Any) -> None:
        before = actors.detach().clone()
        train(*args)
        moved.append(not torch.equal(before, actors))

    learner.train = watched  # type: ignore[method-assign]
    buffer.add(fake_batch(info, MIXED))
    learner.update(buffer, Progress(14, 4))
    assert moved == [False, False, True]
