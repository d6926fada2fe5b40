"""The loss against plain Python: one episode, one step and one agent at a time, no padding."""

import copy
from dataclasses import replace
from itertools import product
from typing import Any, Literal

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
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.masking import masked_mean
from components.settings import AgentSettings, TargetUpdate, TrainingSettings
from envs.base import EnvInfo
from learners._optimiser import clip_gradient
from learners.q_learner import QLearner, QLearnerConfig
from modules.action_graph.layer import ActionGraphConfig
from modules.agents.agp_agent import AGPAgentConfig
from modules.agents.rnn_agent import RNNAgentConfig
from modules.mixers.none import NoMixer
from modules.mixers.qmix import QMixConfig, QMixer
from modules.mixers.vdn import VDNMixer
from utils.errors import NumericalError, SettingsError, UserError
from utils.seeding import seeded_initialisation

GAMMA = 0.9
INFO = fake_info(action_counts=(4, 2, 3))
ONE_STEP = fake_info(episode_limit=1, truncates=False, fixed_length=True)
MIXERS = {"none": NoMixer, "vdn": VDNMixer, "qmix": QMixer}
EVERY_LOSS = list(product(["none", "vdn", "qmix"], [True, False], [0.0, 0.6], [True, False]))


def make(
    info: EnvInfo = INFO,
    mixer: str = "qmix",
    agent: tuple[str, Any] = ("rnn_agent", RNNAgentConfig()),
    double_q: bool = True,
    td_lambda: float = 0.0,
    use_rnn: Literal["auto", True, False] = "auto",
    **settings: Any,
) -> QLearner:
    with seeded_initialisation(2):
        module = MIXERS[mixer](QMixConfig(4, 2, 8), info.n_agents, info.state_dim)
    learner = QLearner(
        QLearnerConfig(double_q, td_lambda),
        TrainingSettings(**{"gamma": GAMMA} | settings),
        make_controller(info, *agent, shared=AgentSettings(hidden_dim=8, use_rnn=use_rnn)),
        module,
        t_max=1000,
    )
    with torch.no_grad(), seeded_initialisation(3):  # targets that differ from what is trained
        for p in learner.target.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return learner


def best_action(values: list[float], avail: list[bool]) -> int:
    return max((a for a in range(len(values)) if avail[a]), key=lambda a: values[a])


def slow_episode(learner: QLearner, batch: EpisodeBatch, b: int, rewards: Tensor) -> list[float]:
    """Squared TD errors that count, of one episode alone. rewards: [T_b, R]."""
    length, lam = int(batch.valid[b].sum()), learner.config.td_lambda
    alone = batch.select(torch.tensor([b])).shorten(length)
    q = learner.controller.outputs(alone, length + 1)[0].tolist()
    q_target = learner.controller.outputs(alone, length + 1, learner.target["agent"])[0].tolist()
    n = learner.controller.info.n_agents

    def active(t: int, i: int) -> bool:
        return alone.is_active is None or bool(alone.is_active[0, t, i])

    def mix(net: nn.ModuleDict, t: int, values: list[float]) -> list[float]:
        row = torch.tensor([[[v * active(t, i) for i, v in enumerate(values)]]])
        return net["mixer"](row, alone.state[:, t : t + 1])[0, 0].tolist()

    taken, after = [], []
    for t in range(length + 1):
        if t < length:
            chosen = [q[t][i][int(alone.actions[0, t, i])] for i in range(n)]
            taken.append(mix(learner.online, t, chosen))
        if t > 0:
            chooser = q if learner.config.double_q else q_target
            avail = alone.avail[0, t].tolist()
            best = [q_target[t][i][best_action(chooser[t][i], avail[i])] for i in range(n)]
            after.append(mix(learner.target, t, best))
    ended, errors = bool(alone.terminated[0, -1]), []
    for t, r in product(range(length), range(len(taken[0]))):

        def n_step(n_steps: int, t: int = t, r: int = r) -> float:
            steps = range(t, t + n_steps)
            total = sum(GAMMA ** (s - t) * rewards[s, r % rewards.shape[1]].item() for s in steps)
            if ended and t + n_steps == length:
                return total
            return total + GAMMA**n_steps * after[t + n_steps - 1][r]

        left = length - t
        target = sum((1 - lam) * lam ** (m - 1) * n_step(m) for m in range(1, left))
        target += lam ** (left - 1) * n_step(left)
        if len(taken[0]) == 1 or active(t, r):
            errors.append((taken[t][r] - target) ** 2)
    return errors


