"""The `search` of a suite's file: which settings are searched, between what, and how often."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from config.coerce import BAD, Problem, coerce
from config.hints import shown
from config.suite_blocks import GIVEN, Block, read_seeds, read_settings, unknown
from utils.errors import SettingsError, validate

SEARCH_KEYS = ("trials", "fresh_seeds", "space", "metric")
RANGE_KEYS = ("low", "high", "log")
DIGITS = 3  # of a number that is drawn; further ones matter less than the seed


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, whole ones if both are; `log`: even on a logarithmic scale."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        validate(
            (self.low >= self.high, "low", f"{self.low} must be below high, {self.high}."),
            (self.log and self.low <= 0, "low", f"{self.low} must be above 0 with log."),
        )

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def tidy(self, value: float) -> float:
        """A number that was drawn, with few digits."""
        if self.is_whole:
            return int(value)
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Search:
    """The settings that are searched, and how.

    Attributes:
        trials: how many settings are tried for each method and task.
        fresh_seeds: with which the winner is run again.
        space: {dotted key: numbers between two bounds, or values to choose from}.
        metric: the score, greater is better; empty: the task's metric in reports.
    """

    trials: int
    fresh_seeds: tuple[int, ...]
    space: dict[str, Range | tuple[Any, ...]]
    metric: str

    def extremes(self) -> Iterable[tuple[str, Any]]:
        """Every choice and every bound, as (key, value)."""
        for key, values in self.space.items():
            ends = (values.low, values.high) if isinstance(values, Range) else values
            yield from ((key, value) for value in ends)

    def tidy(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a trial: what was drawn, numbers with few digits."""
        return {
            key: space.tidy(drawn[key]) if isinstance(space, Range) else drawn[key]
            for key, space in self.space.items()
        }


def read_search(
    data: Any, place: str, blocks: list[Block], settings: list[str], problems: list[str]
) -> Search | None:
    """The search that a file asks for; None, and further `problems`, if something is wrong.

    Args:
        data: what stands behind `search`.
        place: where that is.
        blocks: the suite's blocks.
        settings: the arguments after `with` on the command line.
        problems: receives what is wrong.
    """
    known = len(problems)
    if not isinstance(data, dict):
        problems.append(
            f"{place}: {shown(data)} is not a mapping with trials, fresh_seeds and space."
        )
        return None
    problems += unknown(data, SEARCH_KEYS, place)
    trials = _trials(data.get("trials"), f"{place}: trials", problems)
    fresh = read_seeds(data.get("fresh_seeds"), f"{place}: fresh_seeds", problems)
    used = {seed for block in blocks for seed in block.seeds}
    for seed in fresh:
        if seed in used:
            problems.append(f"{place}: fresh_seeds: {seed} is a seed of the search. Choose others.")
    space = {}
    flat = data.get("space")
    if not isinstance(flat, dict) or not flat:
        wrong = "is missing" if flat is None else f"{shown(flat)} is not a mapping of settings"
        problems.append(f"{place}: space: {wrong}. Write {{lr: {{low: 1e-4, high: 1e-2}}}}.")
        flat = {}
    given = {text.partition("=")[0] for text in settings}
    given |= {key for block in blocks for key in block.settings}
    read_settings(dict.fromkeys(flat), f"{place}: space", GIVEN, problems)
    for key, values in flat.items():
        where = f"{place}: space: {key}"
        if key in given:
            problems.append(f"{where}: it is given elsewhere, too. Leave one of the two out.")
        space[key] = _values(values, where, problems)
    if len(problems) > known:
        return None
    assert trials is not None
    return Search(trials, fresh, space, str(data.get("metric") or ""))


def _trials(value: Any, place: str, problems: list[str]) -> int | None:
    """How many settings are tried; None if that is not given as it must be."""
    if value is None:
        problems.append(f"{place}: is missing. Write a whole number, such as 30.")
        return None
    trials: int | None = _number(value, int, place, problems)
    if trials is not None and trials < 1:
        problems.append(f"{place}: {trials} must be at least 1.")
    return trials


def _values(data: Any, place: str, problems: list[str]) -> Range | tuple[Any, ...]:
    """The values from which a setting is drawn."""
    if isinstance(data, list) and data:
        return tuple(data)
    if not isinstance(data, dict) or not {"low", "high"} <= data.keys():
        problems.append(
            f"{place}: {shown(data)} is neither a list of values nor bounds. Write [a, b], or "
            f"{{low: 1e-4, high: 1e-2, log: true}}."
        )
        return ()
    problems += unknown(data, RANGE_KEYS, place)
    low, high = (
        _number(data[end], int if type(data[end]) is int else float, f"{place}: {end}", problems)
        for end in ("low", "high")
    )
    if low is None or high is None:
        return ()
    try:
        return Range(low, high, data.get("log") is True)
    except SettingsError as error:
        problems += [f"{place}: {name}: {text}" for name, text in error.problems]
        return ()


def _number(value: Any, kind: type, place: str, problems: list[str]) -> Any:
    found: list[Problem] = []
    number = coerce(value, kind, place, found)
    problems += [f"{problem.path}: {problem.text}" for problem in found]
    return None if number is BAD else number
