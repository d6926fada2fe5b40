"""Losses of QTRAN, QPLEX and weighted QMIX against plain Python, one step at a time."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from tests.helpers.fake_envs import MIXED, RICH, TERMINATED, fake_batch, fake_info
from torch import Tensor, nn

from build import build_controller
from build_training import build_learner
from components.episode_batch import EpisodeBatch
from components.masking import masked_mean
from config.combinations import check_combination
from config.load import load_config
from envs.base import EnvInfo
from learners.q_learner import QLearner
from utils.errors import ConfigError, SettingsError
from utils.seeding import seeded_initialisation

GAMMA = 0.9
PLAIN = fake_info(action_counts=(4, 2, 3))
VARYING = fake_info(**RICH)
ONE_STEP = fake_info(episode_limit=1, truncates=False, fixed_length=True)
ALGS = ["qtran", "qplex", "cw_qmix", "ow_qmix"]
Row = list[list[float]]  # [N][A], the values of one step


def make(alg: str, info: EnvInfo = PLAIN, *overrides: str) -> QLearner:
    config = load_config(alg, None, ["hidden_dim=8", f"gamma={GAMMA}", *overrides])
    learner = build_learner(config, build_controller(config, info))
    assert isinstance(learner, QLearner)
    with torch.no_grad(), seeded_initialisation(3):  # targets that differ from what is trained
        for p in learner.target.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return learner


class Slow:
    """One episode alone, without padding; values of joint actions, one step at a time."""

    def __init__(self, learner: QLearner, batch: EpisodeBatch, b: int):
        self.learner, self.length = learner, int(batch.valid[b].sum())
        self.n = learner.controller.info.n_agents
        self.batch = batch.select(torch.tensor([b])).shorten(self.length)
        self.ended = bool(self.batch.terminated[0, -1])
        self.online, self.target = learner.online, learner.target

    def values(self, network: nn.Module, t: int) -> Row:
        """Q_i of every action at step t, from the whole history."""
        row: Row = self.learner.controller.outputs(self.batch, t + 1, network)[0, t].tolist()
        return row

    def present(self, t: int) -> list[int]:
        active = self.batch.is_active
        return [i for i in range(self.n) if active is None or active[0, t, i]]

    def greedy(self, network: nn.Module, t: int) -> list[int]:
        values, avail = self.values(network, t), self.batch.avail[0, t].tolist()
        return [
            max((a for a, ok in enumerate(avail[i]) if ok), key=values[i].__getitem__)
            for i in range(self.n)
        ]

    def actions(self, t: int) -> list[int]:
        taken: list[int] = self.batch.actions[0, t].tolist()
        return taken

    def state(self, t: int) -> Tensor:
        return self.batch.state[:, t : t + 1]

    def row(self, network: nn.Module, t: int, joint: list[int]) -> Tensor:
        """Q_i(joint_i), zero for absent agents, [1, 1, N]."""
        values = self.values(network, t)
        numbers = [values[i][joint[i]] if i in self.present(t) else 0.0 for i in range(self.n)]
        return torch.tensor([[numbers]])

    def chooser(self) -> nn.Module:
        nets = self.online if self.learner.config.double_q else self.target
        return nets["agent"]

    def targets(self, value: Callable[[int, list[int]], float], chooser: nn.Module) -> list[float]:
        """TD(lambda) targets from the values after each step, by the recursion's definition."""
        lam, targets = self.learner.config.td_lambda, [0.0] * self.length
        for t in reversed(range(self.length)):
            targets[t] = self.batch.reward[0, t, 0].item()
            if t == self.length - 1:
                if not self.ended:
                    targets[t] += GAMMA * value(t + 1, self.greedy(chooser, t + 1))
            else:
                after = value(t + 1, self.greedy(chooser, t + 1))
                targets[t] += GAMMA * ((1 - lam) * after + lam * targets[t + 1])
        return targets


def slow_qplex(slow: Slow) -> list[float]:
    def value(nets: nn.ModuleDict, t: int, joint: list[int]) -> float:
        agent, active = nets["agent"], torch.zeros(1, 1, slow.n, dtype=torch.bool)
        active[0, 0, slow.present(t)] = True
        taken, best = (slow.row(agent, t, u) for u in (joint, slow.greedy(agent, t)))
        mixed = nets["mixer"](taken, slow.state(t), best, torch.tensor([[joint]]), active)
        return float(mixed.item())

    targets = slow.targets(lambda t, u: value(slow.target, t, u), slow.chooser())
    taken = [value(slow.online, t, slow.actions(t)) for t in range(slow.length)]
    return [(q - y) ** 2 for q, y in zip(taken, targets, strict=True)]