def slow_loss(learner: QLearner, batch: EpisodeBatch) -> float:
    errors = []
    for b in range(batch.n_episodes):
        length = int(batch.valid[b].sum())
        errors += slow_episode(learner, batch, b, batch.reward[b, :length])
    return sum(errors) / len(errors)


@pytest.mark.parametrize(("mixer", "double_q", "td_lambda", "truncates"), EVERY_LOSS)
def test_loss_equals_the_slow_loop(
    mixer: str, double_q: bool, td_lambda: float, truncates: bool
) -> None:
    info = replace(INFO, truncates=truncates)
    learner = make(info, mixer, double_q=double_q, td_lambda=td_lambda)
    assert learner.bootstraps_last == truncates
    batch = fake_batch(info, MIXED if truncates else TERMINATED)
    loss, _ = learner.loss(batch)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(slow_loss(learner, batch), rel=1e-4)


@pytest.mark.parametrize("td_lambda", [0.0, 0.6])
def test_loss_with_individual_rewards(td_lambda: float) -> None:
    learner = make(mixer="none", td_lambda=td_lambda)
    batch = fake_batch(INFO, n_rewards=3)
    assert learner.loss(batch)[0].item() == pytest.approx(slow_loss(learner, batch), rel=1e-4)


@pytest.mark.parametrize("truncates", [True, False])
@pytest.mark.parametrize(("mixer", "td_lambda"), list(product(MIXERS, [0.0, 0.6])))
def test_loss_of_teams_that_vary(mixer: str, td_lambda: float, truncates: bool) -> None:
    info = fake_info(**RICH, truncates=truncates)
    agent = AGPAgentConfig(graph=ActionGraphConfig(embed_dim=8, heads=2), recurrent="pre")
    learner = make(info, mixer, ("agp_agent", agent), td_lambda=td_lambda)
    batch = fake_batch(info, MIXED if truncates else TERMINATED)
    assert learner.loss(batch)[0].item() == pytest.approx(slow_loss(learner, batch), rel=1e-4)


@pytest.mark.parametrize("mixer", MIXERS)
def test_loss_of_one_step_games(mixer: str) -> None:
    learner = make(ONE_STEP, mixer)
    batch = fake_batch(ONE_STEP, ((1, "terminated"),) * 5)
    assert learner.loss(batch)[0].item() == pytest.approx(slow_loss(learner, batch), rel=1e-4)


@pytest.mark.parametrize("mixer", ["none", "vdn"])
def test_inactive_agents_get_no_gradient(mixer: str) -> None:
    info = fake_info(**RICH)
    learner = make(info, mixer, ("rnn_agent", RNNAgentConfig(share_parameters=False)))
    batch = fake_batch(info)
    batch.is_active[:, :, 2] = False
    learner.loss(batch)[0].backward()
    for name in ("first", "last"):
        gradient = getattr(learner.online["agent"], name).weight.grad.abs().sum(dim=(1, 2))
        assert gradient[2] == 0
        assert (gradient[:2] > 0).all()


def test_value_by_hand() -> None:
    """VDN, two steps, network outputs replaced by a table."""
    info = fake_info(n_agents=2, n_actions=2, episode_limit=2)
    table = torch.tensor([[[1.0, 2], [3, 4]], [[5, 6], [8, 7]], [[1, 0], [0, 1]]])  # [T+1, N, A]
    expected = {
        # taken 1 + 4 = 5; target 10 + 0.5 (6 + 8) = 17
        # taken 6 + 7 = 13; target 20, plus 0.5 (1 + 1) = 1 if only truncated
        "terminated": ((5 - 17) ** 2 + (13 - 20) ** 2) / 2,
        "truncated": ((5 - 17) ** 2 + (13 - 21) ** 2) / 2,
    }
    for end, loss in expected.items():
        learner = make(info, "vdn", gamma=0.5)
        learner.controller.outputs = lambda *_: table.unsqueeze(0)  # type: ignore[method-assign]
        batch = fake_batch(info, ((2, end),))
        batch.avail[:] = True
        batch.actions[0] = torch.tensor([[0, 1], [1, 1]])
        batch.reward[0, :, 0] = torch.tensor([10.0, 20.0])
        assert learner.loss(batch)[0].item() == pytest.approx(loss)


