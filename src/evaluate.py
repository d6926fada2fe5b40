"""Greedy tests, during a run and afterwards."""

from contextlib import closing
from pathlib import Path

import torch

from build import build_test_runner, build_trained_controller
from components.statistics import Statistics
from config.load import changes, recorded_settings, to_dict
from config.schema import FILM_SETTINGS, MONGO_SETTINGS, RunConfig
from rendering.packages import require_packages
from runners.batch_runner import BatchRunner
from utils.checkpoint import find_checkpoint, run_folder
from utils.console import result_table
from utils.run_log import append_evaluation, opponent_label

# Settings that an evaluation may change without testing something else than what was trained.
HARMLESS = (
    "evaluate",
    "checkpoint_path",
    "resume",
    "test_nepisode",
    "test_batch_size_run",
    "device",
    "threads",
    "show_progress",
    *FILM_SETTINGS,
    *MONGO_SETTINGS,
)


def greedy_test(runner: BatchRunner, n_episodes: int, env_steps: int) -> dict[str, float]:
    """Play `n_episodes` greedily; metrics with the prefix `test_`."""
    statistics = Statistics(runner.env.info.metric_ratios)
    played = 0
    while played < n_episodes:
        rollout = runner.collect(env_steps, greedy=True)
        statistics.add(rollout.returns, rollout.lengths, rollout.metrics, rollout.n_lost)
        played += rollout.batch.n_episodes
    return statistics.means(n_episodes, prefix="test_")


def evaluate(config: RunConfig) -> str:
    """Test the checkpoint at `config.checkpoint_path` greedily; returns a table as text.

    The episodes come from a random stream of their own, so they are new to the run. The results are
    also appended to `evaluations.csv` in the run's folder, with the settings that were changed.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another architecture, or if a trained
            opponent cannot play.
    """
    torch.set_num_threads(config.threads)
    path = find_checkpoint(config.checkpoint_path)
    controller, state = build_trained_controller(config, path)
    runner = build_test_runner(config, controller, "evaluate")
    with closing(runner.env):
        metrics = greedy_test(runner, config.test_nepisode, 0)
    n, steps = config.test_nepisode, state["counters"]["env_steps"]
    folder = run_folder(path)
    settings = to_dict(config)
    changed = " ".join(changes(recorded_settings(folder), settings, HARMLESS))
    opponent = opponent_label(settings["env_args"])
    append_evaluation(folder, path.name, steps, n, opponent, changed, metrics)
    rows = {"checkpoint": str(path), "trained for": f"{steps:,} environment steps"}
    if opponent:
        rows["opponent"] = opponent
    if changed:
        rows["changed"] = changed
    rows |= {key.removeprefix("test_"): f"{value:.5f}" for key, value in metrics.items()}
    title = f"{config.alg_name} on {config.env_name}, {n:,} greedy episodes, seed {config.seed}"
    return result_table(title, rows)


def film(config: RunConfig) -> Path:
    """Film the first episodes of an evaluation, as `render` asks; returns the film's path.

    Raises:
        UserError: if they cannot be filmed.
    """
    assert config.render != "none"
    require_packages(config.render)
    from film import write_film  # imports what only films need

    path = find_checkpoint(config.checkpoint_path)
    controller, _ = build_trained_controller(config, path)
    return write_film(config, controller, path, config.render)
