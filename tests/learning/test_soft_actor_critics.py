"""What the soft actor-critics reach in small games, and what independence forbids."""

from pathlib import Path

import pytest

from config.load import load_config
from run import Run

SEEDS = [1, 2, 3]


def train(tmp_path: Path, alg: str, env: str, seed: int, *overrides: str) -> dict[str, float]:
    """The last greedy test of a run."""
    common = (f"seed={seed}", "t_max=60000", "lr_schedule=constant", "show_progress=False")
    return Run(load_config(alg, env, [*common, *overrides])).train(tmp_path)


def test_fop_finds_the_best_entry_where_nothing_is_punished(tmp_path):
    metrics = train(tmp_path, "fop", "penalty", 1, "env_args.k=0", "t_max=10000")
    assert metrics["test_return_mean"] == 10


# With a temperature on the scale of the pay-offs; VDN stays at the safe 2.
HOT = ("temperature_start=10", "temperature_finish=1", "temperature_anneal_time=50000")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_fop_finds_a_best_entry_of_the_penalty_game(tmp_path, seed):
    settings = [f"learner_args.{setting}" for setting in (*HOT, "entropy_target=theory")]
    assert train(tmp_path, "fop", "penalty", seed, *settings)["test_return_mean"] == 10


# Exactly one of four agents must act. Without ids all agents are alike, so that independent ones
# all do the same; an agent that knows the earlier actions knows whether one acts already.
ALIKE = ("obs_agent_id=False", "epsilon_anneal_time=30000")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_macpf_breaks_the_symmetry_by_order(tmp_path, seed):
    dependent = "controller_args.execution=dependent"
    assert train(tmp_path, "macpf", "one_hot", seed, *ALIKE, dependent)["test_success_mean"] == 1


def test_independent_policies_of_equal_agents_cannot(tmp_path):
    metrics = train(tmp_path, "macpf", "one_hot", 1, *ALIKE, "t_max=10000")
    assert metrics["test_success_mean"] == 0
