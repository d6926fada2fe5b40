"""Policy gradients against plain Python: one episode, step and agent at a time, no padding."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.fake_envs import (
    CPU,
    MIXED,
    RICH,
    TERMINATED,
    Ends,
    fake_batch,
    fake_info,
    make_controller,
    pad,
    with_noisy_absent,
)
from tests.helpers.runs import rows, tiny, train

from build import build_controller
from build_training import build_learner
from components.buffers.rollout import Rollout
from components.episode_batch import EpisodeBatch
from components.schedules import Progress
from components.settings import AgentSettings, TrainingSettings
from config.combinations import check_combination
from config.load import load_config, load_recorded
from config.plain_data import dump
from envs.base import EnvInfo
from learners.ppo_learner import PPOBatch, PPOLearner, PPOLearnerConfig
from modules.agents.rnn_agent import RNNAgentConfig
from modules.critics.base import CriticInputs, CriticSizes
from modules.critics.dicg import DICGCritic, DICGCriticConfig
from modules.critics.own_value import OwnValue, OwnValueConfig
from modules.critics.state_value import StateValue, StateValueConfig
from modules.mixers.none import NoMixer
from utils.errors import ConfigError, SettingsError, UserError
from utils.seeding import seeded_initialisation

GAMMA, LAMBDA, CLIP = 0.9, 0.7, 0.1
INFO = fake_info(action_counts=(4, 2, 3))
PLAIN = {"normalise_advantage": False, "value_norm": False}
CRITICS: dict[str, Any] = {
    "state": (StateValue, StateValueConfig),
    "own": (OwnValue, OwnValueConfig),
    "dicg": (DICGCritic, DICGCriticConfig),
}


def make(
    info: EnvInfo = INFO,
    critic: str = "state",
    n_rewards: int = 1,
    use_rnn: bool = True,
    **config: Any,
) -> PPOLearner:
    shared = AgentSettings(hidden_dim=8, use_rnn=use_rnn)
    controller = make_controller(info, "rnn_agent", RNNAgentConfig(), shared=shared)
    settings = {"clip": CLIP, "gae_lambda": LAMBDA, "entropy_start": 0.3} | config
    sizes = CriticSizes(
        controller.input_dim, info.state_dim, info.n_agents, info.n_actions, 8, n_rewards
    )
    cls, settings_cls = CRITICS[critic]
    with seeded_initialisation(2):
        network = cls(settings_cls(), sizes)
    return PPOLearner(
        PPOLearnerConfig(orthogonal_init=False, **settings),
        TrainingSettings(gamma=GAMMA, lr=0.01),
        controller,
        NoMixer(None, 0, 0),
        1000,
        network,
    )


def move(learner: PPOLearner) -> None:
    """Change the policy, so that ratios differ from 1."""
    with torch.no_grad(), seeded_initialisation(7):
        for p in learner.controller.agent.parameters():
            p.add_(0.2 * torch.randn(p.shape))


def alone(batch: EpisodeBatch, b: int) -> EpisodeBatch:
    return batch.select(torch.tensor([b])).shorten(int(batch.valid[b].sum()))


def present(batch: EpisodeBatch, t: int, i: int) -> bool:
    return batch.is_active is None or bool(batch.is_active[0, t, i])


def log_probs(learner: PPOLearner, batch: EpisodeBatch) -> list[list[list[float]]]:
    """Of every action, [T][N][A] of one episode, -inf where it is not available."""
    logits = learner.controller.outputs(batch, batch.n_steps)[0].detach()
    rows = logits.masked_fill(~batch.avail[0, : batch.n_steps], -torch.inf).log_softmax(-1)
    return rows.tolist()  # type: ignore[no-any-return]


def slow_values(learner: PPOLearner, batch: EpisodeBatch) -> list[list[float]]:
    """[T+1][C]"""
    seen = learner.controller.agent_inputs(batch, batch.n_steps + 1)
    inputs = CriticInputs(batch.state, seen.x, is_active=seen.is_active)
    values = learner.critic(inputs)[0].detach().tolist()
    if learner.critic.n_values == 1:
        return values  # type: ignore[no-any-return]
    return [[v * present(batch, t, i) for i, v in enumerate(row)] for t, row in enumerate(values)]


def slow_advantages(learner: PPOLearner, batch: EpisodeBatch) -> list[list[float]]:
    """[T][C], of one episode, by the definition: a sum over all later errors."""
    values, t_end = slow_values(learner, batch), batch.n_steps
    if batch.terminated[0, -1]:
        values[t_end] = [0.0] * len(values[0])
    rewards = batch.reward[0].tolist()
    rows = []
    for t in range(t_end):
        row = []
        for c in range(len(values[0])):
            errors = [
                rewards[s][c % len(rewards[s])] + GAMMA * values[s + 1][c] - values[s][c]
                for s in range(t, t_end)
            ]
            row.append(sum((GAMMA * LAMBDA) ** k * error for k, error in enumerate(errors)))
        rows.append(row)
    return rows


def slow_loss(learner: PPOLearner, batch: EpisodeBatch, old: Any, targets: Any) -> float:
    """`old`: [B][T][N][A]; `targets`: advantages and critic's targets, [B][T][C]; of before."""
    surrogates, entropies, errors = [], [], []
    n, joint = learner.controller.info.n_agents, learner.config.ratio == "joint"
    for b in range(batch.n_episodes):
        one = alone(batch, b)
        new, values = log_probs(learner, one), slow_values(learner, one)
        for t in range(one.n_steps):
            here = [i for i in range(n) if present(one, t, i)]
            actions = one.actions[0, t].tolist()
            changes = {i: new[t][i][actions[i]] - old[b][t][i][actions[i]] for i in here}
            for i in [here[0]] if joint else here:
                ratio = math.exp(sum(changes.values()) if joint else changes[i])
                advantage = targets[0][b][t][i % len(targets[0][b][t])]
                clipped = min(max(ratio, 1 - CLIP), 1 + CLIP)
                surrogates.append(min(ratio * advantage, clipped * advantage))
            entropies += [-sum(math.exp(x) * x for x in new[t][i] if x > -math.inf) for i in here]
            columns = range(len(values[t]))
            errors += [
                (values[t][c] - targets[1][b][t][c]) ** 2
                for c in columns
                if len(columns) == 1 or c in here
            ]
    mean = np.mean
    return float(-mean(surrogates) - 0.3 * mean(entropies) + 0.5 * mean(errors))


