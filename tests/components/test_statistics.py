import torch

from components.statistics import Statistics


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
