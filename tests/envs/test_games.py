"""The one-step games against rewards worked by hand and slow enumerations."""

from itertools import combinations, product

import pytest
import torch

from envs.base import EnvStep, make_env
from envs.matrix_games.topk import TopK, TopKConfig
from envs.matrix_games.topk_anticoord import TopKAnticoord, TopKAnticoordConfig
from utils.errors import SettingsError
from utils.registry import ENVS

CPU = torch.device("cpu")
N_DRAWS = 200


def build(name: str, batch_size: int = N_DRAWS, seed: int = 3, **settings):
    return make_env(name, ENVS.get(name).config(**settings), batch_size, CPU, seed, "test")


def play(env, *actions: int) -> EnvStep:
    """A new episode in which every environment plays the same joint action."""
    env.reset()
    return env.step(torch.tensor(actions).expand(env.batch_size, -1))


def with_signals(game: type[TopK], config: TopKConfig, rows: list[list[float]]):
    """A game that always draws the given signals."""

    class Fixed(game):
        def draw(self):
            self._signals = torch.tensor(rows)
            return self._signals.unsqueeze(2), self._signals

    return Fixed(config, len(rows), CPU, 0, "test")


def slow_topk(signals: list[float], actions: tuple[int, ...], k: int) -> float:
    ranked = sorted(range(len(signals)), key=lambda i: -signals[i])
    acting = {i for i, a in enumerate(actions) if a == 1}
    return 1.0 if acting == set(ranked[:k]) else -1.0


def slow_penalty(signals, actions, epsilon: float, penalty: float, once: bool) -> float:
    pairs = [
        (i, j)
        for i, j in combinations(range(len(signals)), 2)
        if actions[i] == actions[j] == 1 and abs(signals[i] - signals[j]) < epsilon
    ]
    return penalty * (min(1, len(pairs)) if once else len(pairs))


SIZES = [(1, 0), (1, 1), (2, 1), (3, 1), (4, 2), (5, 0), (5, 5), (6, 2)]


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_topk_reward_of_every_joint_action(n, k):
    env = build("topk", 20, n_agents=n, k=k)
    for actions in product((0, 1), repeat=n):
        step = play(env, *actions)
        expected = [slow_topk(row, actions, k) for row in step.state.tolist()]
        assert step.reward.tolist() == [[r] * n for r in expected]
        assert step.metrics["success"].tolist() == [float(r == 1) for r in expected]


@pytest.mark.parametrize("mode", ["per_pair", "once"])
@pytest.mark.parametrize(("n", "k"), SIZES)
def test_anticoordination_reward_of_every_joint_action(n, k, mode):
    settings = {"epsilon": 0.2, "penalty": 0.75, "penalty_mode": mode}
    env = build("topk_anticoord", 20, n_agents=n, k=k, **settings)
    for actions in product((0, 1), repeat=n):
        step = play(env, *actions)
        success = [slow_topk(row, actions, k) for row in step.state.tolist()]
        fines = [
            slow_penalty(row, actions, 0.2, 0.75, mode == "once") for row in step.state.tolist()
        ]
        expected = [[s - f] * n for s, f in zip(success, fines, strict=True)]
        assert step.reward.tolist() == expected
        assert step.metrics["success"].tolist() == [float(s == 1) for s in success]


@pytest.mark.parametrize(
    ("mode", "actions", "reward"),
    [
        ("per_pair", (0, 1, 1, 0), -1.5),  # 0.55 and 0.58 are close
        ("per_pair", (1, 1, 1, 0), -2.5),  # three close pairs
        ("once", (1, 1, 1, 0), -1.5),
        ("per_pair", (0, 0, 1, 1), 1.0),  # the two largest, far apart
        ("once", (0, 0, 1, 1), 1.0),
        ("per_pair", (0, 0, 0, 0), -1.0),
        ("per_pair", (1, 1, 1, 1), -2.5),
        ("once", (1, 1, 1, 1), -1.5),
    ],
)
def test_anticoordination_by_hand(mode, actions, reward):
    config = TopKAnticoordConfig(n_agents=4, k=2, penalty_mode=mode)
    env = with_signals(TopKAnticoord, config, [[0.50, 0.55, 0.58, 0.90]])
    assert play(env, *actions).reward.tolist() == [[reward] * 4]