CASES = [
    (critic, n_rewards, ratio, rich, ends)
    for critic, n_rewards, ratio, rich, ends in product(
        CRITICS, (1, 3), ("per_agent", "joint"), (False, True), (MIXED, TERMINATED)
    )
    if ratio == "per_agent" or (critic != "own" and n_rewards == 1)
]


@pytest.mark.parametrize(("critic", "n_rewards", "ratio", "rich", "ends"), CASES)
def test_loss_equals_the_slow_loop(
    critic: str, n_rewards: int, ratio: str, rich: bool, ends: Ends
) -> None:
    info = fake_info(**RICH) if rich else INFO
    info = replace(info, truncates=ends is MIXED)
    learner = make(info, critic, n_rewards, ratio=ratio, **PLAIN)
    batch = fake_batch(info, ends, n_rewards=n_rewards)
    episodes = [alone(batch, b) for b in range(batch.n_episodes)]
    old = [log_probs(learner, one) for one in episodes]
    advantages = [slow_advantages(learner, one) for one in episodes]
    values = [slow_values(learner, one) for one in episodes]
    targets = [
        [[a + v for a, v in zip(*rows, strict=True)] for rows in zip(adv, val[:-1], strict=True)]
        for adv, val in zip(advantages, values, strict=True)
    ]
    prepared = learner.prepare(batch)
    move(learner)
    loss, details = learner.loss(prepared)
    expected = slow_loss(learner, batch, old, (advantages, targets))
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    assert details["clip_fraction"]() > 0
    assert details["approx_kl"]() > 0


