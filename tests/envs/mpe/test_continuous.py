"""Continuous actions by hand: forces, symbols, opponents, and what a task says of its numbers."""

import pytest
import torch
from tests.envs.mpe.worlds import CPU, DOWN, LEFT, RIGHT, STAY, UP, build, put, random_actions

from components.spaces import Box
from envs.base import EnvInfo
from envs.mpe._scenario import SCENARIOS
from envs.mpe.mpe import Mpe, MpeConfig
from utils.errors import UserError

MOVES = ("stay", "left", "right", "down", "up")
ON = {"continuous_actions": True}


def numbers(env: Mpe, *agents: dict[int, float]) -> torch.Tensor:
    """The same actions in every world: each agent's numbers other than zero."""
    given = torch.zeros(env.info.n_agents, env.info.n_actions)
    for i, own in enumerate(agents):
        for place, value in own.items():
            given[i, place] = value
    return given.expand(env.batch_size, -1, -1)


def test_a_task_says_what_its_numbers_are() -> None:
    info = build("world_comm", **ON).info
    assert info.is_continuous
    assert info.action_counts == (9, 5, 5, 5, 5, 5)
    assert info.spaces == (Box((0.0,) * 9, (1.0,) * 9), *(Box((0.0,) * 5, (1.0,) * 5),) * 5)
    assert info.action_names is not None
    assert info.action_types is not None
    assert info.action_names[:2] == ((*MOVES, *(f"say {k}" for k in range(4))), MOVES)
    assert info.action_types[:2] == ((*range(9),), (0, 1, 2, 3, 4, 0, 0, 0, 0))
    assert not info.dynamic_avail
    speaker = build("speaker_listener", **ON).info
    assert speaker.action_names == (("say 0", "say 1", "say 2"), MOVES)
    assert speaker.action_types == ((5, 6, 7, 0, 0), (0, 1, 2, 3, 4))


