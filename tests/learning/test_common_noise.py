"""What common randomness gives AGP: exactly one of equal agents acts, each equally often."""

from pathlib import Path

import pytest
import torch
from scipy.stats import chisquare
from tests.helpers.runs import train

from config.load import load_config
from policy import load_policy

N_EPISODES = 10_000
ALIKE = ("obs_agent_id=False", "show_progress=False", "action_selector_args.epsilon_finish=0.01")
NOISE = ("controller_args.common_noise=1", "controller_args.common_noise_rows=per_agent")


def plays(tmp_path: Path, *settings: str) -> torch.Tensor:
    """Greedy joint actions of a trained policy, [N_EPISODES, N]."""
    policy = load_policy(train(load_config("agp", "one_hot", [*ALIKE, *settings]), tmp_path))
    return policy.act(policy.make_env(batch_size=N_EPISODES).reset())


@pytest.mark.slow
def test_shared_noise_makes_play_uniform_over_the_optimal_actions(tmp_path: Path) -> None:
    actions = plays(tmp_path, *NOISE)
    chosen = actions[actions.sum(dim=1) == 1]
    assert len(chosen) / N_EPISODES > 0.98  # the rest: numbers that are nearly equal
    counts = chosen.sum(dim=0)
    assert counts.sum() == len(chosen)
    assert chisquare(counts.numpy()).pvalue > 0.001


def test_without_it_equal_agents_do_the_same(tmp_path: Path) -> None:
    actions = plays(tmp_path, "t_max=5000")
    assert (actions == actions[:, :1]).all()
