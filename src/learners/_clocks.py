"""When a learner last trained and updated its targets, across a change of the units of both."""

from typing import Any

from components.settings import TrainingSettings


def clocks_state(settings: TrainingSettings, iterations: int, targets_at: int) -> dict[str, Any]:
    """Both clocks, with the units that they are counted in."""
    return {
        "rounds": iterations,
        "train_every_episodes": settings.train_every_episodes,
        "targets_at": targets_at,
        "targets_unit": settings.target_update.unit,
    }


def restored_clocks(state: dict[str, Any], settings: TrainingSettings) -> tuple[int, int]:
    """Training iterations and the last update of the targets, in the units of `settings`.

    States of older code lack the units that they were saved in; they are today's then.
    """
    every, unit = settings.train_every_episodes, settings.target_update.unit
    episodes = state["rounds"] * state.get("train_every_episodes", every)
    targets_at = state["targets_at"]
    if state.get("targets_unit", unit) != unit:
        targets_at = episodes if unit == "episodes" else state["updates"]
    return episodes // every, targets_at