def gradients(learner: PPOLearner, batch: PPOBatch) -> list[torch.Tensor]:
    learner.online.zero_grad()
    learner.loss(batch)[0].backward()
    return [p.grad.clone() for p in learner.online.parameters() if p.grad is not None]


@pytest.mark.parametrize("critic", CRITICS)
def test_one_epoch_and_one_minibatch_are_the_advantage_actor_critic(critic: str) -> None:
    learner, batch = make(critic=critic), fake_batch(INFO)
    prepared = learner.prepare(batch)
    assert prepared.old_log_prob.requires_grad is False
    ours = gradients(learner, prepared)
    learner.online.zero_grad()
    policy = learner.policies(learner.agent_inputs(batch, batch.n_steps))
    gain = prepared.advantage * learner.log_prob(policy, batch)
    bonus = 0.3 * learner.mean(policy.entropy(), batch)
    own = learner.controller.agent_inputs(batch, batch.n_steps).x
    error = learner.critic(CriticInputs(batch.state[:, :-1], own)) - prepared.target
    (0.5 * learner.mean(error.square(), batch) - learner.mean(gain, batch) - bonus).backward()
    for mine, p in zip(ours, learner.online.parameters(), strict=True):
        torch.testing.assert_close(mine, p.grad)


@pytest.mark.parametrize("critic", CRITICS)
def test_padding_changes_nothing(critic: str) -> None:
    info, batch = fake_info(**RICH), fake_batch(fake_info(**RICH))
    first, second = make(info, critic), make(info, critic)
    for a, b in zip(
        gradients(first, first.prepare(batch)),
        gradients(second, second.prepare(pad(batch, 3))),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    assert first.advantages.moments.state_dict() == pytest.approx(
        second.advantages.moments.state_dict(), abs=1e-6
    )


def test_what_absent_agents_see_and_do_changes_nothing() -> None:
    info = fake_info(**RICH)
    results = []
    for episodes in (fake_batch(info), with_noisy_absent(fake_batch(info))):
        learner = make(info, "own", use_rnn=False)  # memory keeps what was seen while absent
        results.append(gradients(learner, learner.prepare(episodes)))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("end", "counts"), [("truncated", True), ("terminated", False)])
def test_the_last_value_counts_after_a_time_limit_only(end: str, counts: bool) -> None:
    learner, batch = make(**PLAIN), fake_batch(INFO, ((6, end), (6, end)))
    before = learner.prepare(batch).advantage
    batch.state[:, -1] += 10.0
    assert torch.equal(learner.prepare(batch).advantage, before) is not counts


def test_ratios_are_one_before_the_first_step() -> None:
    learner = make()
    _, details = learner.loss(learner.prepare(fake_batch(INFO)))
    assert details["clip_fraction"]() == 0
    assert abs(details["approx_kl"]()) < 1e-6


def test_advantages_and_targets_are_normalised_over_what_counts() -> None:
    learner, batch = make(), fake_batch(INFO)
    plain = make(**PLAIN).prepare(batch)
    prepared = learner.prepare(batch)
    real = batch.valid.squeeze(2)
    pairs = ((prepared.advantage, plain.advantage), (prepared.target, plain.target))
    for got, raw in pairs:
        values = raw[real]
        expected = (values - values.mean()) / values.std(correction=0)
        torch.testing.assert_close(got[real], expected, atol=1e-5, rtol=1e-4)
    before = learner.advantages.moments.state_dict()
    learner.prepare(batch)
    assert learner.advantages.moments.state_dict() != before


