"""Greedy tests, during a run and afterwards."""

from contextlib import closing
from pathlib import Path

import torch

from build import build_test_runner, build_trained_controller
from components.statistics import Statistics
from config.history import evaluated_with
from config.plain_data import to_dict
from config.schema import RunConfig
from records.checkpoint import find_checkpoint, run_folder
from records.console import result_table
from records.episodes import write_episodes
from records.evaluations import append_evaluation, opponent_label
from rendering.video_files import require_packages
from runners.batch_runner import BatchRunner


def evaluate_policy(runner: BatchRunner, n_episodes: int, env_steps: int) -> dict[str, float]:
    """Play `n_episodes` greedily; metrics with the prefix `test_`."""
    return play_greedily(runner, n_episodes, env_steps).means(n_episodes, prefix="test_")


def play_greedily(runner: BatchRunner, n_episodes: int, env_steps: int) -> Statistics:
    """Play at least `n_episodes` greedily; the results of all that were played."""
    statistics = Statistics(runner.env.info.metric_ratios)
    played = 0
    while played < n_episodes:
        rollout = runner.collect(env_steps, greedy=True)
        statistics.add(rollout.returns, rollout.lengths, rollout.metrics, rollout.n_lost)
        played += rollout.batch.n_episodes
    runner.require_finite()
    return statistics


def evaluate(config: RunConfig) -> str:
    """Test the checkpoint at `config.checkpoint_path` greedily; returns a table as text.

    The episodes come from a separate random stream, so they are new to the run. The results are
    also appended to `evaluations.csv` in the run's folder, with the settings that were changed.
    With `write_episodes` each episode becomes a row of `episodes.csv` there.

    Raises:
        UserError: if the checkpoint is missing, damaged or of another architecture, if a trained
            opponent cannot play, or if a file cannot be written.
    """
    torch.set_num_threads(config.threads)
    path = find_checkpoint(config.checkpoint_path)
    controller, steps = build_trained_controller(config, path)
    runner = build_test_runner(config, controller, "evaluate")
    with closing(runner.env):
        statistics = play_greedily(runner, config.test_nepisode, 0)
    episodes = statistics.episodes(config.test_nepisode)
    metrics = statistics.means(config.test_nepisode, prefix="test_")
    n, folder = config.test_nepisode, run_folder(path)
    changed = evaluated_with(folder, config)
    opponent = opponent_label(to_dict(config)["env_args"])
    append_evaluation(folder, path.name, steps, n, opponent, changed, metrics)
    rows = {"checkpoint": str(path), "trained for": f"{steps:,} environment steps"}
    if opponent:
        rows["opponent"] = opponent
    if changed:
        rows["changed"] = changed
    rows |= {key.removeprefix("test_"): f"{value:.5f}" for key, value in metrics.items()}
    if config.write_episodes:
        about = {"checkpoint": path.name, "env_steps": str(steps), "changes": changed}
        rows["episodes"] = str(write_episodes(folder, about, episodes, runner.env.info.agent_names))
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
