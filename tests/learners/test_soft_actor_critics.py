"""The losses of FOP and MACPF against plain Python: one episode and one step at a time."""

import math
from itertools import product
from typing import Any

import pytest
import torch
from tests.helpers.fake_envs import MIXED, RICH, TERMINATED, fake_batch, fake_info
from torch import Tensor, nn
from torch.nn import functional

from build import build_controller
from build_training import build_learner
from components.episode_batch import EpisodeBatch
from components.policies import ActionValues, Categorical, JointAction
from components.schedules import LinearSchedule
from components.squashed_normal import SquashedNormal
from config.combinations import check_combination
from config.load import load_config
from config.search_path import available
from envs.base import EnvInfo
from learners._soft_actor_critic import SoftActorCriticConfig
from utils.errors import ConfigError, SettingsError
from utils.registry import LEARNERS, SELECTORS
from utils.seeding import seeded_initialisation

INFO, ONE_STEP = fake_info(**RICH), fake_info(episode_limit=1, truncates=False, fixed_length=True)
GAMMA, LAM, TEMPERATURE = 0.9, 0.8, 0.5
SMALL = ("hidden_dim=8", f"gamma={GAMMA}")
HOT = ("learner_args.temperature_start=0.5",)
ENDS = [MIXED, TERMINATED]
TARGETS = ["reference", "theory"]


def make(alg: str, info: EnvInfo = INFO, *overrides: str) -> Any:
    """A learner whose samples are modes and whose targets differ from what is trained."""
    hot = HOT if alg == "macpf" else ()
    config = load_config(alg, None, [*SMALL, *hot, *overrides])
    learner = build_learner(config, build_controller(config, info))
    learner.noise = torch.zeros
    learner._temperature = LinearSchedule(TEMPERATURE, TEMPERATURE, 0)
    with torch.no_grad(), seeded_initialisation(3):
        for p in learner.target.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return learner


def logs(values: list[float], avail: list[bool]) -> dict[int, float]:
    """Log-probabilities of the available actions."""
    total = sum(math.exp(x) for x, a in zip(values, avail, strict=True) if a)
    return {i: x - math.log(total) for i, x in enumerate(values) if avail[i]}


class Episode:
    """One episode alone, and the sums that its losses are made of."""

    def __init__(self, learner: Any, batch: EpisodeBatch, b: int):
        self.learner, self.length = learner, int(batch.valid[b].sum())
        self.alone = batch.select(torch.tensor([b])).shorten(self.length)
        self.n, self.steps = learner.controller.info.n_agents, range(self.length)
        self.ended = bool(self.alone.terminated[0, -1])
        self.stored = self.alone.actions[0].tolist()  # [T][N]

    def active(self, t: int) -> list[int]:
        if self.alone.is_active is None:
            return list(range(self.n))
        return [i for i in range(self.n) if self.alone.is_active[0, t, i]]

    def avail(self, t: int, i: int) -> list[bool]:
        row: list[bool] = self.alone.avail[0, t, i].tolist()
        return row

    def policies(self, logits: Tensor) -> list[list[dict[int, float]]]:
        """[T+1][N] from [T+1, N, A]."""
        rows = logits.tolist()
        return [
            [logs(x, self.avail(t, i)) for i, x in enumerate(row)] for t, row in enumerate(rows)
        ]

    def row(self, values: list[float], t: int) -> Tensor:
        """[1, 1, N], zero for agents that take no part."""
        active = self.active(t)
        return torch.tensor([[[v if i in active else 0.0 for i, v in enumerate(values)]]])

    def actor_terms(self, policies: list[list[dict[int, float]]], q: list) -> list[float]:
        return [
            sum(math.exp(x) * (TEMPERATURE * x - q[t][i][a]) for a, x in policies[t][i].items())
            for t in self.steps
            for i in self.active(t)
        ]

    def target(self, t: int, values: list[float], entropies: list[list[float]]) -> float:
        """The mixture of n-step returns; values and entropies are those of steps 1..T.

        Args:
            t: the step.
            values: mixed values.
            entropies: - log pi of each agent that takes part.
        """
        theory = self.learner.config.entropy_target == "theory"
        rewards = self.alone.reward[0, :, 0].tolist()

        def goes_on(s: int) -> bool:
            return not (self.ended and s == self.length - 1)

        def n_step(m: int) -> float:
            """m rewards, after each but a last one the entropy earned there, then the value."""
            total = 0.0
            for s in range(t, t + m):
                total += GAMMA ** (s - t) * rewards[s]
                if theory and goes_on(s):
                    total += GAMMA ** (s - t + 1) * TEMPERATURE * sum(entropies[s])
            return total + GAMMA**m * values[t + m - 1] * goes_on(t + m - 1)

        left = self.length - t
        target = sum((1 - LAM) * LAM ** (m - 1) * n_step(m) for m in range(1, left))
        target += LAM ** (left - 1) * n_step(left)
        if theory:
            return target
        return target + TEMPERATURE * sum(entropies[t]) / max(1, len(entropies[t]))

    def mode(self, policies: list[list[dict[int, float]]], t: int) -> list[int]:
        return [max(p, key=lambda a: p[a]) for p in policies[t]]

    def entropies(self, policies: list[list[dict[int, float]]]) -> list[list[float]]:
        return [
            [-policies[t][i][self.mode(policies, t)[i]] for i in self.active(t)]
            for t in range(1, self.length + 1)
        ]


