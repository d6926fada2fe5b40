"""Errors meant for the person at the keyboard.

`main.py` prints a `UserError` as one paragraph without a traceback and exits with its code. Raise
it for anything the user can correct (a setting, a file, a device) and say in the message which
value was seen and what to do next.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

LARGEST_LAYER = 65_536  # features, in any network


class UserError(Exception):
    """A mistake or circumstance that the user can correct; the message says how.

    Attributes:
        exit_code: of the command that ends with it.
    """

    exit_code = 2


class LockedError(UserError):
    """Another process holds what is needed; the same command works once that process has ended."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


class ConfigError(UserError):
    """One or more problems with the configuration, all reported together."""

    def __init__(self, problems: Iterable[str]):
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


def error_text(error: UserError) -> str:
    """The error as a command prints it, before it ends."""
    if not isinstance(error, ConfigError):
        return f"error: {error}"
    noun = "problem" if len(error.problems) == 1 else "problems"
    lines = "\n".join(f"  * {problem}" for problem in error.problems)
    return f"error: {len(error.problems)} {noun} with the configuration:\n{lines}"


class SettingsError(ValueError):
    """Settings of one dataclass that are out of range or do not fit together.

    Attributes:
        problems: pairs (setting's name, sentence that names the value and the remedy).
    """

    def __init__(self, problems: list[tuple[str, str]]):
        self.problems = problems
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems))


def validate(*cases: tuple[bool, str, str]) -> None:
    """Raise one `SettingsError` for every case whose first entry is true.

    Meant for the `__post_init__` of a settings dataclass, so that all its problems are reported
    together.

    Args:
        cases: triples (is it wrong, the setting's name, what to say).
    """
    problems = [(name, text) for is_wrong, name, text in cases if is_wrong]
    if problems:
        raise SettingsError(problems)


def out_of_range(settings: Any, least: int, most: int, *names: str) -> list[tuple[bool, str, str]]:
    """Cases for `validate`: whole numbers that do not lie between two bounds.

    The upper bound is above every sensible value. It keeps a typing error from taking all memory.
    """
    values = [(name, getattr(settings, name)) for name in names]
    below = f"must be at least {least}." if least else "must not be negative."
    return [
        *((x < least, name, f"{x} {below}") for name, x in values),
        *((x > most, name, f"{x} is more than {most:,}.") for name, x in values),
    ]


def unread(settings: Any, is_read: bool, remedy: str, *names: str) -> list[tuple[bool, str, str]]:
    """Cases for `validate`: settings that differ from their defaults although nothing reads them.

    Args:
        settings: a dataclass.
        is_read: whether the other settings let these have an effect.
        remedy: what to write so that they have one, such as `mode=soft`.
        names: the settings.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    return [
        (
            not is_read and getattr(settings, name) != defaults[name],
            name,
            f"{getattr(settings, name)} has no effect without {remedy}. Add that, or leave "
            f"{name} at its default, {defaults[name]}.",
        )
        for name in names
    ]


class NumericalError(UserError):
    """A reward, loss or gradient that is NaN or infinite."""
