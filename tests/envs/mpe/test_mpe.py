"""The environment around the worlds: contract, ends, metrics, opponents, settings."""

import pytest
import torch
from tests.envs.mpe.worlds import DOWN, LEFT, RIGHT, STAY, UP, build, episode, play, put

from envs.env_checker import report
from envs.mpe._scenario import SCENARIOS
from envs.mpe.mpe import MpeConfig
from utils.errors import SettingsError

SETTINGS = [
    *({"scenario": name, "state": "raw", "precision": "float32"} for name in SCENARIOS.names()),
    *({"scenario": name, "legacy_drop_last": True} for name in ("tag", "crypto")),
    {"scenario": "crypto", "protocol": "team_vs_fixed", "opponent": "random"},
    *(
        {"scenario": name, "protocol": "team_vs_fixed", "opponent": opponent}
        for name in ("tag", "push", "adversary", "world_comm")
        for opponent in ("scripted", "random")
    ),
    {"scenario": "reference", "local_ratio": 0.0, "max_cycles": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_contract(settings: dict) -> None:
    text = report("mpe", MpeConfig(**settings))
    assert text.startswith("mpe passes all checks."), text


def test_the_last_reward_counts() -> None:
    env = build("tag")
    steps = episode(env)
    assert [bool(s.truncated.any()) for s in steps] == [False] * 24 + [True]
    assert not any(s.terminated.any() for s in steps)
    total = torch.stack([s.reward for s in steps]).sum(dim=0)
    metrics = steps[-1].metrics
    torch.testing.assert_close(metrics["return_adversaries"], total[:, :3].sum(dim=1))
    torch.testing.assert_close(metrics["return_good"], total[:, 3])
    torch.testing.assert_close(metrics["collisions"], total[:, 0] / 10)


def test_legacy_drop_last() -> None:
    """The same episode, but its last step repeats the view before, pays nothing and terminates."""
    old, new = (episode(build("push", legacy_drop_last=flag)) for flag in (True, False))
    for mine, theirs in zip(old[:-1], new[:-1], strict=True):
        assert torch.equal(mine.obs, theirs.obs)
        assert torch.equal(mine.reward, theirs.reward)
    assert torch.equal(old[-1].obs, new[-2].obs)
    assert not old[-1].reward.any()
    assert old[-1].terminated.all()
    assert not old[-1].truncated.any()
    total = torch.stack([s.reward for s in new[:-1]]).sum(dim=0)
    torch.testing.assert_close(old[-1].metrics["return_good"], total[:, 1])


def test_crypto_counts_shares() -> None:
    env = build("crypto", batch_size=1)
    message = int(env.world.signal("message")[:, 0].argmax())
    for t in range(25):
        step = play(env, 3, message if t < 5 else 2, 0)
    assert step.metrics["eve_correct"].item() == 0
    assert step.metrics["bob_correct"].item() == pytest.approx(0.2)


def test_action_types() -> None:
    types = build("world_comm").info.action_types
    assert types is not None
    assert types[1] == tuple(range(5)) + (0,) * 15
    assert types[0] == tuple(range(5, 25))  # a move said with a word is no silent move
    speaker, listener = build("speaker_listener").info.action_types or ((), ())
    assert not set(speaker[:3]) & set(listener)
    reference = build("reference").info.action_types
    assert reference is not None
    assert reference[0] == reference[1]
    assert len(set(reference[0])) == 50


def test_scripted_prey_runs_away_and_back_inside() -> None:
    env = build("tag", batch_size=50, protocol="team_vs_fixed", opponent="scripted")
    put(env, (-0.3, 0.0), (-0.3, 0.1), (-0.3, -0.1), (0.0, 0.0))
    play(env, STAY, STAY, STAY)
    assert (env.world.velocity[0, 3] > 0).all()
    put(env, (0.0, 0.0), (0.0, 0.1), (0.0, -0.1), (1.2, 0.0))
    play(env, STAY, STAY, STAY)
    assert (env.world.velocity[0, 3] < 0).all()


def test_scripted_prey_is_harder_to_catch_than_a_random_one() -> None:
    """By predators that all run for it."""
    caught = {}
    for opponent in ("scripted", "random"):
        env = build("tag", batch_size=200, protocol="team_vs_fixed", opponent=opponent)
        for _ in range(25):
            to_prey = env.world.position[:, 3:4] - env.world.position[:, :3]  # [2, 3, B]
            sideways = to_prey[0].abs() > to_prey[1].abs()
            x = torch.where(to_prey[0] > 0, RIGHT, LEFT)
            y = torch.where(to_prey[1] > 0, UP, DOWN)
            step = env.step(torch.where(sideways, x, y).t())
        caught[opponent] = step.metrics["collisions"].mean().item()
    assert caught["scripted"] < 0.8 * caught["random"]


def test_scripted_guard_goes_to_the_landmark_that_an_agent_is_nearest_to() -> None:
    env = build("push", batch_size=50, protocol="team_vs_fixed", opponent="scripted")
    put(env, (0.0, 0.0), (0.5, 0.5), (0.0, 0.6), (-0.9, 0.0), (-0.9, 0.0))
    for _ in range(10):
        play(env, STAY)
    assert (env.world.position[:, 0] - env.world.position[:, 2]).norm(dim=0).max() < 0.15


def test_random_eve_says_everything_equally_often() -> None:
    env = build("crypto", batch_size=4000, protocol="team_vs_fixed", opponent="random")
    play(env, 0, 0)
    said = env.world.symbol(0).mean(dim=1)
    torch.testing.assert_close(said, torch.full_like(said, 0.25), atol=0.03, rtol=0)


def test_within_reach_is_where_moves_lead() -> None:
    env = build("tag", batch_size=5)
    luck = torch.Generator().manual_seed(5)
    env.world.velocity.copy_(torch.rand(env.world.velocity.shape, generator=luck) * 0.7)
    places, at = env.world.within_reach(slice(3, 4)), env.world.position.clone()
    start = env.world.velocity.clone()
    for move in range(5):
        env.world.position.copy_(at + 100 * torch.arange(6).view(1, -1, 1))  # nobody is near
        env.world.velocity.copy_(start)
        env.world.measure()
        play(env, 0, 0, 0, move)
        play(env, 0, 0, 0, 0)
        torch.testing.assert_close(env.world.position[:, 3] - 300, places[:, move, 0])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"scenario": "world_com"}, "Did you mean 'world_comm'?"),
        ({"scenario": "push", "protocol": "two_team"}, "needs one learner per team"),
        (
            {"scenario": "push", "protocol": "team_vs_fixed", "opponent": "path"},
            "cannot be the opponent yet",
        ),
        ({"scenario": "push", "protocol": "team_vs_fixed"}, "without a player"),
        (
            {"scenario": "crypto", "protocol": "team_vs_fixed", "opponent": "scripted"},
            "there is no rule to play crypto by. Write opponent=random.",
        ),
        (
            {"scenario": "reference", "protocol": "team_vs_fixed", "opponent": "random"},
            "in reference there is one",
        ),
        ({"scenario": "tag", "opponent": "random"}, "'random' has nobody to play"),
        ({"scenario": "tag", "local_ratio": 0.3}, "rewards of tag are not mixed"),
        ({"scenario": "spread", "local_ratio": 1.5}, "must lie between 0 and 1"),
        ({"max_cycles": 0}, "0 must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, told: str) -> None:
    with pytest.raises(SettingsError) as error:
        MpeConfig(**settings)
    assert told in str(error.value)
