from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from components.settings import AgentSettings, ExplorationSettings, TargetUpdate, TrainingSettings
from utils.errors import SettingsError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gamma", -0.1),
        ("gamma", 1.1),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("optim_alpha", 1.0),
        ("optim_eps", -1e-9),
        ("grad_norm_clip", 0.0),
    ],
)
def test_numbers_out_of_range_are_reported_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value} must") as error:
        TrainingSettings(optimizer="rmsprop", **{name: value})
    assert [problem[0] for problem in error.value.problems] == [name]


@pytest.mark.parametrize(("name", "value"), [("interval", 0), ("tau", 0.0), ("tau", 1.5)])
def test_target_update_out_of_range(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value} must"):
        TargetUpdate("soft", **{name: value})


def test_all_problems_come_together() -> None:
    with pytest.raises(SettingsError) as error:
        TrainingSettings(gamma=2.0, lr=-1.0)
    assert [name for name, _ in error.value.problems] == ["gamma", "lr"]


def test_ends_of_the_ranges_are_allowed() -> None:
    assert TrainingSettings(gamma=0.0, optimizer="rmsprop", optim_alpha=0.0, optim_eps=0.0)
    assert TrainingSettings(gamma=1.0).gamma == 1.0
    assert TargetUpdate("soft", interval=1, tau=1.0).tau == 1.0


def test_what_the_chosen_optimiser_or_update_does_not_read_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"optim_alpha: 0\.9 has no effect without optimizer="):
        TrainingSettings(optim_alpha=0.9)
    with pytest.raises(
        SettingsError, match=r"tau: 0\.1 has no effect without target_update\.mode="
    ):
        TargetUpdate(tau=0.1)


@pytest.mark.parametrize(
    ("use_rnn", "episode_limit", "remembers"),
    [("auto", 1, False), ("auto", 2, True), (True, 1, True), (False, 25, False)],
)
def test_who_remembers(use_rnn: Any, episode_limit: int, remembers: bool) -> None:
    assert AgentSettings(use_rnn=use_rnn).remembers(episode_limit) is remembers


def test_settings_of_agents_and_of_exploration_have_bounds() -> None:
    with pytest.raises(SettingsError, match="hidden_dim: 0 must be at least 1"):
        AgentSettings(hidden_dim=0)
    with pytest.raises(SettingsError, match="epsilon_anneal_time: -1 must not be negative"):
        ExplorationSettings(-1)


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        AgentSettings().obs_agent_id = False  # type: ignore[misc]
