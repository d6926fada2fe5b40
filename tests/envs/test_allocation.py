"""The continuous one-step game against rewards worked by hand and a search on a grid."""

from itertools import product

import pytest
import torch

from components.spaces import Box
from envs.base import EnvStep
from envs.matrix_games.allocation import Allocation, AllocationConfig
from utils.errors import SettingsError

CPU = torch.device("cpu")


def build(values: list[list[float]], **settings) -> Allocation:
    """A game that always draws the given values."""

    class Fixed(Allocation):
        def draw(self):
            self._values = torch.tensor(values)
            return self._values.unsqueeze(2), self._values

    config = AllocationConfig(n_agents=len(values[0]), **settings)
    env = Fixed(config, len(values), CPU, 0, "test")
    env.reset()
    return env


def play(env: Allocation, *efforts: float) -> EnvStep:
    env.reset()
    return env.step(torch.tensor(efforts).unsqueeze(1).expand(env.batch_size, -1, 1))


VALUES = [[0.2, 0.9, 0.5, 0.6]]
BY_HAND = [  # efforts, reward, gap, success; K = 2, penalty 2, the best are the second and fourth
    ((0.0, 1.0, 0.0, 1.0), 1.5, 0.0, 1.0),
    ((0.0, 1.0, 1.0, 0.0), 1.4, 0.0, 0.0),
    ((0.5, 0.5, 0.5, 0.5), 1.1, 0.0, 0.0),
    ((0.0, 1.0, 0.0, 0.5), 1.2 - 1.0, 0.5, 0.0),
    ((0.0, 1.0, 0.25, 1.0), 1.625 - 0.5, 0.25, 0.0),
    ((0.0, 0.0, 0.0, 0.0), -4.0, 2.0, 0.0),
    ((1.0, 1.0, 1.0, 1.0), 2.2 - 4.0, 2.0, 0.0),
    ((0.0, 0.95, 0.0, 1.0), 1.455 - 0.1, 0.05, 1.0),
]


@pytest.mark.parametrize(("efforts", "reward", "gap", "success"), BY_HAND)
def test_by_hand(efforts, reward, gap, success) -> None:
    step = play(build(VALUES, k=2), *efforts)
    assert step.reward[0].tolist() == pytest.approx([reward] * 4, abs=1e-6)
    found = {name: value.item() for name, value in step.metrics.items()}
    wanted = {"value": reward, "optimum": 1.5, "regret": 1.5 - reward, "gap": gap}
    assert found == pytest.approx({**wanted, "success": success}, abs=1e-6)
    assert step.terminated.all()


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("penalty", [1.01, 3.0])
def test_nothing_on_a_grid_is_better_than_the_optimum(k: int, penalty: float) -> None:
    rows = torch.rand(20, 3, generator=torch.Generator().manual_seed(1)).tolist()
    env = build(rows, k=k, penalty=penalty)
    grid = list(product([0, 0.25, 0.5, 0.75, 1], repeat=3))
    regrets = torch.stack([play(env, *map(float, efforts)).metrics["regret"] for efforts in grid])
    assert regrets.min() > -1e-6
    assert regrets.amin(dim=0).abs().max() < 1e-6  # reached by efforts of 0 and 1


def test_what_is_seen_and_what_can_be_done() -> None:
    env = Allocation(AllocationConfig(), 1000, CPU, 1, "test")
    step = env.reset()
    assert torch.equal(step.state, step.obs.flatten(1))
    assert env.info.spaces == (Box((0.0,), (1.0,)),) * 6
    assert env.info.is_continuous
    assert step.avail.shape == (1000, 6, 1)
    assert step.obs.mean().item() == pytest.approx(0.5, abs=0.02)
    end = env.step(torch.rand(1000, 6, 1))
    assert not env.step(torch.zeros(1000, 6, 1)).reward.any()
    assert set(end.metrics) == set(env.info.metric_descriptions)


def test_uniform_efforts_earn_what_the_bounds_say() -> None:
    """The lower bound of `analysis/bounds.yaml`."""
    env = Allocation(AllocationConfig(), 100_000, CPU, 1, "test")
    env.reset()
    efforts = torch.rand(100_000, 6, 1, generator=torch.Generator().manual_seed(2))
    assert env.step(efforts).reward.mean().item() == pytest.approx(-0.5968, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"k": 7}, "k: 7 cannot be given by n_agents=6, each at most 1"),
        ({"n_agents": 0, "k": 0}, "n_agents: 0 must be at least 1."),
        ({"penalty": 1.0}, "penalty: 1.0 must be above 1, the largest value"),
        ({"tolerance": 0.0}, "tolerance: 0.0 must be above 0"),
    ],
)
def test_impossible_settings_are_refused(settings, text) -> None:
    with pytest.raises(SettingsError) as error:
        AllocationConfig(**settings)
    assert text in str(error.value)