@torch.no_grad()
def slow_fop(learner: Any, batch: EpisodeBatch) -> float:
    actor, critic, penalties = [], [], []
    for b in range(batch.n_episodes):
        e = Episode(learner, batch, b)

        def outputs(net: nn.Module, e: Episode = e) -> Tensor:
            return learner.controller.outputs(e.alone, e.length + 1, net)[0]

        def mix(nets: Any, k: int, t: int, actions: list[int], e: Episode = e) -> Tensor:
            q = outputs(nets[f"critic_{k}"])[t].tolist()
            soft = [
                TEMPERATURE
                * math.log(sum(math.exp(q[i][a] / TEMPERATURE) for a in logs(q[i], e.avail(t, i))))
                for i in range(e.n)
            ]
            chosen = e.row([q[i][a] for i, a in enumerate(actions)], t)
            at = slice(t, t + 1)
            return torch.cat(
                nets[f"mixer_{k}"](
                    chosen,
                    e.alone.state[:, at],
                    e.row(soft, t),
                    torch.tensor([[actions]]),
                    e.alone.obs[:, at],
                    None if e.alone.is_active is None else e.alone.is_active[:, at],
                )
            ).flatten()

        policies = e.policies(outputs(learner.online["agent"]))
        twins = [outputs(learner.online[f"critic_{k}"]) for k in (1, 2)]
        actor += e.actor_terms(policies, torch.minimum(*twins).tolist())
        after = [
            min(mix(learner.target, k, t, e.mode(policies, t))[0].item() for k in (1, 2))
            for t in range(1, e.length + 1)
        ]
        for t, k in product(e.steps, (1, 2)):
            value, penalty = mix(learner.online, k, t, e.stored[t]).tolist()
            critic.append((value - e.target(t, after, e.entropies(policies))) ** 2)
            penalties.append(penalty)
    return sum(actor) / len(actor) + 2 * (sum(critic) + sum(penalties)) / len(critic)


@torch.no_grad()
def slow_heads(e: Episode, net: Any, actions: list[list[int]] | None, everyone: bool) -> Tensor:
    """Outputs [T+1, N, A]: independent, or dependent on the given actions [T+1][N]."""
    inputs = e.learner.controller.agent_inputs(e.alone, e.length + 1)
    z = net.agent.features(inputs, None)[0][0]
    out: Tensor = net.agent.last(z)
    if actions is None:
        return out
    for t, i in product(range(len(actions)), range(e.n)):
        message = torch.zeros(net.message.out_features)
        for j in e.active(t):
            if j < i or (everyone and i > 0 and j != i):
                ids = functional.one_hot(torch.tensor(j), e.n)
                act = functional.one_hot(torch.tensor(actions[t][j]), out.shape[-1])
                message += functional.elu(net.message(torch.cat([ids, act]).float()))
        out[t, i] += net.correction(torch.cat([z[t, i], message / e.n]))
    return out