def test_a_close_best_pair_still_pays_most():
    config = TopKAnticoordConfig(n_agents=3, k=2)
    env = with_signals(TopKAnticoord, config, [[0.1, 0.85, 0.9]])
    rewards = {a: play(env, *a).reward[0, 0].item() for a in product((0, 1), repeat=3)}
    assert max(rewards, key=rewards.__getitem__) == (0, 1, 1)
    assert rewards[0, 1, 1] == 0.5


def test_signals_exactly_epsilon_apart_do_not_conflict():
    config = TopKAnticoordConfig(n_agents=2, k=2, epsilon=0.25)
    env = with_signals(TopKAnticoord, config, [[0.25, 0.5], [0.25, 0.4375]])
    assert play(env, 1, 1).reward[:, 0].tolist() == [1.0, 0.5]
    config = TopKAnticoordConfig(n_agents=2, k=2, epsilon=0.0)
    env = with_signals(TopKAnticoord, config, [[0.5, 0.5]])
    assert play(env, 1, 1).reward[:, 0].tolist() == [1.0]


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_among_tied_signals_exactly_one_choice_of_k_agents_wins(k):
    env = with_signals(TopK, TopKConfig(n_agents=3, k=k), [[0.5, 0.5, 0.5]])
    wins = [a for a in product((0, 1), repeat=3) if play(env, *a).reward[0, 0] == 1]
    assert len(wins) == 1
    assert sum(wins[0]) == k
    assert play(env, *wins[0]).metrics["success"].tolist() == [1.0]


@pytest.mark.parametrize("mode", ["per_pair", "once"])
def test_greatest_expected_return_of_anticoordination(mode):
    env = build("topk_anticoord", 200_000, n_agents=6, k=2, penalty_mode=mode)
    signals = env.reset().state
    best = torch.zeros(200_000, 6, dtype=torch.int64).scatter_(1, signals.argsort(1)[:, -2:], 1)
    step = env.step(best)
    returns = step.reward.double().mean(1)
    standard_error = returns.std().item() / 200_000**0.5
    exact = 1 - 0.5 * (1 - 0.9**6)  # docs/results/claims.md, 9.7
    assert exact == pytest.approx(0.7657, abs=5e-5)
    assert returns.mean().item() == pytest.approx(exact, abs=4 * standard_error)
    assert step.metrics["success"].mean() == 1


def test_topk_signals_are_independent_and_uniform():
    env = build("topk", 100_000, n_agents=3, k=1)
    signals = env.reset().state.double()
    assert signals.mean(0).tolist() == pytest.approx([1 / 2] * 3, abs=4 * (1 / 12 / 1e5) ** 0.5)
    assert signals.var(0).tolist() == pytest.approx([1 / 12] * 3, rel=0.02)
    assert (signals.T.corrcoef() - torch.eye(3)).abs().max() < 0.015
    assert signals.min() >= 0
    assert signals.max() < 1


@pytest.mark.parametrize("actions", list(product((0, 1), repeat=2)))
def test_swap_pays_only_for_the_other_agents_bit(actions):
    env = build("swap")
    step = play(env, *actions)
    bits = step.obs.argmax(2).tolist()
    expected = [float(actions == (second, first)) for first, second in bits]
    assert step.reward.tolist() == [[r, r] for r in expected]
    assert step.metrics["success"].tolist() == expected
    assert 0.15 < sum(expected) / N_DRAWS < 0.35  # a quarter of the draws


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_parity_pays_for_an_even_number(n):
    env = build("parity", 2, n_agents=n)
    for actions in product((0, 1), repeat=n):
        step = play(env, *actions)
        assert step.reward.tolist() == [[float(sum(actions) % 2 == 0)] * n] * 2
        assert torch.equal(step.metrics["success"], step.reward[:, 0])


