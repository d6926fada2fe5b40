import math

import pytest
import torch

from components.statistics import Statistics

VALUE, OPTIMUM = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([1.0, 0.01, 3.0])
METRICS = {"value": VALUE, "optimum": OPTIMUM}
LENGTHS = torch.ones(3, dtype=torch.int64)


def means(returns: torch.Tensor, metrics: dict[str, torch.Tensor]) -> dict[str, float]:
    statistics = Statistics(
        {"value_ratio": ("value", "optimum"), "per_step": ("value", "ep_length")}
    )
    statistics.add(returns, LENGTHS, metrics)
    return statistics.means(prefix="test_")


def test_a_ratio_is_one_of_means_not_a_mean_of_ratios() -> None:
    row = means(VALUE.unsqueeze(1), METRICS)
    assert row["test_value_ratio"] == pytest.approx(3 / 4.01)
    assert row["test_per_step"] == pytest.approx(1.0)
    assert row["test_value_mean"] == pytest.approx(1.0)


def test_nothing_divided_by_nothing_is_no_number() -> None:
    row = means(VALUE.unsqueeze(1), {"value": 0 * VALUE, "optimum": 0 * OPTIMUM})
    assert math.isnan(row["test_value_ratio"])


def test_returns_of_agents_that_took_no_part_do_not_count() -> None:
    returns = torch.tensor([[1.0, torch.nan], [2.0, 4.0], [2.0, torch.nan]])
    assert means(returns, METRICS)["test_return_mean"] == pytest.approx((1 + 3 + 2) / 3)


def test_a_saved_state_continues() -> None:
    first, second = Statistics(), Statistics()
    first.add(VALUE.unsqueeze(1), LENGTHS, METRICS)
    second.load_state_dict(first.state_dict())
    assert second.means() == first.means()


def test_lost_episodes_are_counted_and_nothing_else() -> None:
    statistics = Statistics()
    for returns, n_lost in (([[1.0], [3.0]], 2), ([[5.0]], 0), ([[7.0]], 1)):
        x = torch.tensor(returns)
        statistics.add(x, torch.ones(len(x)), {"won": x[:, 0]}, n_lost)
    again = Statistics()
    again.load_state_dict(statistics.state_dict())
    means = again.means()
    assert means == statistics.means()
    assert (means["return_mean"], means["won_mean"], means["lost_episodes"]) == (4, 4, 3)
    again.add(torch.ones(1, 1), torch.ones(1), {"won": torch.ones(1)})
    assert "lost_episodes" not in again.means()
