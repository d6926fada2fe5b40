"""Native particle tasks against mpe2: the same states and actions lead to the same episodes."""

import numpy as np
import pytest
import torch

pytest.importorskip("mpe2")

from benchmarks.mpe_equivalence import (
    CPU,
    SCENARIOS,
    STEPS,
    WAYS,
    build,
    compare,
    original,
    play_original,
    put,
)

from envs.mpe._mpe2 import table
from envs.mpe.mpe import Mpe, MpeConfig

pytestmark = pytest.mark.optional_env

TOLERANCE = 1e-4
EPISODES = {"world_comm": 30}
CHAOTIC = "float32 episodes"  # contacts amplify rounding; see benchmarks/mpe_equivalence.py


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_whole_episodes_agree(scenario: str) -> None:
    record = play_original(scenario, EPISODES.get(scenario, 60), seed=1)
    for way in WAYS:
        found = compare(scenario, record, way)
        assert found.n_left_out <= 0.001 * found.n_steps
        if way != CHAOTIC:
            assert found.largest < TOLERANCE, way


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_whole_episodes_of_continuous_actions_agree(scenario: str) -> None:
    record = play_original(scenario, 12, seed=1, continuous=True)
    for way in WAYS:
        found = compare(scenario, record, way)
        assert found.n_left_out <= 0.001 * found.n_steps
        if way != CHAOTIC:
            assert found.largest < TOLERANCE, way


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_hundreds_of_episodes_agree(scenario: str, continuous: bool) -> None:
    record = play_original(scenario, 100 if continuous else 450, seed=2, continuous=continuous)
    for way in WAYS:
        found = compare(scenario, record, way)
        assert found.n_left_out <= 0.001 * found.n_steps
        if way != CHAOTIC:
            assert found.largest < TOLERANCE, way


@pytest.mark.parametrize("scenario", ["reference", "speaker_listener", "crypto", "adversary"])
def test_float32_stays_close_where_nothing_touches(scenario: str) -> None:
    record = play_original(scenario, 30, seed=3)
    assert compare(scenario, record, CHAOTIC).largest < TOLERANCE


def test_the_comparison_notices_a_difference() -> None:
    record = play_original("tag", 6, seed=4)
    record.actions[0, 0, 1] = (record.actions[0, 0, 1] + 1) % 5
    assert compare("tag", record, WAYS[0]).largest > 1e-2


def test_the_comparison_notices_another_order_of_numbers() -> None:
    record = play_original("tag", 6, seed=4, continuous=True)
    record.actions[:] = record.actions[..., [0, 2, 1, 3, 4]]
    assert compare("tag", record, WAYS[0]).largest > 1e-2


@pytest.mark.filterwarnings("ignore")
def test_numbers_outside_their_bounds_are_clipped_as_by_mpe2() -> None:
    theirs = original("reference", continuous=True)
    theirs.reset(seed=1)
    env = build("reference", 1, continuous_actions=True)
    put(env.world, table("reference", theirs.unwrapped.world)[None])
    luck = np.random.default_rng(1)
    for _ in range(5):
        actions = (luck.random((2, 15), dtype=np.float32) * 3 - 1).astype(np.float32)
        obs, *_ = theirs.step(dict(zip(theirs.possible_agents, actions, strict=True)))
        step = env.step(torch.as_tensor(actions)[None])
        for i, name in enumerate(theirs.possible_agents):
            np.testing.assert_allclose(step.obs[0, i], obs[name], atol=TOLERANCE)


def test_forced_collisions_happen() -> None:
    record = play_original("push", 30, seed=5)
    env = build("push", 30)
    put(env.world, record.states[0])
    overlaps = env.world.distances[0] < env.world.reach[0]  # the two agents
    assert overlaps.sum() >= 3


def place(theirs, env: Mpe, b: int) -> None:
    """Put mpe2 into the state of native world `b`, as drawn by its reset."""
    world, scenario = theirs.unwrapped.world, env.config.scenario
    position = env.world.position[:, :, b].t().numpy()  # [E, 2]
    for entity, at in zip(world.entities, position, strict=False):
        entity.state.p_pos = at.copy()
    markers = position[len(world.entities) :]
    first = len(world.agents)
    where = [
        world.landmarks[int(np.abs(position[first : len(world.entities)] - m).sum(1).argmin())]
        for m in markers
    ]
    if scenario == "reference":
        for agent, goal in zip(world.agents, where, strict=True):
            agent.goal_b = goal
            agent.goal_a.color = goal.color
    elif scenario == "speaker_listener":
        world.agents[0].goal_b = where[0]
    elif scenario == "push":
        colour = np.full(3, 0.25)
        colour[world.landmarks.index(where[0]) + 1] += 0.5
        world.agents[1].color = colour
    elif scenario == "crypto":
        message, key = (env.world.signal(name)[:, b].argmax() for name in ("message", "key"))
        where, world.agents[2].key = [world.landmarks[message]], world.landmarks[key].color
    if scenario in ("push", "crypto", "adversary"):
        for agent in world.agents:
            agent.goal_a = where[0]


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_native_resets_are_states_of_mpe2(scenario: str) -> None:
    """The reverse: mpe2 is put where a native reset begins, and both go on from there."""
    env, theirs = Mpe(MpeConfig(scenario), 4, CPU, 6, "test"), original(scenario)
    names, rng = theirs.possible_agents, np.random.default_rng(7)
    actions = np.stack([rng.integers(theirs.action_space(n).n, size=(STEPS, 4)) for n in names], 2)
    first = env.reset()
    starts = Mpe(MpeConfig(scenario), 4, CPU, 6, "test")  # stays where episodes begin
    starts.reset()
    steps = [env.step(torch.as_tensor(actions[t])) for t in range(STEPS)]
    for b in range(4):
        theirs.reset(seed=0)
        place(theirs, starts, b)
        shown = [{name: theirs.unwrapped.observe(name) for name in names}]
        rewards = []
        for t in range(STEPS):
            obs, reward, *_ = theirs.step(dict(zip(names, actions[t, b].tolist(), strict=True)))
            shown.append(obs)
            rewards.append([reward[name] for name in names])
        ours = torch.stack([step.obs[b] for step in (first, *steps)])  # [T + 1, N, O]
        for i, name in enumerate(names):
            expected = np.stack([obs[name] for obs in shown])
            np.testing.assert_allclose(ours[:, i, : expected.shape[1]], expected, atol=TOLERANCE)
        paid = torch.stack([step.reward[b] for step in steps])
        np.testing.assert_allclose(paid, rewards, atol=TOLERANCE)
