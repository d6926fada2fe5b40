"""The loss of joint values against plain Python: one episode and one step at a time, no padding."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from tests.helpers.fake_envs import (
    MIXED,
    RICH,
    TERMINATED,
    fake_batch,
    fake_info,
    make_controller,
    pad,
)

from components.episode_batch import EpisodeBatch
from components.settings import TrainingSettings
from controllers.dcg_controller import DCGController
from envs.base import EnvInfo
from learners.dcg_learner import DCGLearner
from learners.q_learner import QLearnerConfig
from modules.agents.rnn_agent import RNNAgentConfig
from modules.mixers.none import NoMixer
from utils.seeding import seeded_initialisation

GAMMA = 0.9
INFO = fake_info(action_counts=(4, 2, 3))
VARYING = fake_info(**RICH)


def make(info: EnvInfo = INFO, double_q: bool = True, **settings: object) -> DCGLearner:
    agent = ("rnn_agent", RNNAgentConfig())
    controller = make_controller(info, *agent, "dcg_controller", inference="exact", **settings)
    assert isinstance(controller, DCGController)
    learner = DCGLearner(
        QLearnerConfig(double_q), TrainingSettings(gamma=GAMMA), controller, NoMixer(None, 3, 7), 9
    )
    with torch.no_grad(), seeded_initialisation(3):  # targets that differ from what is trained
        for p in learner.target.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return learner


def slow_errors(learner: DCGLearner, batch: EpisodeBatch, b: int) -> list[float]:
    length = int(batch.valid[b].sum())
    alone = batch.select(torch.tensor([b])).shorten(length)
    online = learner.controller.factors(alone, length + 1)
    target = learner.controller.factors(alone, length + 1, learner.target["agent"])
    joints = list(product(range(4), repeat=3))
    errors = []
    for t in range(length):
        reward, step, after = alone.reward[0, t, 0].item(), slice(t, t + 1), slice(t + 1, t + 2)
        value = online[:, step].value(alone.actions[:, step]).item()
        if not alone.terminated[0, t]:
            chooser = online if learner.config.double_q else target
            possible = [j for j in joints if all(alone.avail[0, t + 1, i, j[i]] for i in range(3))]
            tensors = [torch.tensor([[joint]]) for joint in possible]
            best = max(tensors, key=lambda joint: chooser[:, after].value(joint).item())
            reward += GAMMA * target[:, after].value(best).item()
        errors.append((value - reward) ** 2)
    return errors


@pytest.mark.parametrize("info", [INFO, VARYING], ids=["plain", "varying"])
@pytest.mark.parametrize(("double_q", "truncates"), list(product([True, False], repeat=2)))
@pytest.mark.parametrize("settings", [{}, {"dueling": True, "payoff_rank": 2}, {"edges": "vdn"}])
def test_loss_equals_the_slow_loop(
    info: EnvInfo, double_q: bool, truncates: bool, settings: dict[str, object]
) -> None:
    learner = make(replace(info, truncates=truncates), double_q, **settings)
    batch = fake_batch(info, MIXED if truncates else TERMINATED)
    errors = [e for b in range(4) for e in slow_errors(learner, batch, b)]
    expected = sum(errors) / len(errors)
    assert learner.loss(batch)[0].item() == pytest.approx(expected, rel=1e-4)


def test_one_step_games_regress_on_the_reward() -> None:
    info = fake_info(episode_limit=1, truncates=False, fixed_length=True)
    learner, batch = make(info), fake_batch(info, ((1, "terminated"),) * 5)
    value = learner.controller.factors(batch, 1).value(batch.actions)
    expected = (value - batch.reward).square().mean()
    torch.testing.assert_close(learner.loss(batch)[0], expected)


def test_padding_reaches_neither_loss_nor_gradient() -> None:
    learner, batch = make(), fake_batch(INFO)
    gradients = []
    for episodes in (batch, pad(batch, 5)):
        learner.online.zero_grad()
        learner.loss(episodes)[0].backward()
        gradients.append([p.grad.clone() for p in learner.online.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"dueling": True, "payoff_rank": 2}])
def test_gradient_reaches_every_parameter_and_no_target(settings: dict[str, object]) -> None:
    learner = make(**settings)
    learner.loss(fake_batch(INFO))[0].backward()
    for name, p in learner.online.named_parameters():
        assert p.grad.abs().sum() > 0, name
    assert not any(p.requires_grad or p.grad is not None for p in learner.target.parameters())


def test_values_of_unavailable_actions_reach_no_target() -> None:
    learner, batch = make(replace(INFO, action_counts=(3, 3, 3))), fake_batch(INFO)
    batch.actions.clamp_(max=2)
    batch.avail[..., 3] = False
    before, factors = learner.loss(batch)[0].item(), learner.controller.factors

    def raised(*args: object) -> object:
        found = factors(*args)  # type: ignore[arg-type]
        return replace(found, utility=found.utility + 1000.0 * (torch.arange(4) == 3))

    learner.controller.factors = raised  # type: ignore[method-assign, assignment]
    assert learner.loss(batch)[0].item() == before
