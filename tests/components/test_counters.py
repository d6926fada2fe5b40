import pytest

from components.counters import Counters


def test_a_clock_is_due_at_multiples_of_its_interval() -> None:
    counters, due = Counters(), []
    for counters.env_steps in range(0, 50, 3):
        if counters.is_due("test", 20):
            due.append(counters.env_steps)
    assert due == [0, 21, 42]


@pytest.mark.parametrize("step", [1, 40, 48, 63, 64, 99])
def test_unchanged_intervals_change_nothing(step: int) -> None:
    counters = Counters()
    for counters.env_steps in range(step + 1):
        counters.is_due("log", 16)
    before = dict(counters.next_at)
    counters.set_intervals(log=16)
    assert counters.next_at == before


@pytest.mark.parametrize(("interval", "next_at"), [(10, 60), (7, 56), (25, 75), (1000, 1000)])
def test_another_interval_holds_at_once(interval: int, next_at: int) -> None:
    counters = Counters(env_steps=50, next_at={"test": 100, "log": 100, "checkpoint": 100})
    counters.set_intervals(test=interval)
    assert counters.next_at["test"] == next_at


def test_a_clock_that_is_due_stays_due() -> None:
    counters = Counters(env_steps=50, next_at={"test": 100, "log": 100, "checkpoint": 48})
    counters.set_intervals(checkpoint=20)
    assert counters.is_due("checkpoint", 20)
