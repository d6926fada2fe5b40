from dataclasses import FrozenInstanceError

import pytest

from components.settings import InputSettings, TargetUpdate, TrainingSettings
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
def test_numbers_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value} must") as error:
        TrainingSettings(**{name: value})
    assert [problem[0] for problem in error.value.problems] == [name]


@pytest.mark.parametrize(("name", "value"), [("interval", 0), ("tau", 0.0), ("tau", 1.5)])
def test_target_update_out_of_range(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"{name}: {value} must"):
        TargetUpdate(**{name: value})


def test_all_problems_come_together() -> None:
    with pytest.raises(SettingsError) as error:
        TrainingSettings(gamma=2.0, lr=-1.0)
    assert [name for name, _ in error.value.problems] == ["gamma", "lr"]


def test_ends_of_the_ranges_are_allowed() -> None:
    assert TrainingSettings(gamma=0.0, optim_alpha=0.0, optim_eps=0.0).gamma == 0.0
    assert TrainingSettings(gamma=1.0).gamma == 1.0
    assert TargetUpdate(interval=1, tau=1.0).tau == 1.0


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        InputSettings().obs_agent_id = False  # type: ignore[misc]