def slow_qtran(slow: Slow) -> list[float]:
    config, losses = slow.learner.config, []

    def joint_value(nets: nn.ModuleDict, t: int, joint: list[int]) -> float:
        inputs = slow.learner.controller.agent_inputs(slow.batch, t + 1)
        features = nets["agent"].features(inputs, None)[0][0, t]  # [N, H]
        total = torch.zeros(features.shape[1] + 4)
        for i in slow.present(t):
            one_hot = torch.eye(4)[joint[i]]
            total = total + nets["joint"].encoder(torch.cat([features[i], one_hot]))
        return float(nets["joint"].joint(torch.cat([slow.state(t)[0, 0], total])).item())

    targets = slow.targets(lambda t, u: joint_value(slow.target, t, u), slow.chooser())
    agent = slow.online["agent"]
    for t, y in enumerate(targets):
        u, best = slow.actions(t), slow.greedy(agent, t)
        bias = slow.online["joint"].state_value(slow.state(t)).item()
        q, q_best = joint_value(slow.online, t, u), joint_value(slow.online, t, best)
        opt = slow.row(agent, t, best).sum().item() - q_best + bias
        nopt = min(0.0, slow.row(agent, t, u).sum().item() - q + bias)
        losses.append((q - y) ** 2 + config.opt_weight * opt**2 + config.nopt_weight * nopt**2)
    return losses


def slow_wqmix(slow: Slow) -> list[float]:
    config, losses, agent = slow.learner.config, [], slow.online["agent"]

    def central(nets: nn.ModuleDict, t: int, joint: list[int]) -> float:
        row = slow.row(nets["central_agent"], t, joint)
        return float(nets["central_mixer"](row, slow.state(t)).item())

    targets = slow.targets(lambda t, u: central(slow.target, t, u), agent)
    for t, y in enumerate(targets):
        u, best = slow.actions(t), slow.greedy(agent, t)
        mixed = slow.online["mixer"](slow.row(agent, t, u), slow.state(t)).item()
        if config.weighting == "optimistic":
            full = mixed < y
        else:
            same = all(u[i] == best[i] for i in slow.present(t))
            full = same or y > central(slow.target, t, best)
        weight = 1.0 if full else config.alpha
        losses.append(weight * (mixed - y) ** 2 + (central(slow.online, t, u) - y) ** 2)
    return losses


SLOW = {"qtran": slow_qtran, "qplex": slow_qplex, "cw_qmix": slow_wqmix, "ow_qmix": slow_wqmix}


def assert_loss_is_slow(alg: str, learner: QLearner, batch: EpisodeBatch) -> None:
    with torch.no_grad():
        rows = [x for b in range(batch.n_episodes) for x in SLOW[alg](Slow(learner, batch, b))]
    assert learner.loss(batch)[0].item() == pytest.approx(sum(rows) / len(rows), rel=1e-4)