def test_a_force_is_the_difference_of_two_numbers() -> None:
    env = build("tag", **ON)
    put(env, (0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (30.0, 0.0))
    chosen = (
        {STAY: 1.0, RIGHT: 0.75, LEFT: 0.25},
        {DOWN: 1.0},
        {UP: 0.5, LEFT: 0.5},
        {RIGHT: 0.5, UP: 0.25},
    )
    env.step(numbers(env, *chosen))
    velocity = env.world.velocity[:, :, 0].t()  # 0.1 s x accel 3, the prey's is 4
    expected = [[0.15, 0.0], [0.0, -0.3], [-0.15, 0.15], [0.2, 0.1]]
    torch.testing.assert_close(velocity, torch.tensor(expected, dtype=velocity.dtype))


def test_symbols_are_heard_as_strengths() -> None:
    env = build("reference", **ON)
    step = env.step(numbers(env, {5: 0.25, 14: 1.0}, {RIGHT: 1.0}))
    assert step.obs[0, 1, -10:].tolist() == [0.25, *[0.0] * 8, 1.0]
    assert not step.obs[0, 0, -10:].any()


def test_guesses_in_crypto_are_paid_by_their_squared_distance() -> None:
    env = build("crypto", batch_size=1, **ON)
    message = int(env.world.signal("message")[:, 0].argmax())
    reward = env.step(numbers(env, {message: 0.5}, {3: 0.25}, {})).reward[0]
    eve, bob = 0.25, 1 + 0.0625
    assert reward.tolist() == pytest.approx([-eve, eve - bob, eve - bob])
    reward = env.step(numbers(env, {}, {message: 1.0}, {})).reward[0]  # silence costs nothing
    assert reward.tolist() == [0.0, 0.0, 0.0]
    for _ in range(23):
        step = env.step(numbers(env, {0: 0.5, 1: 0.5}, {message: 0.2, 2: 0.1}, {}))
    assert step.metrics["eve_correct"].item() == pytest.approx(1 / 25)  # a tie names nothing
    assert step.metrics["bob_correct"].item() == pytest.approx(24 / 25)


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_whole_actions_do_what_discrete_ones_do(scenario: str) -> None:
    discrete, continuous = build(scenario, 5), build(scenario, 5, **ON)
    luck, everyone = torch.Generator().manual_seed(2), slice(0, discrete.info.n_agents)
    for _ in range(25):
        actions = random_actions(discrete, luck)
        coded = continuous.world.actions.from_discrete(actions.t(), everyone).permute(2, 0, 1)
        expected, found = discrete.step(actions), continuous.step(coded)
        torch.testing.assert_close(found.obs, expected.obs, atol=1e-5, rtol=0)
        torch.testing.assert_close(found.reward, expected.reward, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.metrics, expected.metrics, atol=1e-4, rtol=0)


RULES = [name for name in SCENARIOS.names() if SCENARIOS.get(name).cls.scripted is not None]


@pytest.mark.parametrize("scenario", RULES)
def test_rules_make_the_same_moves(scenario: str) -> None:
    settings = {"protocol": "team_vs_fixed", "opponent": "scripted"}
    discrete, continuous = (build(scenario, 8, **settings, **kind) for kind in ({}, ON))
    fixed = discrete._fixed
    last = None
    for _ in range(3):
        for env in (discrete, continuous):
            env.generator.manual_seed(7)
        assert discrete._opponent is not None
        assert continuous._opponent is not None
        moves = discrete._opponent.act(last, discrete.generator)
        acts = continuous._opponent.act(last, continuous.generator)  # [n, A, B]
        assert torch.equal(acts, continuous.world.actions.from_discrete(moves, fixed))
        last = torch.zeros(0)


def test_a_random_opponent_draws_each_of_its_own_numbers() -> None:
    team = {"protocol": "team_vs_fixed", "opponent": "random", "learners": "good"}
    env = build("world_comm", 2000, **team, **ON)
    env.step(random_actions(env, torch.Generator().manual_seed(1)))
    acts = env._actions[env._fixed]  # [4, 9, B], of the leader and three predators
    assert not acts[1:, 5:].any()
    drawn = torch.cat((acts[0].flatten(), acts[1:, :5].flatten()))
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
    assert drawn.std().item() == pytest.approx(12**-0.5, abs=0.01)
    assert torch.equal(env.world.symbol(0), acts[0, 5:].double())


class Recorder:
    """An opponent that pushes right, and keeps what it was given."""

    def __init__(self, info: EnvInfo):
        self.info, self.seen = info, []

    def act(self, step, last_actions, generator) -> torch.Tensor:
        self.seen.append((step.obs.shape, last_actions))
        acts = torch.zeros(len(step.obs), self.info.n_agents, self.info.n_actions)
        acts[..., RIGHT] = 1.0
        return acts


def test_a_trained_opponent_has_the_numbers_of_its_own_training() -> None:
    """Prey that learnt alone have five numbers; the leader of the predators has nine."""
    settings = {"protocol": "team_vs_fixed", "opponent": "path", "opponent_path": "x", **ON}
    env = Mpe(MpeConfig("world_comm", **settings), 2, CPU, 1, "test")
    alone = {"protocol": "team_vs_fixed", "opponent": "random", "learners": "good"}
    players = []
    env.load_opponent(
        MpeConfig("world_comm", **alone, **ON),
        "",
        lambda i: players.append(Recorder(i)) or players[0],
    )
    env.reset()
    put(env)
    for _ in range(2):
        env.step(torch.zeros(2, 4, 9))
    (shape, first), (_, last) = players[0].seen
    assert shape == (2, 2, 28)
    assert first is None
    assert last.shape == (2, 2, 5)
    assert (last[..., RIGHT] == 1).all()
    assert torch.equal(env._actions[4:, RIGHT], torch.ones(2, 2))
    assert not env._actions[4:, RIGHT + 1 :].any()


@pytest.mark.parametrize("here", [False, True])
def test_an_opponent_with_the_other_kind_of_actions_is_refused(here: bool) -> None:
    settings = {"protocol": "team_vs_fixed", "opponent": "path", "opponent_path": "x"}
    env = Mpe(MpeConfig("tag", **settings, continuous_actions=here), 1, CPU, 1, "test")
    text = f"trained with continuous_actions={str(not here).lower()}, and here it is "
    with pytest.raises(UserError, match=text + str(here).lower()):
        env.load_opponent(MpeConfig("tag", continuous_actions=not here), "", lambda _: None)
