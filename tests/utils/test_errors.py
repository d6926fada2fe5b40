from types import SimpleNamespace

import pytest

from utils.errors import (
    ConfigError,
    NumericalError,
    SettingsError,
    UserError,
    out_of_range,
    validate,
)


def test_validate_reports_everything_at_once() -> None:
    validate()
    validate((False, "a", "fine"))
    with pytest.raises(SettingsError) as caught:
        validate((True, "a", "1 is wrong."), (False, "b", "fine"), (True, "c", "2 is wrong."))
    assert caught.value.problems == [("a", "1 is wrong."), ("c", "2 is wrong.")]
    assert str(caught.value) == "a: 1 is wrong.; c: 2 is wrong."


def test_whole_numbers_must_lie_between_two_bounds() -> None:
    settings = SimpleNamespace(a=0, b=5, c=10_001)
    assert [
        text for wrong, _, text in out_of_range(settings, 1, 10_000, "a", "b", "c") if wrong
    ] == [
        "0 must be at least 1.",
        "10001 is more than 10,000.",
    ]
    settings.a = -1
    assert out_of_range(settings, 0, 9, "a")[0] == (True, "a", "-1 must not be negative.")


def test_config_errors_keep_their_problems() -> None:
    error = ConfigError(problem for problem in ("one", "two"))
    assert error.problems == ["one", "two"]
    assert str(error) == "one\ntwo"


@pytest.mark.parametrize("kind", [ConfigError, NumericalError])
def test_what_main_shows_without_a_traceback(kind: type) -> None:
    assert issubclass(kind, UserError)