@pytest.mark.parametrize("info", [PLAIN, VARYING], ids=["plain", "varying"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize("alg", ALGS)
def test_loss_equals_the_slow_loop(alg: str, shared: bool, info: EnvInfo) -> None:
    learner = make(alg, info, f"agent_args.share_parameters={shared}")
    assert_loss_is_slow(alg, learner, fake_batch(info))


@pytest.mark.parametrize("truncates", [True, False])
@pytest.mark.parametrize("alg", ALGS)
def test_loss_with_lambda_targets(alg: str, truncates: bool) -> None:
    learner = make(alg, replace(PLAIN, truncates=truncates), "learner_args.td_lambda=0.6")
    assert_loss_is_slow(alg, learner, fake_batch(PLAIN, MIXED if truncates else TERMINATED))


@pytest.mark.parametrize("alg", ["qtran", "qplex"])
def test_loss_without_double_q(alg: str) -> None:
    assert_loss_is_slow(alg, make(alg, PLAIN, "learner_args.double_q=False"), fake_batch(PLAIN))


@pytest.mark.parametrize("alg", ALGS)
def test_loss_of_one_step_games(alg: str) -> None:
    batch = fake_batch(ONE_STEP, ((1, "terminated"),) * 5)
    assert_loss_is_slow(alg, make(alg, ONE_STEP), batch)


@pytest.mark.parametrize("weighting", ["central", "optimistic"])
def test_both_weights_occur(weighting: str) -> None:
    learner = make("cw_qmix", PLAIN, f"learner_args.weighting={weighting}")
    mean = learner.loss(fake_batch(PLAIN))[1]["weight_mean"]().item()
    assert 0.15 < mean < 0.95


@pytest.mark.parametrize("alg", ["cw_qmix", "ow_qmix"])
def test_with_alpha_one_all_errors_count_alike(alg: str) -> None:
    learner, batch = make(alg, PLAIN, "learner_args.alpha=1"), fake_batch(PLAIN)
    details, td = learner.loss(batch)[1], learner._td_terms(batch)
    assert details["weight_mean"]().item() == 1.0
    torch.testing.assert_close(details["mixed_loss"](), masked_mean(td.error.square(), td.mask))


@pytest.mark.parametrize("alg", ALGS)
def test_gradient_reaches_every_parameter_and_no_target(alg: str) -> None:
    learner = make(alg)
    learner.loss(fake_batch(PLAIN))[0].backward()
    for name, p in learner.online.named_parameters():
        assert p.grad.abs().sum() > 0, name
    assert not any(p.requires_grad or p.grad is not None for p in learner.target.parameters())


def test_only_the_td_loss_trains_the_joint_value_of_qtran() -> None:
    both, alone = (
        make("qtran"),
        make("qtran", PLAIN, *(f"learner_args.{k}_weight=0" for k in ("opt", "nopt"))),
    )
    for learner in (both, alone):
        learner.loss(fake_batch(PLAIN))[0].backward()
    for part in ("encoder", "joint"):
        pairs = zip(
            *(getattr(x.online["joint"], part).parameters() for x in (both, alone)), strict=True
        )
        for p, q in pairs:
            torch.testing.assert_close(p.grad, q.grad)
    assert alone.online["agent"].last.weight.grad.abs().sum() == 0
    assert alone.online["agent"].first.weight.grad.abs().sum() > 0  # features read by Q_jt


@pytest.mark.parametrize("alg", ALGS)
def test_values_of_unavailable_actions_change_nothing(alg: str) -> None:
    info = fake_info(action_counts=(3, 3, 3))
    learner = make(alg, info)
    batch = fake_batch(info)
    before = learner.loss(batch)[0].item()
    with torch.no_grad():
        for nets in (learner.online, learner.target):
            for name, layer in nets.named_modules():
                if name.endswith("agent.last"):
                    layer.bias[3] += 50.0
    assert learner.loss(batch)[0].item() == before


INVALID = {
    "qtran mixes nothing": (("qtran", "mixer=vdn"), "mixer: qtran_learner .*Use mixer=none"),
    "qtran needs features": (("qtran", "agent=agp_agent"), "agp_agent does not show the features"),
    "qplex's mixer alone": (("qmix", "mixer=qplex"), "qplex mixes values and their maxima"),
    "qplex's learner alone": (("qplex", "mixer=qmix"), "Use mixer=qplex"),
    "weights without a team's value": (
        ("ow_qmix", "mixer=none"),
        "learns one value of the team, but none keeps the agents' values apart. "
        "Use mixer=qmix or vdn",
    ),
    **{
        f"{alg} with individual rewards": (
            (alg, "reward_aggregation=individual"),
            "needs a team reward",
        )
        for alg in ALGS
    },
}


@pytest.mark.parametrize("case", INVALID)
def test_combinations_that_cannot_work(case: str) -> None:
    (alg, override), text = INVALID[case]
    with pytest.raises(ConfigError, match=text):
        check_combination(load_config(alg, None, [override]))


@pytest.mark.parametrize("alg", ["qplex", "cw_qmix"])
def test_no_remedy_is_offered_that_the_learner_rejects(alg: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_combination(load_config(alg, None, ["reward_aggregation=individual"]))
    assert len(error.value.problems) == 1
    assert "mixer=none" not in error.value.problems[0]


@pytest.mark.parametrize(("alg", "overrides"), list(product(ALGS, [(), ("use_rnn=True",)])))
def test_the_methods_themselves_are_accepted(alg: str, overrides: tuple[str, ...]) -> None:
    check_combination(load_config(alg, "topk", list(overrides)))


def test_weighted_qmix_works_with_other_mixers_and_agents() -> None:
    for overrides in (("mixer=vdn",), ("agent=agp_agent", "controller=agp_controller")):
        learner = make("cw_qmix", PLAIN, *overrides)
        check_combination(load_config("cw_qmix", None, list(overrides)))
        assert_loss_is_slow("cw_qmix", learner, fake_batch(PLAIN))


@pytest.mark.parametrize(
    ("alg", "override", "text"),
    [
        ("cw_qmix", "alpha=0", r"alpha: 0.0 must lie in \(0, 1\]"),
        ("cw_qmix", "double_q=False", "double_q: False cannot be"),
        ("cw_qmix", "td_lambda=2", "td_lambda: 2.0 must lie"),
        ("qtran", "nopt_weight=-1", "nopt_weight: -1.0 must not be negative"),
        ("qtran", "joint_hidden_dim=0", "joint_hidden_dim: 0 must be at least 1"),
    ],
)
def test_settings_out_of_range(alg: str, override: str, text: str) -> None:
    with pytest.raises((ConfigError, SettingsError), match=text):
        load_config(alg, None, [f"learner_args.{override}"])
