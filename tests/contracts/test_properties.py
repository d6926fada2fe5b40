"""Properties that hold for whole methods, as their YAML files define them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.helpers.fake_envs import MIXED, RICH, FakeEnv, fake_batch, fake_info, pad

import config as config_package
from build import build_controller
from build_training import build_learner
from components.action_selectors import (
    CategoricalConfig,
    EpsilonGreedy,
    EpsilonGreedyConfig,
    PolicySampler,
)
from components.episode_batch import EpisodeBatch
from components.normalisation import ValueMoments
from components.settings import ExplorationSettings
from config.load import load_config
from envs.base import EnvInfo
from learners.base import Learner
from learners.ppo_learner import PPOLearner
from runners.batch_runner import BatchRunner

FOLDER = next(Path(p) for p in config_package.__path__ if Path(p, "algs").is_dir())
ALGS = sorted(path.stem for path in Path(FOLDER, "algs").glob("*.yaml"))
SYMMETRIC = ["iql", "vdn", "agp", "agp_literal", "agp_within_agent", "agp_no_graph", "agent_graph"]
SYMMETRIC += ["dcg", "dcg_damped", "dcg_exact", "agp_pg", "ippo"]
INFO = fake_info(**RICH)


def build(alg: str, info: EnvInfo = INFO, *overrides: str) -> Learner:
    config = load_config(alg, None, list(overrides))
    learner = build_learner(config, build_controller(config, info))
    if hasattr(learner, "noise"):  # losses of samples are compared at the policies' modes
        learner.noise = torch.zeros
        learner.noise_of = lambda policy: torch.zeros(policy.avail.shape)
    return learner


def loss_of(learner: Learner, batch: EpisodeBatch) -> torch.Tensor:
    """The loss of episodes as the first that the learner sees."""
    if isinstance(learner, PPOLearner):
        learner.advantages.moments = ValueMoments(learner.config.value_norm, learner.device)
    return learner.loss(learner.prepare(batch))[0]


def gradients(learner: Learner, batch: EpisodeBatch) -> tuple[float, list[torch.Tensor]]:
    learner.online.zero_grad()
    loss = loss_of(learner, batch)
    loss.backward()
    return loss.item(), [p.grad.clone() for p in learner.online.parameters()]


def test_there_are_methods() -> None:
    assert {"iql", "vdn", "qmix", "agp"} <= set(ALGS)


@pytest.mark.parametrize("alg", ALGS)
def test_padding_changes_neither_loss_nor_gradient(alg: str) -> None:
    learner = build(alg)
    batch = fake_batch(INFO, noise_dim=learner.controller.noise_dim)
    loss, gradient = gradients(learner, batch)
    assert loss != 0
    longer_loss, longer_gradient = gradients(learner, pad(batch, 5))
    assert longer_loss == pytest.approx(loss, rel=1e-5)
    for a, b in zip(gradient, longer_gradient, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("alg", ALGS)
def test_the_loss_is_the_mean_over_episodes_weighted_by_length(alg: str) -> None:
    """No episode leaks into another one."""
    info = replace(INFO, varying_team=False)
    whole = load_config(alg, None, []).learner == "ppo_learner"  # it normalises over the batch
    parts = ("normalise_advantage", "value_norm") if whole else ()
    learner = build(alg, info, *(f"learner_args.{part}=False" for part in parts))
    batch = fake_batch(info, noise_dim=learner.controller.noise_dim)
    total = 0.0
    for b, (length, _) in enumerate(MIXED):
        alone = batch.select(torch.tensor([b])).shorten(length)
        total += length * loss_of(learner, alone).item()
    steps = sum(length for length, _ in MIXED)
    assert loss_of(learner, batch).item() == pytest.approx(total / steps, rel=1e-4)


@pytest.mark.parametrize("alg", SYMMETRIC)
def test_permuting_agents_permutes_values_and_keeps_the_loss(alg: str) -> None:
    info, order = fake_info(), torch.tensor([2, 0, 1])
    learner = build(alg, info, "obs_agent_id=false", "obs_last_action=true")
    batch = fake_batch(info)
    permuted = replace(
        batch,
        obs=batch.obs[:, :, order],
        avail=batch.avail[:, :, order],
        actions=batch.actions[:, :, order],
    )
    q, q_permuted = (learner.controller.outputs(x, 7) for x in (batch, permuted))
    torch.testing.assert_close(q_permuted, q[:, :, order], atol=1e-6, rtol=1e-5)
    loss, permuted_loss = (loss_of(learner, x).item() for x in (batch, permuted))
    assert permuted_loss == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("alg", ALGS)
def test_what_is_never_available_is_never_chosen(alg: str) -> None:
    exploration = ExplorationSettings()
    selectors = (
        EpsilonGreedy(EpsilonGreedyConfig(0.5, 0.5), exploration),
        PolicySampler(CategoricalConfig(), exploration),
    )
    controller = build(alg).controller
    for selector in selectors:
        for greedy in (False, True):
            runner = BatchRunner(None, FakeEnv(INFO), controller, selector, 1, "train")
            batch = runner.collect(0, greedy).batch
            for i, count in enumerate(INFO.action_counts):
                assert batch.actions[:, :, i].max() < count
            chosen = batch.avail[:, :-1].gather(3, batch.actions.unsqueeze(3)).squeeze(3)
            assert chosen[batch.valid.squeeze(2)].all()


@pytest.mark.parametrize("alg", ALGS)
def test_values_of_unavailable_actions_reach_no_target(alg: str) -> None:
    """Raising the value of a never-available action changes no loss."""
    info = replace(INFO, action_counts=(3, 3, 3))
    learner = build(alg, info)
    batch = fake_batch(info, noise_dim=learner.controller.noise_dim)
    before = loss_of(learner, batch).item()
    outputs = learner.controller.outputs

    def raised(*args: object) -> torch.Tensor:
        q = outputs(*args).clone()
        q[..., 3] += 1000.0
        return q

    learner.controller.outputs = raised
    assert loss_of(learner, batch).item() == before


def constant_teams(batch: EpisodeBatch) -> torch.Tensor:
    """Let the same agents take part throughout an episode; who is absent, [B, N]."""
    present = torch.tensor([[True, True, False], [True, False, True], [True] * 3, [True] * 3])
    seen = batch.is_active.any(dim=2, keepdim=True)
    batch.is_active[:] = present.unsqueeze(1) & seen
    return ~present


@pytest.mark.parametrize("alg", ALGS)
def test_inputs_and_actions_of_absent_agents_change_nothing(alg: str) -> None:
    learner = build(alg)
    batch = fake_batch(INFO, noise_dim=learner.controller.noise_dim)
    absent = constant_teams(batch)
    loss, gradient = gradients(learner, batch)
    for name in ("obs", "action_features"):
        field = getattr(batch, name)
        where = absent[:, None, :].expand(field.shape[:3])
        field[where] = torch.randn(field[where].shape, generator=torch.Generator().manual_seed(9))
    actions = batch.actions.clone()
    batch.avail[..., 1] |= absent.unsqueeze(1)
    batch.actions = torch.where(absent.unsqueeze(1), 1 - actions.clamp(max=1), actions)
    assert not torch.equal(batch.actions, actions)
    changed_loss, changed = gradients(learner, batch)
    assert changed_loss == pytest.approx(loss, rel=1e-5)
    for a, b in zip(gradient, changed, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("alg", ["iql", "vdn", "agp", "agp_literal", "agent_graph", "dicg"])
def test_values_do_not_depend_on_the_size_that_teams_are_padded_to(alg: str) -> None:
    small = fake_info(action_feature_dim=2)
    large = replace(fake_info(n_agents=5, action_feature_dim=2), varying_team=True)
    settings = ("obs_agent_id=false", "mixer=none")
    of_small, of_large = (build(alg, info, *settings) for info in (small, large))
    of_large.online.load_state_dict(of_small.online.state_dict())
    batch, padded = fake_batch(small), fake_batch(large, seed=1)
    padded.is_active[:, :, :3], padded.is_active[:, :, 3:] = True, False
    for name, x in batch.items():
        if x.dim() > 2 and x.shape[2] == 3:
            getattr(padded, name)[:, :, :3] = x
    q = of_large.controller.outputs(padded, 7)[:, :, :3]
    torch.testing.assert_close(q, of_small.controller.outputs(batch, 7), atol=1e-5, rtol=1e-4)
