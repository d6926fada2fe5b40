"""The adapter on the particle tasks of mpe2: known sizes, known returns, nothing lost."""

import math
from typing import Any

import pytest
import torch
from tests.helpers.runs import differences, final_state, rows, tiny, train

from config.load import load_recorded
from envs.base import make_env
from envs.env_checker import check_env
from utils.errors import UserError
from utils.registry import ENVS

pytest.importorskip("mpe2", reason="needs mpe2 (pip install mpe2)")
pytestmark = pytest.mark.optional_env
CPU = torch.device("cpu")
PROMISES = {"varying_team": False, "action_masks": False, "fixed_length": True}

# task: observations, actions, own state, random return of the team (mean, sd), of single agents
TASKS: dict[str, tuple[Any, ...]] = {
    "simple_reference_v3": ((21, 21), (50, 50), 42, (-57.0, 19.5), {0: -28.7, 1: -28.2}),
    "simple_push_v3": ((8, 19), (5, 5), 27, (-27.9, 12.8), {0: 0.1, 1: -28.0}),
    "simple_world_comm_v3": (
        (34, 34, 34, 34, 28, 28),
        (20, 5, 5, 5, 5, 5),
        192,
        (-43.3, 60.1),
        {0: 2.8, 4: -28.6},
    ),
    "simple_speaker_listener_v4": ((3, 11), (3, 5), 14, (-82.1, 63.3), {0: -41.1, 1: -41.1}),
    "simple_crypto_v3": ((4, 8, 8), (4, 4, 4), 20, (-37.5, 10.3), {0: -37.4, 1: -0.2}),
    "simple_tag_v3": ((16, 16, 16, 14), (5, 5, 5, 5), 62, (-5.6, 32.5), {0: 4.3, 3: -18.4}),
}
N_EPISODES = 32


def build(task: str, b: int, seed: int = 1, stream: str = "test", **settings: Any) -> Any:
    config = ENVS.get("pettingzoo").config(task=task, **PROMISES, **settings)
    return make_env("pettingzoo", config, b, CPU, seed, stream)


@pytest.mark.parametrize("task", TASKS)
def test_sizes_and_random_returns(task):
    obs_dims, action_counts, state_dim, (mean, sd), single = TASKS[task]
    env = build(task, N_EPISODES)
    assert env.info.obs_dims == obs_dims
    assert env.info.action_counts == action_counts
    assert env.info.state_dim == len(obs_dims) * max(obs_dims)
    assert build(task, 1, state="env").info.state_dim == state_dim
    step, generator = env.reset(), torch.Generator().manual_seed(0)
    returns = torch.zeros_like(step.reward)  # [B, N]
    for t in range(1, 26):
        luck = torch.rand(step.avail.shape, generator=generator).masked_fill(~step.avail, -1)
        step = env.step(luck.argmax(dim=2))
        returns += step.reward
        assert not step.terminated.any()
        assert step.truncated.all().item() is (t == 25)
        assert step.reward.any()  # the 25th too
    error = sd * (1 / math.sqrt(N_EPISODES) + 1 / math.sqrt(400))
    assert abs(returns.sum(dim=1).mean() - mean) < 4 * error
    for agent, expected in single.items():
        spread = returns[:, agent].std() / math.sqrt(N_EPISODES) + sd / math.sqrt(400)
        assert abs(returns[:, agent].mean() - expected) < 4 * spread


def test_names_of_tasks():
    """A short name is one of mpe2's."""
    short, long = build("simple_push_v3", 1), build("mpe2.simple_push_v3", 1)
    assert short.info == long.info
    assert torch.equal(short.reset().obs, long.reset().obs)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("simple_tg_v3", "no module 'mpe2.simple_tg_v3'. Did you mean 'simple_tag_v3'? mpe2 has: "),
        ("simple_tag_v2", "Did you mean 'simple_tag_v3'?"),
        ("simple_tag", "has no function 'parallel_env'. Did you mean 'simple_tag_v3'?"),
        ("pettingzoo.butterfly.pistonbal_v6", "Did you mean 'pistonball_v6'?"),
    ],
)
def test_unknown_tasks_are_reported_with_the_nearest(task, said):
    with pytest.raises(UserError) as error:
        build(task, 1)
    assert said in str(error.value)


@pytest.mark.parametrize("task", ["simple_speaker_listener_v4", "simple_tag_v3"])
def test_checker_passes(task):
    assert check_env(lambda b, seed, stream, _: build(task, b, seed, stream)) == []


def test_the_reference_played_by_hand():
    """Step by step what mpe2 itself shows, from the same seed and with the same actions."""
    from mpe2 import simple_tag_v3

    env = build("simple_tag_v3", 1, state="env")
    step, generator = env.reset(), torch.Generator().manual_seed(0)
    world = simple_tag_v3.parallel_env()
    shown, _ = world.reset(seed=int(env._backend.arrays.seeds[0]))
    for _ in range(25):
        for i, (name, size) in enumerate(zip(env.info.agent_names, env.info.obs_dims, strict=True)):
            assert step.obs[0, i, :size].tolist() == shown[name].tolist()
            assert not step.obs[0, i, size:].any()
        assert step.state[0].tolist() == world.state().tolist()
        actions = torch.randint(5, (1, 4), generator=generator)
        step = env.step(actions)
        shown, rewards, *_ = world.step(
            {name: int(actions[0, i]) for i, name in enumerate(env.info.agent_names)}
        )
        expected = torch.tensor([rewards[name] for name in env.info.agent_names])
        assert torch.equal(step.reward[0], expected)


def test_runs_do_not_depend_on_the_number_of_workers(tmp_path):
    runs = []
    for n_workers in (0, 2):
        steps = ("t_max=400", "test_interval=200", "log_interval=200", "checkpoint_interval=400")
        config = tiny("qmix", "pettingzoo", f"env_args.n_workers={n_workers}", *steps)
        runs.append(train(config, tmp_path / str(n_workers)))
    assert rows(runs[0]) == rows(runs[1])
    assert differences(final_state(runs[0]), final_state(runs[1])) == []


def test_a_resumed_run_goes_on_with_the_same_episodes(tmp_path):
    steps = ("test_interval=200", "log_interval=200", "checkpoint_interval=200")
    config = tiny("qmix", "pettingzoo", "t_max=600", *steps)
    whole = train(config, tmp_path / "whole")
    parts = train(tiny("qmix", "pettingzoo", "t_max=200", *steps), tmp_path / "parts")
    train(load_recorded(parts, [f"resume={parts}", "t_max=600"]), parts)
    assert rows(parts)[-1] == rows(whole)[-1]
    assert differences(final_state(parts), final_state(whole)) == []