@torch.no_grad()
def slow_macpf(learner: Any, batch: EpisodeBatch) -> float:
    actor, critic = ([], []), ([], [])
    names = ("mixer", "mixer" if learner.config.share_mixer else "dependent_mixer")
    for b in range(batch.n_episodes):
        e = Episode(learner, batch, b)

        own = learner.online["agent"]
        sampled: list[list[int]] = [[0] * e.n for _ in range(e.length + 1)]
        for i in range(e.n):  # agent by agent, each knowing those before it
            policies = e.policies(slow_heads(e, own, sampled, False))
            for t in range(e.length + 1):
                sampled[t][i] = e.mode(policies, t)[i]
        everyone = learner.config.critic_parents == "all"
        for m, mixer in enumerate(names):

            def conditioned(actions: list[list[int]], m: int = m) -> list[list[int]] | None:
                return actions if m else None

            policies = e.policies(slow_heads(e, own, conditioned(sampled), False))
            net, old = learner.online["critic"], learner.target["critic"]
            known = slow_heads(e, net, conditioned(sampled), everyone).tolist()
            actor[m].extend(e.actor_terms(policies, known))
            stored = slow_heads(e, net, conditioned(e.stored), everyone).tolist()
            target_q = slow_heads(e, old, conditioned(sampled), everyone).tolist()

            def mix(nets: Any, q: list, t: int, chosen: list[int], mixer: str = mixer) -> float:
                row = e.row([q[t][i][a] for i, a in enumerate(chosen)], t)  # noqa: B023
                value = nets[mixer](row, e.alone.state[:, t : t + 1])  # noqa: B023
                return value.item()

            after = [
                mix(learner.target, target_q, t, e.mode(policies, t))
                for t in range(1, e.length + 1)
            ]
            for t in e.steps:
                value = mix(learner.online, stored, t, e.stored[t])
                critic[m].append((value - e.target(t, after, e.entropies(policies))) ** 2)
    return sum(sum(x) / len(x) for x in (*actor, *critic))


@pytest.mark.parametrize(("entropy", "ends"), list(product(TARGETS, ENDS)))
@pytest.mark.parametrize("info", [fake_info(), INFO], ids=["plain", "rich"])
def test_fop_loss_equals_the_slow_loop(entropy: str, ends: Any, info: EnvInfo) -> None:
    learner = make("fop", info, f"learner_args.entropy_target={entropy}")
    batch = fake_batch(info, ends)
    assert learner.loss(batch)[0].item() == pytest.approx(slow_fop(learner, batch), rel=1e-4)


@pytest.mark.parametrize(("entropy", "ends"), list(product(TARGETS, ENDS)))
@pytest.mark.parametrize(
    ("parents", "share"), [("preceding", True), ("all", True), ("preceding", False)]
)
def test_macpf_loss_equals_the_slow_loop(
    entropy: str, ends: Any, parents: str, share: bool
) -> None:
    settings = (f"entropy_target={entropy}", f"critic_parents={parents}", f"share_mixer={share}")
    learner = make("macpf", INFO, *(f"learner_args.{x}" for x in settings))
    batch = fake_batch(INFO, ends)
    assert learner.loss(batch)[0].item() == pytest.approx(slow_macpf(learner, batch), rel=1e-4)


@pytest.mark.parametrize("entropy", TARGETS)
@pytest.mark.parametrize(("alg", "slow"), [("fop", slow_fop), ("macpf", slow_macpf)])
def test_one_step_games(alg: str, slow: Any, entropy: str) -> None:
    learner = make(alg, ONE_STEP, f"learner_args.entropy_target={entropy}")
    assert learner.sees_last == (entropy == "reference")
    batch = fake_batch(ONE_STEP, ((1, "terminated"),) * 5)
    assert learner.loss(batch)[0].item() == pytest.approx(slow(learner, batch), rel=1e-4)


def soft_batch(n_steps: int, end: str, **changes: Any) -> tuple[EnvInfo, EpisodeBatch]:
    """Two agents, rewards 1, 2, 4 ..., one episode."""
    info = fake_info(n_agents=2, episode_limit=n_steps, **changes)
    batch = fake_batch(info, ((n_steps, end),))
    batch.reward[0, :, 0] = torch.tensor([2.0**t for t in range(n_steps)])
    return info, batch


