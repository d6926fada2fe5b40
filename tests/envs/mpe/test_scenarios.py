"""Scenarios by hand: sizes, who sees what, what is paid."""

import math

import pytest
import torch
from tests.envs.mpe.worlds import (
    LEFT,
    build,
    paid,
    play,
    put,
)

from envs.mpe._scenario import SCENARIOS
from utils.registry import ENVS

# name: obs, actions, padded state, raw state; agents
SIZES = {
    "reference": ((21, 21), (50, 50), 42, 42, "agent_0 agent_1"),
    "push": ((8, 19), (5, 5), 38, 27, "adversary_0 agent_0"),
    "speaker_listener": ((3, 11), (3, 5), 22, 14, "speaker_0 listener_0"),
    "crypto": ((4, 8, 8), (4, 4, 4), 24, 20, "eve_0 bob_0 alice_0"),
    "tag": ((16, 16, 16, 14), (5,) * 4, 64, 62, "adversary_0 adversary_1 adversary_2 agent_0"),
    "spread": ((18,) * 3, (5,) * 3, 54, 54, "agent_0 agent_1 agent_2"),
    "adversary": ((8, 10, 10), (5,) * 3, 30, 28, "adversary_0 agent_0 agent_1"),
    "world_comm": (
        (34,) * 4 + (28,) * 2,
        (20,) + (5,) * 5,
        204,
        192,
        "leadadversary_0 adversary_0 adversary_1 adversary_2 agent_0 agent_1",
    ),
}


def test_every_scenario_has_its_sizes_listed() -> None:
    assert set(SIZES) == set(SCENARIOS.names())


def test_scenarios_are_no_environments() -> None:
    assert "mpe" in ENVS.names()
    assert not set(ENVS.names()) & set(SIZES)


@pytest.mark.parametrize("scenario", SIZES)
def test_sizes(scenario: str) -> None:
    obs, actions, padded, raw, names = SIZES[scenario]
    info = build(scenario).info
    assert info.obs_dims == obs
    assert info.action_counts == actions
    assert (info.n_actions, info.obs_dim) == (max(actions), max(obs))
    assert info.agent_names == tuple(names.split())
    assert info.state_dim == padded
    assert build(scenario, state="raw").info.state_dim == raw
    assert (info.episode_limit, info.fixed_length, info.truncates) == (25, True, True)


def test_sizes_of_a_team_against_a_fixed_one() -> None:
    fixed = {"protocol": "team_vs_fixed", "opponent": "random"}
    assert build("tag", **fixed).info.state_dim == 48
    assert build("tag", state="raw", **fixed).info.state_dim == 62
    found = {name: build(name, **fixed).info.agent_names for name in ("push", "crypto")}
    assert found == {"push": ("agent_0",), "crypto": ("bob_0", "alice_0")}


def test_words_are_heard_one_step_late() -> None:
    env = build("reference")
    first = env.observe()
    assert not first.obs[:, :, 11:].any()
    step = play(env, 5 * 3 + LEFT, 5 * 9)
    assert step.obs[0, 1, 11:].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert step.obs[0, 0, 11:].argmax() == 9
    assert not env.reset().obs[:, :, 11:].any()


@pytest.mark.parametrize(
    ("scenario", "marker", "agent", "entries"),
    [
        ("reference", 0, 0, slice(8, 11)),
        ("reference", 1, 1, slice(8, 11)),
        ("speaker_listener", 0, 0, slice(0, 3)),
        ("push", 0, 1, slice(5, 7)),  # green or blue
    ],
)
def test_colours_tell_the_goal(scenario: str, marker: int, agent: int, entries: slice) -> None:
    env = build(scenario, batch_size=64)
    scene, position = env.scenario, env.world.position
    named = env.observe().obs[:, agent, entries].argmax(dim=1)
    first = scene.n_agents
    chosen = position[:, first : first + len(scene.landmarks)].gather(1, named.expand(2, 1, -1))
    assert torch.equal(chosen[:, 0], position[:, scene.marker(marker)])
    assert named.unique().numel() == len(scene.landmarks)


def test_entities_begin_where_they_should() -> None:
    env = build("world_comm", batch_size=3000)
    extent = env.world.position.abs().amax(dim=(0, 2))
    assert ((extent[:6] > 0.99) & (extent[:6] <= 1)).all()
    assert ((extent[6:] > 0.89) & (extent[6:] <= 0.9)).all()
    assert not env.world.velocity.any()


