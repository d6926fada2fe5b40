"""The environment around the worlds: contract, ends, metrics, opponents, settings."""

import pytest
import torch
from tests.envs.mpe.worlds import DOWN, LEFT, RIGHT, STAY, UP, build, episode, play, put

from envs.checker.budget import Budget
from envs.checker.report import report
from envs.mpe._scenario import SCENARIOS
from envs.mpe.mpe import Mpe, MpeConfig
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
    {"scenario": "crypto", "protocol": "team_vs_fixed", "opponent": "scripted"},
    {"scenario": "tag", "protocol": "team_vs_fixed", "opponent": "random", "learners": "good"},
    *({"scenario": name, "protocol": "two_team"} for name in ("tag", "crypto", "world_comm")),
    {"scenario": "reference", "local_ratio": 0.0, "max_cycles": 1},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_contract(settings: dict) -> None:
    text, _ = report("mpe", MpeConfig(**settings), budget=Budget())
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


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_equal_names_of_actions_are_equal_actions(scenario: str) -> None:
    info = build(scenario).info
    assert info.action_names is not None
    assert info.action_types is not None
    named = [
        (name, kind)
        for names, kinds in zip(info.action_names, info.action_types, strict=True)
        for name, kind in zip(names, kinds, strict=False)
    ]
    assert len({*named}) == len({name for name, _ in named}) == len({kind for _, kind in named})


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


def crypto_episode(env: Mpe, has_key: bool) -> dict[str, float]:
    """Alice says the message, or the message with the key added; bob knows how to read it."""
    env.reset()
    message, key = (env.world.signal(name).argmax(dim=0) for name in ("message", "key"))
    alice = (message + key) % 2 if has_key else message
    for _ in range(25):
        step = env.step(torch.stack((message, alice), dim=1))
    return {name: value.mean().item() for name, value in step.metrics.items()}


@pytest.mark.parametrize(("batch_size", "n_episodes"), [(1, 100), (500, 1)])
def test_the_decoder_breaks_a_code_without_a_key_and_no_other(
    batch_size: int, n_episodes: int
) -> None:
    """One world after the other, it has to learn from the past; of many at once, from the others.

    In its first step it has heard nothing and is right half of the time: 24.5 / 25 in the mean.
    """
    found = {}
    for has_key in (False, True):
        env = build("crypto", batch_size, protocol="team_vs_fixed", opponent="scripted")
        first = 10 * (batch_size == 1)  # in which it gets to know both words
        episodes = [crypto_episode(env, has_key) for _ in range(first + n_episodes)][first:]
        found[has_key] = sum(episode["eve_correct"] for episode in episodes) / n_episodes
    assert found[False] == pytest.approx(0.98, abs=0.01)
    assert found[True] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("period", [1, 12])
