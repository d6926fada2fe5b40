"""Scenes of particle worlds: what is in them, where, and in which colour."""

import pytest
import torch
from tests.envs.mpe.worlds import STAY, build, play, put

from envs.mpe._scene import AGENT_COLOURS, KIND_COLOURS, TEAM_COLOURS
from envs.mpe.scenarios.speaker_listener import COLOURS


def test_agents_and_landmarks_are_where_they_are() -> None:
    env = build("spread")
    put(env, (0.1, 0.2), (0.3, 0.4), (0.5, 0.6), (-0.1, -0.2), (-0.3, -0.4), (-0.5, -0.6))
    scene = env.scene(1)
    assert [agent.name for agent in scene.agents] == ["agent_0", "agent_1", "agent_2"]
    at = [one.at for one in (*scene.agents, *scene.shapes)]
    for place, (x, y) in zip(at, ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6), (-0.1, -0.2)), strict=False):
        assert place == pytest.approx((x, y))
    assert [agent.colour for agent in scene.agents] == list(AGENT_COLOURS)
    assert {shape.kind for shape in scene.shapes} == {"landmark"}


def test_a_scene_is_of_one_copy() -> None:
    env = build("spread")
    assert env.scene(0) != env.scene(1)


def test_who_cannot_move_has_no_place_and_its_words_are_seen() -> None:
    env = build("speaker_listener")
    speaker, listener = env.scene(0).agents
    assert speaker.at is None
    assert listener.at is not None
    assert speaker.says is None  # before the first step
    play(env, 2, STAY)
    speaker, listener = env.scene(0).agents
    assert (speaker.says, listener.says) == (2, None)


def test_of_symbols_with_strengths_the_loudest_is_shown() -> None:
    env = build("crypto", batch_size=1, continuous_actions=True)
    strengths = torch.tensor([[[0.1, 0.4, 0.2, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0] * 4]])
    env.step(strengths)
    assert [agent.says for agent in env.scene(0).agents] == [1, 3, None]


def test_landmarks_have_the_colours_that_agents_observe_and_the_goal_has_its_owners() -> None:
    scene = build("speaker_listener").scene(0)
    landmarks = [shape for shape in scene.shapes if shape.kind == "landmark"]
    wanted = [tuple(round(255 * part) for part in colour) for colour in COLOURS]
    assert [shape.colour for shape in landmarks] == wanted
    (goal,) = (shape for shape in scene.shapes if shape.kind == "goal")
    assert goal.at in [shape.at for shape in landmarks]
    assert goal.colour == scene.agents[1].colour


def test_two_goals_in_one_place_are_two_rings() -> None:
    env = build("reference", batch_size=40)
    same = 0
    for copy in range(40):
        scene = env.scene(copy)
        goals = [shape for shape in scene.shapes if shape.kind == "goal"]
        assert [goal.colour for goal in goals] == [scene.agents[i].colour for i in (1, 0)]
        if goals[0].at == goals[1].at:
            same += 1
            assert goals[0].radius < goals[1].radius
    assert 0 < same < 40


def test_a_goal_of_several_agents_is_nobodys_colour() -> None:
    scene = build("adversary").scene(0)
    (goal,) = (shape for shape in scene.shapes if shape.kind == "goal")
    assert goal.colour == KIND_COLOURS["goal"]
    assert [agent.colour for agent in scene.agents] == [
        TEAM_COLOURS[team] for team in ("adversaries", "good", "good")
    ]
    assert [agent.group for agent in scene.agents] == ["adversaries", "good", "good"]


def test_world_comm_has_all_kinds_large_ones_below() -> None:
    kinds = [shape.kind for shape in build("world_comm").scene(0).shapes]
    assert kinds == ["forest", "forest", "obstacle", "food", "food"]


def test_crypto_tells_message_and_key_and_nothing_of_places() -> None:
    env = build("crypto", batch_size=20)
    captions = set()
    for copy in range(20):
        scene = env.scene(copy)
        assert scene.shapes == ()
        assert all(agent.at is None for agent in scene.agents)
        message, key = ("AB"[int(env.world.signal(name)[1, copy])] for name in ("message", "key"))
        assert scene.caption == f"message {message}, key {key}"
        captions.add(scene.caption)
    assert len(captions) == 4