def test_forests_hide() -> None:
    """The leader, two predators and a prey inside; the first forest at (0, 0), the second far."""
    env = build("world_comm")
    inside, outside = (0.1, 0.0), (-0.6, 0.0)
    agents = [inside, (0.0, 0.2), (2.0, 0.0), (2.0, 2.0), (0.0, -0.2), outside]
    put(env, *agents, (9.0, 9.0), (9.5, 9.0), (9.0, 9.5), (0.0, 0.0), (5.0, 5.0))
    obs = env.observe().obs[0]
    others = {i: obs[i, 14:24].view(5, 2).any(dim=1).tolist() for i in range(6)}
    assert others == {
        0: [True] * 5,  # the leader sees everyone
        1: [True, False, False, True, False],  # inside: who is there too
        2: [False, False, True, False, True],  # outside: who is outside too
        3: [False, False, True, False, True],
        4: [True, True, False, False, False],
        5: [False, False, True, True, False],
    }
    assert obs[1, 28:30].tolist() == [1, -1]  # predators: flags behind velocities
    assert obs[4, 24:26].tolist() == [1, -1]  # prey: flags before
    assert obs[5, 24:26].tolist() == [-1, -1]


def test_reference_rewards() -> None:
    places = [(0.0, 0.0), (3.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (3.0, 4.0), (0.0, 1.0)]
    for ratio, expected in ((0.5, [-3.25, -1.75]), (0.0, [-2.5, -2.5]), (1.0, [-4.0, -1.0])):
        env = build("reference", local_ratio=ratio)
        put(env, *places)  # agent 0 knows the goal of agent 1, 4 away from it; the other is 1 away
        assert paid(env) == pytest.approx(expected)


def test_push_rewards() -> None:
    env = build("push")
    put(env, (0.0, 2.0), (3.0, 0.0), (9.0, 9.0), (0.0, 0.0), (0.0, 0.0))
    assert paid(env) == pytest.approx([1.0, -3.0])


def test_speaker_listener_rewards() -> None:
    env = build("speaker_listener")
    put(env, (9.0, 9.0), (3.0, 0.0), *[(9.0, 9.0)] * 3, (1.0, 0.0))
    assert paid(env) == pytest.approx([-4.0, -4.0])


@pytest.mark.parametrize(
    ("eve", "bob", "expected"),
    [("yes", "yes", [0, 0, 0]), ("no", "yes", [-2, 2, 2]), ("yes", "no", [0, -2, -2])],
)
def test_crypto_rewards(eve: str, bob: str, expected: list[float]) -> None:
    env = build("crypto", batch_size=1)
    message = int(env.world.signal("message")[:, 0].argmax())
    says = {"yes": message, "no": 3}
    assert paid(env, says[eve], says[bob], 0) == expected


def test_tag_rewards() -> None:
    env = build("tag")
    put(env, (0.85, 0.0), (0.95, 0.1), (0.0, 0.0), (0.95, 0.0))
    assert paid(env) == pytest.approx([20, 20, 20, -20.5])


def test_spread_rewards() -> None:
    env = build("spread")
    put(env, (0.0, 0.0), (0.2, 0.0), (5.0, 0.0), (0.0, 1.0), (5.0, 2.0), (0.2, 0.05))
    assert paid(env) == pytest.approx([-0.5 * 3.05 - 0.5, -0.5 * 3.05 - 0.5, -0.5 * 3.05])


def test_adversary_rewards() -> None:
    env = build("adversary")
    put(env, (0.0, 3.0), (1.0, 0.0), (2.0, 0.0), (9.0, 9.0), (0.0, 0.0), (0.0, 0.0))
    assert paid(env) == pytest.approx([-3.0, 2.0, 2.0])


def test_world_comm_rewards() -> None:
    """Prey 4 touches two predators and food; prey 5 is alone, 1.5 from the centre."""
    env = build("world_comm")
    predators = [(0.1, 0.0), (-0.1, 0.0), (0.5, 0.0), (0.0, -1.0)]
    put(env, *predators, (0.0, 0.0), (0.0, 1.5), (9.0, 9.0), (0.0, 0.05), (9.0, 0.0))
    hunt = [10 - 0.1 * d for d in (0.1, 0.1, 0.5, 1.0)]
    flee = [-10 + 2 - 0.05 * 0.05, -2 * math.e - 0.05 * 1.45]
    assert paid(env) == pytest.approx(hunt + flee)