@pytest.mark.parametrize("n", [1, 2, 4])
def test_one_hot_pays_if_exactly_one_acts_and_tells_who(n):
    env = build("one_hot", 2, n_agents=n)
    for actions in product((0, 1), repeat=n):
        step = play(env, *actions)
        alone = sum(actions) == 1
        assert step.reward.tolist() == [[float(alone)] * n] * 2
        assert step.metrics["acting_agent"].tolist() == [actions.index(1) if alone else -1] * 2
        assert step.metrics["success"].tolist() == [float(alone)] * 2


CLIMBING = [[11, -30, 0], [-30, 7, 6], [0, 0, 5]]


def penalty_table(k: float) -> list[list[float]]:
    return [[10, 0, k], [0, 2, 0], [k, 0, 10]]


@pytest.mark.parametrize(
    ("name", "settings", "table"),
    [
        ("climbing", {}, CLIMBING),
        ("penalty", {}, penalty_table(-100)),
        ("penalty", {"k": -12.5}, penalty_table(-12.5)),
        ("penalty", {"k": 0}, penalty_table(0)),
    ],
)
def test_classical_tables(name, settings, table):
    env = build(name, 2, **settings)
    best = max(map(max, table))
    for row, column in product(range(3), repeat=2):
        step = play(env, row, column)
        assert step.reward.tolist() == [[table[row][column]] * 2] * 2
        assert step.metrics["success"].tolist() == [float(table[row][column] == best)] * 2


OBSERVATIONS = {
    "topk": ({"n_agents": 4, "k": 1}, 1, 4),
    "topk_anticoord": ({"n_agents": 4, "k": 1}, 1, 4),
    "swap": ({}, 2, 4),
    "parity": ({"n_agents": 4}, 1, 1),
    "one_hot": ({"n_agents": 4}, 1, 1),
    "climbing": ({}, 1, 1),
    "penalty": ({}, 1, 1),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_what_is_seen_and_what_stays_after_the_end(name):
    settings, obs_dim, state_dim = OBSERVATIONS[name]
    env = build(name, 5, **settings)
    info, first = env.info, env.reset()
    assert (info.obs_dim, info.state_dim, info.episode_limit) == (obs_dim, state_dim, 1)
    assert first.obs.shape == (5, info.n_agents, obs_dim)
    assert info.state_is_obs == (state_dim > 1)
    if state_dim > 1:  # the state is all that the agents see
        assert torch.equal(first.state, first.obs.flatten(1))
    else:  # nothing to be seen
        assert (first.obs == 1).all()
        assert (first.state == 1).all()
    actions = torch.zeros(5, info.n_agents, dtype=torch.int64)
    end = env.step(actions)
    assert end.terminated.all()
    assert not end.truncated.any()
    assert set(end.metrics) == set(info.metric_descriptions)
    after = env.step(1 - actions)
    assert not after.reward.any()
    assert torch.equal(after.metrics["success"], end.metrics["success"])
    assert not env.reset().terminated.any()


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("topk", {"n_agents": 3, "k": 4}, "k: 4 agents cannot be chosen among n_agents=3"),
        ("topk", {"k": -1}, "k: -1 agents cannot be chosen among n_agents=6"),
        ("topk", {"n_agents": 0, "k": 0}, "n_agents: 0 must be at least 1."),
        ("topk_anticoord", {"k": 7}, "k: 7 agents cannot be chosen"),
        ("topk_anticoord", {"epsilon": -0.1}, "epsilon: -0.1 must not be negative."),
        ("topk_anticoord", {"penalty": -1.0}, "penalty: -1.0 must not be negative."),
        ("parity", {"n_agents": 0}, "n_agents: 0 must be at least 1."),
        ("one_hot", {"n_agents": 0}, "n_agents: 0 must be at least 1."),
        ("penalty", {"k": 1.0}, "k: 1.0 is a reward; the penalty must be at most 0."),
    ],
)
def test_impossible_settings_are_refused(name, settings, text):
    with pytest.raises(SettingsError) as error:
        ENVS.get(name).config(**settings)
    assert text in str(error.value)