def gradients(learner: QLearner, batch: EpisodeBatch) -> tuple[float, list[Tensor]]:
    learner.online.zero_grad()
    loss = learner.loss(batch)[0]
    loss.backward()
    return loss.item(), [p.grad.clone() for p in learner.online.parameters()]


AGP = ("agp_agent", AGPAgentConfig("post", graph=ActionGraphConfig(embed_dim=8, heads=2)))
AGENTS = {"rnn": (("rnn_agent", RNNAgentConfig()), True), "agp": (AGP, False), "post": (AGP, True)}


@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(("mixer", "td_lambda"), list(product(MIXERS, [0.0, 0.6])))
def test_padding_changes_neither_loss_nor_gradient(
    mixer: str, td_lambda: float, agent: str, rich: bool
) -> None:
    info = fake_info(**RICH) if rich else INFO
    network, use_rnn = AGENTS[agent]
    learner = make(info, mixer, network, td_lambda=td_lambda, use_rnn=use_rnn)
    batch = fake_batch(info)
    loss, gradient = gradients(learner, batch)
    longer_loss, longer_gradient = gradients(learner, pad(batch, 5))
    assert longer_loss == pytest.approx(loss, rel=1e-6)
    for a, b in zip(gradient, longer_gradient, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("mixer", "agent"), list(product(MIXERS, AGENTS)))
def test_gradient_reaches_every_parameter_and_no_target(mixer: str, agent: str) -> None:
    learner = make(mixer=mixer, agent=AGENTS[agent][0], use_rnn=AGENTS[agent][1])
    learner.loss(fake_batch(INFO))[0].backward()
    for name, p in learner.online.named_parameters():
        assert p.grad.abs().sum() > 0, name
    assert not any(p.requires_grad or p.grad is not None for p in learner.target.parameters())


def test_reward_scaling_reaches_the_targets() -> None:
    learner, batch = make(mixer="vdn", reward_scaling="std"), fake_batch(INFO)
    learner.observe(batch)
    deviation = batch.reward[batch.valid].std(correction=0)
    plain = make(mixer="vdn")
    scaled = replace(batch, reward=batch.reward / deviation)
    torch.testing.assert_close(learner.loss(batch)[0], plain.loss(scaled)[0])