def soft_targets(
    info: EnvInfo, batch: EpisodeBatch, value: Tensor, log_pi: Tensor, lam: float
) -> Tensor:
    """Targets [T, R] of the only episode, undiscounted, with temperature 1."""
    method = ("fop",) if value.shape[2] == 1 else ("macpf", "mixer=none")
    settings = ("learner_args.entropy_target=theory", f"learner_args.td_lambda={lam}", "gamma=1.0")
    learner = make(method[0], info, *method[1:], *settings)
    learner._temperature = LinearSchedule(1.0, 1.0, 0)
    targets: Tensor = learner.targets(batch, value, log_pi)[0]
    return targets


@pytest.mark.parametrize("lam", [0.0, 0.8, 1.0])
def test_every_step_earns_the_whole_entropy(lam: float) -> None:
    """After each of the first two steps the two agents' log pi of -0.5 earn 1; the third ends."""
    info, batch = soft_batch(3, "terminated")
    batch.reward.zero_()
    value = torch.tensor([1.0, 0.0, 9.0]).reshape(1, 3, 1)
    targets = soft_targets(info, batch, value, torch.full((1, 3, 2), -0.5), lam)
    assert targets.flatten().tolist() == pytest.approx([2.0, 1.0, 0.0])


BY_HAND = {  # rewards 1, 2, 4; values 1, 10, 100 after them; entropies 1, 2, 3 in sum after them
    (0.0, "terminated"): [1 + 1 + 1, 2 + 2 + 10, 4],
    (0.0, "truncated"): [1 + 1 + 1, 2 + 2 + 10, 4 + 3 + 100],
    (0.8, "terminated"): [1 + 1 + 0.2 * 1 + 0.8 * (2 + 2 + 0.2 * 10 + 0.8 * 4), 9.2, 4],
    (0.8, "truncated"): [1 + 1 + 0.2 * 1 + 0.8 * (6 + 0.8 * 107), 6 + 0.8 * 107, 107],
    (1.0, "terminated"): [1 + 1 + 2 + 2 + 4, 2 + 2 + 4, 4],
    (1.0, "truncated"): [1 + 1 + 2 + 2 + 107, 2 + 2 + 107, 107],
}


@pytest.mark.parametrize(("lam", "end"), BY_HAND)
def test_soft_lambda_returns_of_a_team_by_hand(lam: float, end: str) -> None:
    info, batch = soft_batch(3, end)
    value = torch.tensor([1.0, 10.0, 100.0]).reshape(1, 3, 1)
    log_pi = torch.tensor([[-0.5, -0.5], [-1.5, -0.5], [0.0, -3.0]]).unsqueeze(0)
    targets = soft_targets(info, batch, value, log_pi, lam)
    assert targets.flatten().tolist() == pytest.approx(BY_HAND[lam, end])


@pytest.mark.parametrize(("lam", "end"), BY_HAND)
def test_soft_lambda_returns_of_single_agents(lam: float, end: str) -> None:
    """Each agent earns its own entropy: here the first has that of the team above."""
    info, batch = soft_batch(3, end)
    value = torch.tensor([[1.0, 0.0], [10.0, 0.0], [100.0, 0.0]]).unsqueeze(0)
    log_pi = torch.tensor([[-1.0, 0.0], [-2.0, 0.0], [-3.0, 0.0]]).unsqueeze(0)
    targets = soft_targets(info, batch, value, log_pi, lam)
    assert targets[:, 0].tolist() == pytest.approx(BY_HAND[lam, end])
    rewards_alone = [1 + lam * (2 + lam * 4), 2 + lam * 4, 4]
    assert targets[:, 1].tolist() == pytest.approx(rewards_alone)


@pytest.mark.parametrize("single", [False, True])
def test_an_absent_agent_earns_no_entropy(single: bool) -> None:
    info, batch = soft_batch(2, "truncated", varying_team=True)
    assert batch.is_active is not None
    batch.is_active[0] = torch.tensor([[True, True], [True, False], [True, True]])
    value = torch.zeros(1, 2, 2 if single else 1)
    targets = soft_targets(info, batch, value, torch.full((1, 2, 2), -1.0), 0.0)
    expected = [[1 + 1, 1 + 0], [2 + 1, 2 + 1]] if single else [[1 + 1], [2 + 2]]
    assert targets.tolist() == expected