def test_advantages_of_nothing_but_noise_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    learner, batch = make(), fake_batch(INFO)
    batch.reward.zero_()
    with torch.no_grad():
        for p in learner.critic.parameters():
            p.zero_()
    prepared = learner.prepare(batch)
    assert prepared.advantage.abs().max() < 1e-5
    learner.train(prepared, 0, 0)
    learner.metrics()
    assert "use learner_args.normalise_advantage=False" in capsys.readouterr().err
    learner.train(prepared, 0, 0)
    learner.metrics()
    assert capsys.readouterr().err == ""


def test_each_epoch_sees_each_episode_once_and_then_the_batch_is_dropped() -> None:
    learner = make(epochs=3, minibatches=2)
    buffer = Rollout(None, EpisodeBatch.zeros(INFO, 4, CPU), np.random.default_rng(0), False)
    learner.update(buffer, Progress(0, 0))
    assert learner.updates == 0
    buffer.add(fake_batch(INFO))
    batches = list(learner.batches(buffer))
    assert [b.n_episodes for b in batches] == [2] * 6
    key = buffer.episodes().state[:, 0, 0]
    for epoch in range(3):
        seen = torch.cat([b.state[:, 0, 0] for b in batches[2 * epoch : 2 * epoch + 2]])
        assert torch.equal(seen.sort().values, key.sort().values)
    learner.update(buffer, Progress(14, 4))
    assert (learner.updates, buffer.n_episodes) == (6, 0)
    assert learner.plan == "6 gradient step(s) of 16 episodes per 32 collected"


def test_the_critic_has_a_separate_learning_rate() -> None:
    learner = make(critic_lr=0.5)
    learner.settings = replace(learner.settings, lr_schedule="linear")
    learner.train(learner.prepare(fake_batch(INFO)), 500, 4)
    rates = [group["lr"] for group in learner.optimizer.param_groups]
    assert rates == pytest.approx([0.005, 0.25])
    other = make(critic_lr=0.5)
    other.settings = learner.settings
    other.load_state_dict(learner.state_dict())
    assert [group["lr"] for group in other.optimizer.param_groups] == rates


@pytest.mark.parametrize(
    ("alg", "override", "expected"),
    [
        ("mappo", "buffer=replay", "Use buffer=rollout"),
        ("qmix", "buffer=rollout", "Use buffer=replay"),
        ("mappo", "critic=none", "Use critic=.*own_value or state_value"),
        ("qmix", "critic=state_value", "Use critic=none"),
        ("mappo", "mixer=vdn", "Use mixer=none"),
        ("mappo", "action_selector=epsilon_greedy", "Use action_selector=categorical"),
        ("mappo", "action_selector_args.epsilon_finish=0.1", "epsilon_finish=0.1 replaces actions"),
        ("mappo", "learner_args.minibatches=3", "3 parts do not divide the 256 episodes"),
        ("mappo", "batch_size=384", "Use batch_size=256"),
        ("mappo", "target_update.interval=5", "no target networks"),
        ("qmix", "batch_size=6000", "raise buffer_size or lower batch_size"),
        ("mat", "reward_aggregation=individual", "needs a team reward.*Use sum or mean"),
        ("mat", "use_rnn=True", "mat_agent has no memory of earlier steps.*Use auto or False"),
        ("mat", "controller=basic_controller", "choose at once. Use controller=mat_controller"),
        ("mat", "agent=agp_agent", "does not read the actions.*Use agent=mat_agent"),
        ("mat", "learner=coma_learner", "Use learner=ppo_learner"),
        ("mat", "critic=none", "Use critic=.*encoder_value"),
        (
            "mappo",
            "critic=encoder_value",
            "has none. Use critic=.*own_value",
        ),
        ("qmix", "controller=mat_controller", "Use learner=ppo_learner"),
    ],
)
def test_impossible_combinations_are_errors(alg: str, override: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        check_combination(load_config(alg, None, [override]))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("buffer_size=5000", "buffer_size: buffer=rollout keeps .*=256. Set batch_size"),
        ("train_every_episodes=8", "train_every_episodes: buffer=rollout keeps .*batch_size=256"),
        ("updates_per_round=4", "updates_per_round: with .* Set learner_args.epochs"),
        ("epsilon_anneal_time=9", "epsilon_finish are both 0.0, so nothing falls"),
    ],
)
def test_what_rollouts_do_not_read_is_an_error(override: str, expected: str) -> None:
    """Given for the method or by the user, not by the task's file, which serves every method."""
    with pytest.raises(ConfigError, match=f"^command line: .*{expected}"):
        load_config("mappo", "assignment", [override])
    config = load_config("mappo", "assignment", [])
    assert (config.buffer_size, config.train_every_episodes) == (256, 256)
    load_config("qmix", "assignment", [override])