def test_the_decoder_breaks_a_code_that_changes_with_the_step(period: int) -> None:
    """Alice says the message and its opposite in turns, which both she and bob can know."""
    env = build("crypto", 500, protocol="team_vs_fixed", opponent="scripted")
    message = env.world.signal("message").argmax(dim=0)
    for t in range(25):
        alice = (message + t // period) % 2
        step = env.step(torch.stack((message, alice), dim=1))
    assert step.metrics["eve_correct"].mean() == pytest.approx(0.98, abs=0.01)


def test_guesses_in_worlds_of_a_batch_are_independent() -> None:
    """With a key, the mean of 32 worlds is near one half in every batch."""
    env = build("crypto", 32, protocol="team_vs_fixed", opponent="scripted")
    right = [crypto_episode(env, has_key=True)["eve_correct"] for _ in range(40)]
    assert torch.tensor(right).std() < 0.05


def test_a_decoder_goes_on_from_its_state() -> None:
    envs = [build("crypto", 8, protocol="team_vs_fixed", opponent="scripted") for _ in range(2)]
    for _ in range(3):
        crypto_episode(envs[0], has_key=False)
    envs[1].load_state_dict(envs[0].state_dict())
    assert crypto_episode(envs[0], has_key=False) == crypto_episode(envs[1], has_key=False)


def test_the_decoder_never_uses_the_secret_of_its_own_episode() -> None:
    """In its first episode, alone, it knows nothing, however long alice repeats the message."""
    right = []
    for seed in range(40):
        env = build("crypto", 1, seed, protocol="team_vs_fixed", opponent="scripted")
        right.append(crypto_episode(env, has_key=False)["eve_correct"])
    assert sum(right) / len(right) == pytest.approx(0.5, abs=0.05)


def test_the_decoder_forgets_old_codes() -> None:
    env = build("crypto", 100, protocol="team_vs_fixed", opponent="scripted")
    for _ in range(20):
        crypto_episode(env, has_key=False)
    swapped = torch.tensor([1, 0, 2, 3])
    for _ in range(20):  # bob and alice swap the words for the two messages
        env.reset()
        message = env.world.signal("message").argmax(dim=0)
        for _ in range(25):
            step = env.step(torch.stack((message, swapped[message]), dim=1))
    assert step.metrics["eve_correct"].mean() > 0.9


def test_two_teams_are_paid_the_mean_of_their_own() -> None:
    """The same episodes as when every agent is paid alone, which `return_...` still show."""
    mine, own = (episode(build("world_comm", protocol=p)) for p in ("two_team", "all_common"))
    for paid_, raw in zip(mine, own, strict=True):
        assert torch.equal(paid_.obs, raw.obs)
        for team in (slice(0, 4), slice(4, 6)):
            wanted = raw.reward[:, team].mean(dim=1, keepdim=True).expand_as(raw.reward[:, team])
            torch.testing.assert_close(paid_.reward[:, team], wanted)
    for name, value in own[-1].metrics.items():
        assert torch.equal(mine[-1].metrics[name], value)


@pytest.mark.parametrize(
    "settings",
    [
        {"protocol": "all_common"},
        {"protocol": "two_team"},
        {"protocol": "team_vs_fixed", "opponent": "random"},
        {"protocol": "team_vs_fixed", "opponent": "random", "learners": "good"},
    ],
    ids=lambda settings: "-".join(settings.values()),
)
def test_the_return_of_each_team_is_shown_under_every_protocol(settings: dict) -> None:
    env = build("tag", 20, **settings)
    shown = episode(env)[-1].metrics
    assert set(env.info.metric_descriptions) == set(shown)
    predators, prey = shown["return_adversaries"], shown["return_good"]
    torch.testing.assert_close(predators, 30 * shown["collisions"])
    assert (prey <= -predators / 3).all()


def test_the_other_side_can_learn() -> None:
    env = build("tag", protocol="team_vs_fixed", opponent="random", learners="good")
    assert env.info.agent_names == ("agent_0",)
    assert (env.info.obs_dim, env.info.state_dim) == (14, 14)


def test_an_opponent_that_is_not_loaded_is_an_error() -> None:
    settings = {"opponent": "path", "opponent_path": "results/x"}
    with pytest.raises(RuntimeError, match=r"build\.build_env"):
        build("tag", protocol="team_vs_fixed", **settings)


def test_within_reach_is_where_moves_lead() -> None:
    env = build("tag", batch_size=5)
    luck = torch.Generator().manual_seed(5)
    env.world.velocity.copy_(torch.rand(env.world.velocity.shape, generator=luck) * 0.7)
    places, at = env.world.within_reach(slice(3, 4)), env.world.position.clone()
    start = env.world.velocity.clone()
    for move in range(5):
        env.world.position.copy_(at + 100 * torch.arange(6).view(1, -1, 1))  # no two are near
        env.world.velocity.copy_(start)
        env.world.measure()
        play(env, 0, 0, 0, move)
        play(env, 0, 0, 0, 0)
        torch.testing.assert_close(env.world.position[:, 3] - 300, places[:, move, 0])


FIXED = {"scenario": "push", "protocol": "team_vs_fixed"}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scenario": "world_com"}, "Did you mean 'world_comm'?"),
        ({"scenario": "spread", "protocol": "two_team"}, "in spread there is one"),
        ({**FIXED, "opponent": "path"}, "Write opponent_path=<run folder or checkpoint file>."),
        (
            {**FIXED, "opponent": "random", "opponent_path": "results/x"},
            "'results/x' has no use with opponent=random. Write opponent=path, or leave it empty",
        ),
        (FIXED, "without a player"),
        (
            {**FIXED, "opponent": "scripted", "learners": "adversaries"},
            "no rule that plays this side of push. Write opponent=random or opponent=path.",
        ),
        ({"scenario": "push", "learners": "good"}, "'good' has no use: under all_common"),
        (
            {"scenario": "reference", "protocol": "team_vs_fixed", "opponent": "random"},
            "in reference there is one",
        ),
        (
            {"scenario": "tag", "protocol": "two_team", "opponent": "scripted"},
            "'scripted' has no team to play: under two_team every agent learns.",
        ),
        ({"scenario": "tag", "opponent": "random"}, "'random' has no team to play"),
        ({"scenario": "tag", "local_ratio": 0.3}, "rewards of tag are not mixed"),
        ({"scenario": "spread", "local_ratio": 1.5}, "must lie between 0 and 1"),
        ({"max_cycles": 0}, "0 must be at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, text: str) -> None:
    with pytest.raises(SettingsError) as error:
        MpeConfig(**settings)
    assert text in str(error.value)
