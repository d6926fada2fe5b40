"""MAT's controller and its learner: acting and training agree, and the encoder serves both."""

import pytest
import torch
from tests.helpers.fake_envs import CPU, RICH, FakeEnv, fake_batch, fake_info, rng
from torch import Tensor

from build import build_controller
from build_training import build_learner
from components.action_selectors import CategoricalConfig, PolicySampler, greedy_actions
from components.policies import Categorical, log_policy
from components.settings import ExplorationSettings
from config.load import load_config
from envs.base import EnvInfo
from learners.base import Learner
from runners.batch_runner import BatchRunner
from utils.errors import ConfigError
from utils.seeding import seeded_initialisation

INFO = fake_info(**RICH)
SETTINGS = ("agent_args.embed_dim=8", "obs_last_action=True", "learner_args.clip=0.1")


def make(info: EnvInfo = INFO, *settings: str) -> Learner:
    config = load_config("mat", None, [*SETTINGS, *settings])
    learner = build_learner(config, build_controller(config, info))
    with torch.no_grad(), seeded_initialisation(5):  # far from the uniform policies of the start
        for p in learner.online.parameters():
            p.add_(0.5 * torch.randn(p.shape))
    return learner


class Recorder:
    """Selects as a run does, and keeps the log-probabilities of what was chosen."""

    takes = PolicySampler.takes

    def __init__(self) -> None:
        self.categorical = PolicySampler(CategoricalConfig(), ExplorationSettings())
        self.log_probs: list[Tensor] = []

    def select(
        self, outputs: Tensor, avail: Tensor, env_steps: int, greedy: bool, generator: object
    ) -> Tensor:
        actions = self.categorical.select(outputs, avail, env_steps, greedy, generator)
        log_pi = log_policy(outputs, avail)
        self.log_probs.append(log_pi.gather(2, actions.unsqueeze(2)).squeeze(2))
        if greedy:
            assert torch.equal(actions, greedy_actions(outputs, avail))
        return actions


@pytest.mark.parametrize("greedy", [False, True])
def test_log_probabilities_of_acting_are_those_of_training(greedy: bool) -> None:
    learner, recorder = make(), Recorder()
    runner = BatchRunner(None, FakeEnv(INFO), learner.controller, recorder, 1, "train_env")
    batch = runner.collect(0, greedy).batch
    acting = torch.cat(recorder.log_probs, dim=1).unflatten(1, (6, 3))  # [B, T, N]
    training = learner.prepare(batch).old_log_prob
    real = batch.valid & batch.is_active[:, :-1]
    torch.testing.assert_close(training[real], acting[real], atol=1e-5, rtol=1e-5)
    assert not batch.is_active[:, :-1][batch.valid.squeeze(2)].all()


def test_ratios_are_one_before_the_first_step() -> None:
    learner, batch = make(), fake_batch(INFO)
    details = learner.loss(learner.prepare(batch))[1]
    assert details["approx_kl"]().abs() < 1e-6
    assert details["clip_fraction"]() == 0


def test_act_gives_what_greedy_agents_choose_by() -> None:
    controller, batch = make().controller, fake_batch(INFO)
    env = FakeEnv(INFO)
    step = env.reset()

    def greedy(outputs: Tensor, avail: Tensor) -> Tensor:
        return greedy_actions(outputs, avail)

    with torch.no_grad():
        outputs, _ = controller.act(step, None, None, None)
        actions, _ = controller.choose(step, None, None, None, greedy, True)
    assert outputs.shape == (4, 3, 4)
    assert torch.equal(greedy_actions(outputs, step.avail), actions)
    assert controller.agent_inputs(batch, 3).actions.shape == (4, 3, 3)


def test_the_critics_loss_trains_the_encoder_and_not_the_decoder() -> None:
    learner, batch = make(), fake_batch(INFO)
    learner.state_values(batch, learner.agent_inputs(batch, 7)).square().sum().backward()
    agent = learner.controller.agent
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in agent.encoder.parameters())
    assert all(p.grad is None for p in agent.decoder.parameters())


def test_values_know_all_observations_and_no_actions() -> None:
    info = fake_info()
    learner, batch = make(info, "obs_last_action=False"), fake_batch(info)
    with torch.no_grad():
        values = learner.state_values(batch, learner.agent_inputs(batch, 7))
        assert values.shape == (4, 7, 3)
        actions = batch.actions
        batch.actions = 3 - actions
        assert torch.equal(learner.state_values(batch, learner.agent_inputs(batch, 7)), values)
        batch.actions = actions
        batch.obs[:, :, 0] += 1.0
        assert (
            (learner.state_values(batch, learner.agent_inputs(batch, 7)) - values)
            .abs()
            .amax(dim=(0, 1))
            > 1e-4
        ).all()


def test_a_gradient_step_runs_the_encoder_once() -> None:
    learner, batch = make(), fake_batch(INFO)
    prepared = learner.prepare(batch)
    agent, calls = learner.controller.agent, []
    agent.encoder.register_forward_hook(lambda *_: calls.append(1))
    learner.loss(prepared)[0].backward()
    assert len(calls) == 1
    with torch.no_grad():
        inputs = learner.agent_inputs(batch, batch.n_steps)
        alone = learner.controller.agent_inputs(batch, batch.n_steps)  # the policies encode
        first, second = learner.policies(inputs), learner.policies(alone)
        assert isinstance(first, Categorical)
        assert isinstance(second, Categorical)
        assert torch.equal(first.log_probs, second.log_probs)


def test_another_critic_reads_the_state() -> None:
    learner = make(INFO, "critic=state_value")
    assert learner.critic.n_values == 1
    assert learner.loss(learner.prepare(fake_batch(INFO)))[0].isfinite()


def test_separate_weights_are_no_setting() -> None:
    with pytest.raises(ConfigError, match="`mat_agent` takes no `share_parameters`"):
        load_config("mat", None, ["agent_args.share_parameters=False"])


def test_one_sample_of_two_greedy_plays_is_the_same() -> None:
    controller, step = make().controller, FakeEnv(INFO).reset()
    selector = PolicySampler(CategoricalConfig(), ExplorationSettings())

    def play(seed: int, greedy: bool) -> Tensor:
        generator = rng(seed)

        def select(outputs: Tensor, avail: Tensor) -> Tensor:
            return selector.select(outputs, avail, 0, greedy, generator)

        with torch.inference_mode():
            return controller.choose(step, None, None, None, select, greedy)[0]

    assert torch.equal(play(1, True), play(2, True))
    assert step.obs.device == CPU
    assert any(not torch.equal(play(s, False), play(0, False)) for s in range(1, 20))
