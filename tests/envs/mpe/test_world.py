"""Physics by hand."""

import math

import pytest
import torch
from tests.envs.mpe.worlds import (
    CPU,
    DOWN,
    LEFT,
    RIGHT,
    STAY,
    UP,
    build,
    play,
    put,
    random_actions,
)

from envs.mpe._scenario import SCENARIOS
from envs.mpe._world import World, out_of_bounds
from envs.mpe.mpe import Mpe, MpeConfig


def test_position_follows_the_old_velocity_and_velocity_the_force() -> None:
    env = build("reference")
    put(env, (0.0, 0.0), (1.0, 1.0))
    play(env, RIGHT, DOWN + 5 * 7)
    assert env.world.position[:, :2, 0].t().tolist() == [[0, 0], [1, 1]]
    assert env.world.velocity[:, :, 0].t().tolist() == [[0.5, 0], [0, -0.5]]
    play(env, STAY, LEFT)
    at = env.world.position[:, :2, 0].t()
    torch.testing.assert_close(at, torch.tensor([[0.05, 0.0], [1.0, 0.95]], dtype=at.dtype))
    velocity = env.world.velocity[:, :, 0].t()
    expected = torch.tensor([[0.375, 0.0], [-0.5, -0.375]], dtype=at.dtype)
    torch.testing.assert_close(velocity, expected)


def test_speed_is_limited() -> None:
    env = build("tag")
    put(env, (0.0, 0.0), (10.0, 0.0), (20.0, 0.0), (30.0, 0.0))
    for _ in range(12):
        play(env, RIGHT, STAY, UP, LEFT)
    speed = env.world.velocity.norm(dim=0)[:, 0]
    expected = torch.tensor([1.0, 0.0, 1.0, 1.3], dtype=speed.dtype)
    torch.testing.assert_close(speed, expected)


def test_overlapping_bodies_push_each_other_apart() -> None:
    env = build("push")
    put(env, (0.0, 0.0), (0.06, 0.0))  # radii 0.05 each: 0.04 deep
    play(env, STAY, STAY)
    velocity = env.world.velocity[:, :, 0].t()
    expected = torch.tensor([[-0.4, 0.0], [0.4, 0.0]], dtype=velocity.dtype)
    torch.testing.assert_close(velocity, expected)  # 0.1 s * 100 * 0.04


def test_bodies_in_the_same_place_stay_finite() -> None:
    env = build("spread", precision="float32")
    put(env, (0.3, 0.3), (0.3, 0.3), (0.3, 0.3))
    for _ in range(5):
        step = play(env, STAY, STAY, STAY)
        assert step.obs.isfinite().all()


def test_obstacles_push_and_stay() -> None:
    env = build("tag")
    put(env, (0.0, 0.0), (9.0, 0.0), (19.0, 0.0), (29.0, 0.0), (0.0, 0.2))
    play(env, STAY, STAY, STAY, STAY)
    assert env.world.position[:, 4, 0].tolist() == pytest.approx([0.0, 0.2])
    speed = env.world.velocity[:, 0, 0].tolist()  # 0.075 deep: 0.75, below the limit of 1
    assert speed == pytest.approx([0.0, -0.75])


def test_penalty_for_leaving() -> None:
    x = torch.tensor([[0.5, 0.9, -0.95, 1.0, 1.5, -3.0], [0.0, 0.0, 0.0, 0.0, 0.95, 0.0]])
    expected = torch.tensor([0.0, 0.0, 0.5, 1.0, math.e + 0.5, 10.0])
    torch.testing.assert_close(out_of_bounds(x), expected)


def test_kept_tensors_can_be_written_to_in_and_out_of_inference_mode() -> None:
    with torch.inference_mode():
        env = build("world_comm")
        play(env, *[0] * 6)
    env.reset()
    assert play(env, *[0] * 6).obs.isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_same_on_a_gpu(scenario: str) -> None:
    env, gpu = build(scenario, 64), Mpe(MpeConfig(scenario), 64, torch.device("cuda"), 1, "test")
    gpu.reset()
    gpu.world.table.copy_(env.world.table)
    gpu.world.measure()
    luck = torch.Generator().manual_seed(2)
    for _ in range(25):
        actions = random_actions(env, luck)
        mine, theirs = env.step(actions), gpu.step(actions.cuda())
        torch.testing.assert_close(theirs.obs.cpu(), mine.obs, atol=1e-4, rtol=0)
        torch.testing.assert_close(theirs.reward.cpu(), mine.reward, atol=1e-4, rtol=0)


def test_worlds_do_not_touch_each_other() -> None:
    """World b of many equals a single world."""
    scenario = SCENARIOS.get("world_comm").cls()
    many = World(scenario, 5, CPU)
    many.reset(torch.Generator().manual_seed(1))
    for b in range(5):
        one = World(scenario, 1, CPU)
        one.table.copy_(many.table[:, b : b + 1])
        one.measure()
        actions = torch.tensor([[7], [1], [2], [3], [4], [0]])
        one.advance(actions)
        copy = World(scenario, 5, CPU)
        copy.table.copy_(many.table)
        copy.measure()
        copy.advance(actions.expand(6, 5))
        assert torch.equal(one.table[:, 0], copy.table[:, b])
