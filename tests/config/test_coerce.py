import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest
from tests.helpers.messages import unsaid

from config.coerce import BAD, Problem, coerce, coerce_settings
from config.plain_data import _plain
from utils.errors import UserError, validate
from utils.registry import REGISTRIES


def read(value: Any, kind: Any) -> Any:
    problems: list[Problem] = []
    result = coerce(value, kind, "x", problems)
    assert not problems
    return result


def problem(value: Any, kind: Any) -> str:
    problems: list[Problem] = []
    assert coerce(value, kind, "x", problems) is BAD
    assert [p.path for p in problems] == ["x"]
    return problems[0].text


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (True, bool, True),
        ("false", bool, False),
        ("True", bool, True),
        (3, int, 3),
        ("3", int, 3),
        ("5e5", int, 500_000),
        (5e5, int, 500_000),
        (10**30, int, 10**30),
        (1, float, 1.0),
        ("1e-3", float, 1e-3),
        (0.5, float, 0.5),
        ("inf", float, math.inf),
        ("no", str, "no"),
        ("hard", Literal["hard", "soft"], "hard"),
        (2, Literal[1, 2], 2),
        (None, int | None, None),
        ("4", int | None, 4),
        ("a", int | str, "a"),
        (4, str | int, 4),
        ([1, "2"], tuple[int, ...], (1, 2)),
        ((), tuple[int, ...], ()),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([[1, 2], [3]], tuple[tuple[int, ...], ...], ((1, 2), (3,))),
        ([0.5, None], tuple[float | None, ...], (0.5, None)),
        ({"a": "1"}, dict[str, int], {"a": 1}),
        ({"a": [1]}, Any, {"a": [1]}),
    ],
)
def test_value_is_read_as_its_annotation_says(value: Any, kind: Any, expected: Any) -> None:
    result = read(value, kind)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, bool),
        ("yes", bool),
        (None, bool),
        (True, int),
        (0.5, int),
        ("0.5", int),
        ("three", int),
        (math.inf, int),
        (math.nan, int),
        ([3], int),
        (False, float),
        ("fast", float),
        (math.nan, float),
        ("nan", float),
        (None, float),
        (False, str),
        (3, str),
        (None, str),
        (True, Literal[1, 2]),
        (1.0, Literal[1, 2]),
        ("None", int | None),
        (True, int | str),
        (3, tuple[int, ...]),
        ("ab", tuple[str, ...]),
        ([1], tuple[int, int]),
        ([1], dict[str, int]),
    ],
)
def test_anything_else_is_a_problem(value: Any, kind: Any) -> None:
    assert problem(value, kind).endswith((".", "]."))


@pytest.mark.parametrize(
    ("value", "kind", "facts"),
    [
        (True, int, "true ... a whole number such as 3"),
        ("fast", float, "'fast' ... a number such as 0.1"),
        (1, bool, "1 ... Write true or false"),
        (False, str, "false ... YAML ... no ... key: 'text' ... after `with`"),
        ("heard", Literal["hard", "soft"], "'heard' ... 'hard' ... hard, soft"),
        ("None", int | None, "'None' ... Write null"),
        (3, tuple[int, ...], "3 ... Write [3]"),
    ],
)
def test_a_problem_says_the_value_and_the_remedy(value: Any, kind: Any, facts: str) -> None:
    assert unsaid(problem(value, kind), facts) == ""


def test_an_entry_of_a_list_is_named_by_its_index() -> None:
    problems: list[Problem] = []
    assert coerce([[1], ["a"]], tuple[tuple[int, ...], ...], "x", problems) is BAD
    assert [p.path for p in problems] == ["x[1][0]"]


def test_an_annotation_that_settings_cannot_have_is_a_mistake_in_the_code() -> None:
    with pytest.raises(TypeError, match="x is annotated as <class 'complex'>"):
        coerce(1, complex, "x", [])


@dataclass(frozen=True)
class Inner:
    low: int = 0
    high: int = 9

    def __post_init__(self) -> None:
        validate(
            (self.low < 0, "low", f"{self.low} is negative."),
            (self.low > self.high, "low", f"{self.low} is above high={self.high}."),
        )


@dataclass(frozen=True)
class Outer:
    needed: int
    inner: Inner = field(default_factory=lambda: Inner(low=5))
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()


def settings(value: Any, cls: type = Outer) -> tuple[Any, list[Problem]]:
    problems: list[Problem] = []
    return coerce_settings(value, cls, "top", problems), problems


def test_nested_dataclasses() -> None:
    value = {"needed": 1, "inner": {"high": 7}, "maybe": {"low": 1}, "many": [{"low": 2}, {}]}
    result, problems = settings(value)
    assert not problems
    assert result == Outer(1, Inner(5, 7), Inner(1, 9), (Inner(2), Inner()))


def test_all_problems_are_collected_with_their_paths() -> None:
    value = {"inner": {"low": -1}, "maybe": {"hihg": 3}, "many": [{"low": True}], "other": 1}
    result, problems = settings(value)
    assert result is BAD
    assert [(p.path, p.text) for p in problems] == [
        ("top.other", "no such setting. top takes: needed, inner, maybe, many."),
        ("top.needed", "has no default and is not given. Give a value."),
        ("top.inner.low", "-1 is negative."),
        ("top.maybe.hihg", "no such setting. Did you mean 'high'? maybe takes: low, high."),
        (
            "top.many[0].low",
            "true is not a whole number. Write a whole number such as 3 or 5e5.",
        ),
    ]


def test_a_relation_names_the_other_setting_too() -> None:
    _, problems = settings({"low": 3, "high": 2}, Inner)
    assert problems == [Problem("top.low", "3 is above high=2.", ("top.high",))]


def test_a_bad_value_does_not_hide_others_nor_cause_new_problems() -> None:
    # high is unreadable, so nothing is said about low > high; low < 0 is still found
    _, problems = settings({"low": 12, "high": "x"}, Inner)
    assert [p.path for p in problems] == ["top.high"]
    _, problems = settings({"low": -1, "high": "x"}, Inner)
    assert [p.path for p in problems] == ["top.high", "top.low"]


def test_a_value_that_is_no_mapping() -> None:
    _, problems = settings(5, Inner)
    assert problems[0].text == "5 is not a mapping. Write {key: value} with any of: low, high."


EVERY_COMPONENT = [(slot, name) for slot, r in REGISTRIES.items() for name in r.names()]


@pytest.mark.parametrize(("slot", "name"), EVERY_COMPONENT)
def test_every_component_settings_can_be_read(slot: str, name: str) -> None:
    try:
        cls = REGISTRIES[slot].get(name).config
    except UserError as error:
        pytest.skip(str(error))
    problems: list[Problem] = []
    default = coerce_settings({}, cls, "args", problems)
    if [p for p in problems if "has no default" in p.text]:
        return
    again = coerce_settings(_plain(default), cls, "args", problems)
    assert not problems
    assert asdict(again) == asdict(default)
