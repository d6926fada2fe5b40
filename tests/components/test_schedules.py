import pytest

from components.schedules import LinearSchedule


@pytest.mark.parametrize(
    ("env_steps", "value"), [(0, 1.0), (25, 0.775), (50, 0.55), (100, 0.1), (10_000, 0.1)]
)
def test_line_from_start_to_finish(env_steps: int, value: float) -> None:
    assert LinearSchedule(1.0, 0.1, 100).value(env_steps) == pytest.approx(value)


def test_it_may_rise() -> None:
    assert LinearSchedule(0.2, 0.6, 4).value(1) == pytest.approx(0.3)


def test_without_annealing_it_is_the_finish() -> None:
    assert LinearSchedule(1.0, 0.1, 0).value(0) == 0.1