def test_a_method_s_file_is_no_place_for_what_rollouts_do_not_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("learner: ppo_learner\nbuffer: rollout\nbuffer_size: 7\n")
    with pytest.raises(ConfigError, match=f"^{path}: buffer_size: buffer=rollout keeps"):
        load_config(str(path), None, [])


def test_the_batch_size_may_be_repeated() -> None:
    """As EPyMARL's files for on-policy methods do: buffer_size is batch_size."""
    again = ["batch_size_run=10", "batch_size=10", "buffer_size=10", "train_every_episodes=10"]
    load_config("mappo", "assignment", [*again, "learner_args.minibatches=1"])


def test_a_run_s_record_may_hold_them(tmp_path: Path) -> None:
    config = tiny("mappo", "topk")
    dump(config, tmp_path / "config.yaml")
    assert load_recorded(tmp_path, []) == config
    with pytest.raises(ConfigError, match=r"^command line: buffer_size: buffer=rollout"):
        load_recorded(tmp_path, ["buffer_size=9"])


def test_a_joint_ratio_needs_one_advantage() -> None:
    with pytest.raises(UserError, match="Use critic=state_value"):
        make(critic="own", ratio="joint")


def test_a_critic_of_the_state_needs_one() -> None:
    config = load_config("mappo", None, [])
    info = replace(INFO, state_dim=0)
    with pytest.raises(UserError, match=r"env=topk has none. Use critic=.*own_value"):
        build_learner(config, build_controller(config, info))
    coma = load_config("coma", None, [])
    with pytest.raises(UserError, match=r"Use a method without such a critic, such as"):
        build_learner(coma, build_controller(coma, info))
    ippo = load_config("ippo", None, [])
    build_learner(ippo, build_controller(ippo, info))


@pytest.mark.parametrize(
    ("name", "value"),
    [("clip", 0.0), ("gae_lambda", 1.5), ("epochs", 0), ("entropy_start", -1.0), ("value_coef", 0)],
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=name):
        PPOLearnerConfig(**{name: value})


def test_memory_for_a_cuda_graph_fits_the_minibatches() -> None:
    learner = make(minibatches=2, critic="own")
    learner.settings = replace(learner.settings, batch_size=4)
    buffer = Rollout(None, EpisodeBatch.zeros(INFO, 4, CPU), np.random.default_rng(0), True)
    memory = learner.batch_memory(buffer)
    buffer.add(fake_batch(INFO))
    part = next(learner.batches(buffer))
    assert {k: (x.shape, x.dtype) for k, x in memory.items()} == {
        k: (x.shape, x.dtype) for k, x in part.items()
    }
    learner._captured_batch = memory
    assert next(learner.batches(buffer)) is memory


@pytest.mark.parametrize("alg", ["mappo", "ippo", "coma"])
def test_agents_can_be_paid_and_can_learn_apart(alg: str, tmp_path: Path) -> None:
    """Individual rewards, and separate weights for each agent."""
    settings = ("reward_aggregation=individual", "agent_args.share_parameters=False")
    run_dir = train(tiny(alg, "mpe_tag", *settings, "t_max=16", "env_args.max_cycles=3"), tmp_path)
    assert {"loss", "entropy"} <= {row["key"] for row in rows(run_dir)}