def gradients(learner: Any, batch: EpisodeBatch) -> dict[str, Tensor]:
    learner.online.zero_grad()
    learner.loss(batch)[0].backward()
    named = learner.online.named_parameters()
    return {name: torch.zeros(1) if p.grad is None else p.grad.clone() for name, p in named}


@pytest.mark.parametrize("alg", ["fop", "macpf"])
def test_each_loss_reaches_its_own_group_only(alg: str) -> None:
    """So one step on the sum is a step of each loss with a separate optimiser."""
    learner, batch = make(alg), fake_batch(INFO)
    whole = gradients(learner, batch)
    assert all(g.abs().sum() > 0 for g in whole.values())
    for silenced, silent in (("mean_over_values", False), ("mean_over_agents", True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(learner, silenced, lambda x, batch: 0.0 * x.sum())
            part = gradients(learner, batch)
        for name, gradient in part.items():
            if name.startswith("agent.") == silent:
                assert gradient.abs().sum() == 0, name
            else:
                assert torch.equal(gradient, whole[name]), name
    assert not any(p.requires_grad for p in learner.target.parameters())


@pytest.mark.parametrize("alg", ["fop", "macpf"])
def test_groups_are_clipped_apart(alg: str) -> None:
    learner, batch = make(alg, INFO, "grad_norm_clip=1e-3"), fake_batch(INFO)
    gradient = gradients(learner, batch)
    learner.train(batch, 0, 0)
    norms = []
    for group in learner._clipped:
        norms.append(torch.cat([p.grad.flatten() for p in group]).norm().item())
    assert norms == pytest.approx([1e-3] * (3 if alg == "fop" else 2), rel=1e-2)
    assert sum(len(group) for group in learner._clipped) == len(gradient)
    whole = torch.cat([g.flatten() for g in gradient.values()]).norm().item()
    assert learner.metrics()["grad_norm"] == pytest.approx(whole, rel=1e-4)


def test_twins_start_apart_and_come_from_the_seed() -> None:
    a, b, c = (make("fop", INFO, f"seed={seed}").online for seed in (1, 1, 2))
    for kind in ("critic", "mixer"):
        for (name, one), two in zip(
            a[f"{kind}_1"].named_parameters(), a[f"{kind}_2"].parameters(), strict=True
        ):
            assert not torch.equal(one, two), name
    for x, y, z in zip(a.parameters(), b.parameters(), c.parameters(), strict=True):
        assert torch.equal(x, y)
        assert not torch.equal(x, z)


def test_temperature_schedule() -> None:
    config = load_config("fop", None, list(SMALL))
    learner, batch = build_learner(config, build_controller(config, INFO)), fake_batch(INFO)
    for env_steps in (0, 1000, 45_000, 90_000, 10**7):
        learner.train(batch, env_steps, 0)
        expected = max(0.05, 0.5 - env_steps / 200_000)
        assert learner.metrics()["temperature"] == pytest.approx(expected)
    config = load_config("macpf", None, list(SMALL))
    learner = build_learner(config, build_controller(config, INFO))
    for env_steps in (0, 10**7):
        learner.train(batch, env_steps, 0)
        assert learner.metrics()["temperature"] == pytest.approx(0.001)


@pytest.mark.parametrize("alg", ["fop", "macpf"])
def test_actions_of_the_targets_are_sampled(alg: str) -> None:
    config = load_config(alg, None, [*SMALL, *HOT])
    learners = [build_learner(config, build_controller(config, INFO)) for _ in range(2)]
    batch = fake_batch(INFO)
    first, second = (learners[0].loss(batch)[0].item() for _ in range(2))
    assert first != second
    assert [learners[1].loss(batch)[0].item() for _ in range(2)] == [first, second]


@pytest.mark.parametrize("alg", ["fop", "macpf"])
def test_values_of_unavailable_actions_change_nothing(alg: str) -> None:
    info = fake_info(action_counts=(3, 3, 3))
    learner = make(alg, info)
    batch = fake_batch(info, ((6, "terminated"), (6, "truncated")))  # no padding
    before = learner.loss(batch)[0].item()
    heads = [
        layer
        for nets in (learner.online, learner.target)
        for name, layer in nets.named_modules()
        if name.endswith((".last", ".correction"))
    ]
    assert len(heads) >= 4
    with torch.no_grad():
        for head in heads:
            head.bias[3] += 50.0
    assert learner.loss(batch)[0].item() == before


INVALID = {
    "a mixer of values": (("fop", "mixer=qmix"), "mixer: qmix mixes values, .*Use mixer=fop"),
    "a mixer of soft values": (("qmix", "mixer=fop"), "fop mixes soft values, but q_learner"),
    "agents without order": (
        ("macpf", "controller=basic_controller"),
        "macpf_learner cannot use what basic_controller gives",
    ),
    "order without its learner": (
        ("qmix", "controller=macpf_controller"),
        "q_learner cannot use what macpf_controller gives.*Use learner=macpf_learner",
    ),
    "an agent without features": (("macpf", "agent=agp_agent"), "agp_agent does not show"),
    "individual rewards": (("fop", "reward_aggregation=individual"), "needs a team reward"),
}


@pytest.mark.parametrize("case", INVALID)
def test_combinations_that_cannot_work(case: str) -> None:
    (alg, override), text = INVALID[case]
    with pytest.raises(ConfigError, match=text):
        check_combination(load_config(alg, None, [override]))


OUTPUTS = {
    "values sampled as logits": (
        ("iql", "action_selector=categorical"),
        "action_selector: categorical chooses by logits of policies or continuous policies, but "
        "q_learner trains the agents' outputs to be action values. "
        "Use action_selector=epsilon_greedy, or another learner.",
    ),
    "logits read as values": (
        ("fop", "action_selector=epsilon_greedy"),
        "action_selector: epsilon_greedy chooses by action values or a joint action, but "
        "fop_learner trains the agents' outputs to be logits of policies. "
        "Use action_selector=categorical, or another learner.",
    ),
    "logits in sequence read as values": (
        ("macpf", "action_selector=epsilon_greedy"),
        "action_selector: epsilon_greedy chooses by action values or a joint action, but "
        "macpf_learner trains the agents' outputs to be logits of policies. "
        "Use action_selector=categorical, or another learner.",
    ),
    "a joint action sampled as logits": (
        ("dcg", "action_selector=categorical"),
        "action_selector: categorical chooses by logits of policies or continuous policies, but "
        "dcg_learner trains the agents' outputs to be a joint action. "
        "Use action_selector=epsilon_greedy, or another learner.",
    ),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_actions_are_chosen_by_what_the_learner_trains(case: str) -> None:
    (alg, override), text = OUTPUTS[case]
    with pytest.raises(ConfigError) as caught:
        check_combination(load_config(alg, None, [override]))
    assert caught.value.problems == [text]


def test_every_method_and_every_selector_say_what_outputs_are() -> None:
    kinds = {ActionValues, Categorical, JointAction, SquashedNormal}
    trained = [set(LEARNERS.get(name).cls.trains) for name in LEARNERS.built_in_names()]
    assert set.union(*trained) == kinds
    taken = [set(SELECTORS.get(name).cls.takes) for name in SELECTORS.built_in_names()]
    assert set.union(*taken) == kinds
    assert not set.intersection(*taken)


def test_a_selector_that_does_not_say_what_it_chooses_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(SELECTORS.get("categorical").cls, "takes")
    with pytest.raises(ConfigError, match="action_selector: categorical does not declare takes"):
        check_combination(load_config("iql", None, ["action_selector=categorical"]))


def test_the_algorithms_themselves_are_accepted() -> None:
    for alg in available("algs"):
        check_combination(load_config(alg, "topk", []))


@pytest.mark.parametrize(
    ("name", "value"), [("temperature_finish", 0.0), ("td_lambda", 1.5), ("td_lambda", -0.1)]
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value}"):
        SoftActorCriticConfig(**{name: value})