def weights(module: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in module.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("shape", [(4, 1), (4, 1, 2), (4, 3)])
def test_a_mixer_that_returns_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    learner = make(ONE_STEP, "vdn")
    learner.online["mixer"].forward = lambda *_: torch.zeros(shape)  # type: ignore[assignment]
    with pytest.raises(UserError, match=r"VDNMixer: .*\[B, L, 1\]=\[4, 1, 1\].* returned \["):
        learner.loss(learner.prepare(fake_batch(ONE_STEP, ((1, "terminated"),) * 4)))


def test_targets_start_equal() -> None:
    module = VDNMixer(None, 3, 7)
    controller = make_controller(INFO, "rnn_agent", RNNAgentConfig())
    learner = QLearner(QLearnerConfig(), TrainingSettings(), controller, module, 1000)
    assert same(weights(learner.online), weights(learner.target))
    assert learner.online["agent"] is controller.agent


def test_hard_targets_by_episodes() -> None:
    learner, batch = make(target_update=TargetUpdate(interval=20)), fake_batch(INFO)
    copied = []
    for episodes in (8, 16, 24, 32, 40, 48):
        learner.train(batch, env_steps=0, episodes=episodes)
        copied.append(same(weights(learner.online), weights(learner.target)))
    # At 24 the first 20 are over; the next are due at 44.
    assert copied == [False, False, True, False, False, True]


def test_hard_targets_by_updates() -> None:
    rule = TargetUpdate(interval=3, unit="updates")
    learner, batch = make(target_update=rule), fake_batch(INFO)
    copied = []
    for _ in range(7):
        learner.train(batch, env_steps=0, episodes=10_000)
        copied.append(same(weights(learner.online), weights(learner.target)))
    assert copied == [False, False, True, False, False, True, False]


@pytest.mark.parametrize("unit", ["episodes", "updates"])
def test_soft_targets(unit: str) -> None:
    rule = TargetUpdate("soft", interval=1, unit=unit, tau=0.25)  # type: ignore[arg-type]
    learner, batch = make(target_update=rule), fake_batch(INFO)
    for update in range(1, 4):
        before = weights(learner.target)
        learner.train(batch, env_steps=0, episodes=update)
        for old, new, online in zip(
            before, learner.target.parameters(), weights(learner.online), strict=True
        ):
            torch.testing.assert_close(new, 0.75 * old + 0.25 * online)


def test_linear_learning_rate() -> None:
    learner, batch = make(lr=0.01, lr_schedule="linear"), fake_batch(INFO)
    for env_steps, lr in [(0, 0.01), (250, 0.0075), (1000, 0.0)]:
        learner.train(batch, env_steps, 1)
        assert learner.metrics()["lr"] == pytest.approx(lr)
    before = weights(learner.online)
    learner.train(batch, 1200, 1)  # past t_max the rate stays zero
    assert same(before, weights(learner.online))


def test_the_graph_has_its_part_of_the_learning_rate() -> None:
    graph = ActionGraphConfig(embed_dim=8, heads=2, lr_factor=0.25)
    learner = make(agent=("agp_agent", AGPAgentConfig(graph=graph)), lr=0.004)
    before = {name: w.detach().clone() for name, w in learner.online.agent.named_parameters()}
    learner.train(fake_batch(INFO), 0, 4)
    for name, weight in learner.online.agent.named_parameters():  # Adam's first step is lr
        step = (weight.detach() - before[name]).abs().max().item()
        rate = 0.001 if name.startswith("graph.") else 0.004
        assert step == pytest.approx(rate, rel=1e-3), name


def test_constant_learning_rate() -> None:
    learner = make(lr=0.01)
    learner.train(fake_batch(INFO), 900, 1)
    assert learner.metrics()["lr"] == 0.01


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_training_lowers_the_loss(optimizer: str) -> None:
    # Without double Q the targets stand still here.
    learner, batch = make(lr=3e-3, optimizer=optimizer, double_q=False), fake_batch(INFO)
    first = learner.loss(batch)[0].item()
    for _ in range(30):
        learner.train(batch, 0, 0)
    assert learner.loss(batch)[0].item() < 0.8 * first


def test_gradient_is_clipped() -> None:
    learner, batch = make(grad_norm_clip=1e-3), fake_batch(INFO)
    _, gradient = gradients(learner, batch)
    norm = torch.cat([g.flatten() for g in gradient]).norm().item()
    learner.train(batch, 0, 0)
    assert learner.metrics()["grad_norm"] == pytest.approx(norm, rel=1e-5)
    clipped = torch.cat([p.grad.flatten() for p in learner.online.parameters()]).norm()
    assert clipped.item() == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("largest", [0.1, 100.0])
def test_clipping_is_that_of_pytorch(largest: float) -> None:
    ours, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    for one in (ours, theirs):
        for k, p in enumerate(one.parameters()):
            p.grad = torch.arange(p.numel()).view_as(p) - 3.0 + k
    parameters = list(ours.parameters())
    norm = nn.utils.clip_grad_norm_(theirs.parameters(), largest)
    assert torch.equal(clip_gradient(parameters, largest), norm)
    for p, q in zip(parameters, theirs.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_changes_no_weight_and_stops_training(
    bad: float, optimizer: str
) -> None:
    learner, batch = make(optimizer=optimizer), fake_batch(INFO)
    learner.train(batch, 0, 0)
    before = weights(learner.online)
    batch.reward[1, 2] = bad
    learner.train(batch, env_steps=77, episodes=0)
    learner.train(batch, env_steps=99, episodes=0)
    assert same(before, weights(learner.online))
    for read in (learner.metrics, learner.state_dict):  # at the next row, and before a checkpoint
        with pytest.raises(NumericalError, match=r"The loss is (nan|inf) at update 2 .*step 77\)"):
            read()


def test_losses_are_read_before_too_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learners._update_record.MOST_UNREAD", 3)
    learner, batch = make(), fake_batch(INFO)
    for _ in range(4):
        learner.train(batch, 0, 0)
    assert len(learner._record._unread) == 1
    assert learner._record._sums["n"] == 3
    batch.reward[1, 2] = torch.nan
    learner.train(batch, 5, 0)
    with pytest.raises(NumericalError, match="at update 5"):
        learner.train(batch, 6, 0)


def test_a_gradient_that_is_not_finite_stops_training() -> None:
    learner, batch = make(), fake_batch(INFO)
    before = weights(learner.online)
    learner.online["agent"].first.weight.register_hook(lambda g: g * torch.nan)
    learner.train(batch, 0, 0)
    assert same(before, weights(learner.online))
    with pytest.raises(NumericalError, match="The gradient norm is nan at update 1"):
        learner.metrics()


def test_rewards_in_padding_count_for_nothing() -> None:
    learner, batch = make(), fake_batch(INFO)
    loss = learner.loss(batch)[0]
    batch.reward[~batch.valid] = 1e9
    assert torch.equal(learner.loss(batch)[0], loss)


def test_metrics() -> None:
    learner, batch = make(), fake_batch(INFO)
    assert learner.metrics() == {}
    losses = []
    for _ in range(3):
        losses.append(learner.loss(batch)[0].item())
        learner.train(batch, 0, 0)
    row = learner.metrics()
    assert row.keys() == QLearner.metric_descriptions.keys()
    assert row["loss"] == pytest.approx(sum(losses) / 3)
    assert learner.metrics() == {}


def test_metrics_of_the_last_update() -> None:
    learner, batch = make(mixer="vdn"), fake_batch(INFO)
    q = learner.controller.outputs(batch, 6).detach()
    taken = q.gather(3, batch.actions.unsqueeze(3)).sum(dim=(2, 3))
    expected = taken[batch.valid.squeeze(2)].mean().item()
    learner.train(batch, 0, 0)
    row = learner.metrics()
    assert row["q_taken_mean"] == pytest.approx(expected, rel=1e-5)
    assert row["td_error_abs"] ** 2 <= row["loss"]


def test_state_round_trip() -> None:
    rule = TargetUpdate(interval=30)
    old, batch = make(target_update=rule, reward_scaling="std"), fake_batch(INFO)

    def train(learner: QLearner, updates: range) -> None:
        for i in updates:
            learner.observe(batch)
            learner.train(batch, 10 * i, 10 * i)

    train(old, range(1, 5))
    new = make(target_update=rule, reward_scaling="std")
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    train(old, range(5, 9))
    train(new, range(5, 9))
    assert same(weights(old.online), weights(new.online))
    assert same(weights(old.target), weights(new.target))
    assert old.updates == new.updates == 8
    assert old.metrics() == new.metrics()


def test_metrics_survive_the_round_trip() -> None:
    old, new, batch = make(), make(), fake_batch(INFO)
    old.train(batch, 0, 0)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    assert new.metrics() == old.metrics() != {}


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_constants_of_the_optimizer_come_from_the_settings(optimizer: str) -> None:
    old = make(lr=0.01, optimizer=optimizer)
    alpha = {"optim_alpha": 0.25} if optimizer == "rmsprop" else {}
    new = make(lr=0.02, optimizer=optimizer, optim_eps=0.5, **alpha)
    old.train(fake_batch(INFO), 0, 0)
    new.load_state_dict(copy.deepcopy(old.state_dict()))
    (group,) = new.optimizer.param_groups
    assert (group["lr"], group["eps"]) == (0.02, 0.5)
    assert group.get("alpha", 0.25) == 0.25


def test_state_of_another_optimizer() -> None:
    state = make(optimizer="rmsprop").state_dict()
    with pytest.raises(ValueError, match="trained with optimizer=rmsprop, not adam"):
        make(optimizer="adam").load_state_dict(state)


def test_masked_mean() -> None:
    x = torch.tensor([[[1.0, 2.0], [torch.nan, torch.inf]]])
    assert masked_mean(x, torch.tensor([[[True], [False]]])).item() == 1.5
    assert masked_mean(x[:, :1], None).item() == 1.5


def test_lambda_out_of_range() -> None:
    with pytest.raises(SettingsError, match=r"td_lambda: 1.5 must lie in \[0, 1\]"):
        QLearnerConfig(td_lambda=1.5)
