"""From the plain data of YAML and the command line to the typed fields of a settings dataclass.

PyYAML reads `1e-3` as text, `no` as false and `None` as a word. Here a field's annotation decides
what a value means. A value that does not fit is an error. Problems are collected rather than raised
one by one, so that a user sees all of them at once.
"""

import math
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from config.hints import did_you_mean, join, setting_names, shown, unknown_setting
from utils.errors import SettingsError


class Problem(NamedTuple):
    """A problem of one setting."""

    path: str  # dotted, such as mixer_args.embed_dim
    text: str  # a sentence with the value seen and the remedy
    also: tuple[str, ...] = ()  # paths of other settings that the sentence names


BAD: Any = object()  # stands for a value that could not be read; its problem has been noted


def coerce(value: Any, kind: Any, path: str, problems: list[Problem], default: Any = None) -> Any:
    """The value as the annotation `kind` wants it, or `BAD` after noting what is wrong with it.

    Args:
        value: plain data: mappings, lists, numbers, text, truth values, null.
        kind: annotation of a dataclass field.
        path: dotted path of the setting, for messages.
        problems: receives every problem found.
        default: the field's default; a nested dataclass keeps what it says and `value` does not.

    Raises:
        TypeError: if the annotation is of a kind that settings cannot have (a mistake in the code).
    """
    origin = get_origin(kind)
    if kind is Any:
        return value
    if is_dataclass(kind) and isinstance(kind, type):
        base = default if isinstance(default, kind) else None
        return coerce_settings(value, kind, path, problems, base)
    if origin in (Union, types.UnionType):
        return _union(value, get_args(kind), path, problems, default)
    if origin is tuple:
        return _tuple(value, get_args(kind), path, problems)
    if origin is dict:
        return _dict(value, get_args(kind)[1], path, problems)
    try:
        if origin is Literal:
            return _literal(value, get_args(kind))
        if kind in _SCALARS:
            return _SCALARS[kind](value)
    except ValueError as error:
        problems.append(Problem(path, str(error)))
        return BAD
    raise TypeError(f"{path} is annotated as {kind}, which a setting cannot be.")


def coerce_settings(
    value: Any, cls: type, path: str, problems: list[Problem], base: Any = None
) -> Any:
    """An instance of the dataclass `cls` with the settings in `value`, or `BAD` if one is wrong.

    A setting that could not be read is replaced by its default while the others are checked, so
    that one mistake does not hide the next.

    Args:
        value: mapping from setting to plain data.
        cls: a frozen dataclass.
        path: dotted path of the settings, for messages; empty at the top level.
        problems: receives every problem found.
        base: an instance whose settings hold where `value` says nothing; otherwise the defaults do.

    Raises:
        TypeError: if a field of `cls` has an annotation that settings cannot have.
    """
    if not isinstance(value, Mapping):
        names = ", ".join(setting_names(cls))
        problems.append(
            Problem(
                path, f"{shown(value)} is not a mapping. Write {{key: value}} with any of: {names}."
            )
        )
        return BAD
    kinds = get_type_hints(cls)
    values: dict[str, Any] = {}
    bad: set[str] = set()
    for key in (key for key in value if key not in setting_names(cls)):
        problems.append(Problem(join(path, key), unknown_setting(key, cls, path.split(".")[-1])))
    for field in (field for field in fields(cls) if field.init):
        default = _default(field, base)
        read = default
        if field.name in value:
            read = coerce(
                value[field.name], kinds[field.name], join(path, field.name), problems, default
            )
        elif default is MISSING:
            problems.append(
                Problem(join(path, field.name), "has no default and is not given. Give a value.")
            )
        if read is BAD or read is MISSING:
            bad.add(field.name)
            read = default
        values[field.name] = read
    if MISSING in values.values():
        return BAD
    return _build(cls, values, bad, path, problems)


def _build(
    cls: type, values: dict[str, Any], bad: set[str], path: str, problems: list[Problem]
) -> Any:
    """The instance; a `SettingsError` becomes problems, save about settings that are bad anyway."""
    try:
        instance = cls(**values)
    except SettingsError as error:
        for name, text in error.problems:
            words = set(re.findall(r"\w+", text))
            mentioned = [n for n in setting_names(cls) if n in words and n != name]
            if not bad & {name, *mentioned}:
                also = tuple(join(path, n) for n in mentioned)
                problems.append(Problem(join(path, name), text, also))
        return BAD
    return BAD if bad else instance


def _default(field: Field[Any], base: Any) -> Any:
    if base is not None:
        return getattr(base, field.name)
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(f"{shown(value)} is not a truth value. Write true or false.")


def _int(value: Any) -> int:
    number = _number(value)
    if isinstance(number, int) or (number is not None and number.is_integer()):
        return int(number)
    raise ValueError(
        f"{shown(value)} is not a whole number. Write a whole number such as 3 or 5e5."
    )


def _float(value: Any) -> float:
    number = _number(value)
    if number is not None and not math.isnan(number):
        return float(number)
    raise ValueError(f"{shown(value)} is not a number. Write a number such as 0.1 or 1e-3.")


def _number(value: Any) -> int | float | None:
    """The number that a number or numeric text stands for; a truth value is no number."""
    if isinstance(value, str):
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                continue
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return None


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        why = "YAML reads an unquoted yes, no, on or off as true or false"
    elif value is None:
        why = "YAML reads an unquoted null, ~ or nothing at all as null"
    else:
        why = "YAML reads it as another type unless it is quoted"
    remedy = "Write key: 'text' in a file, key=\"'text'\" after `with`."
    raise ValueError(f"{shown(value)} is not text: {why}. {remedy}")


def _literal(value: Any, options: tuple[Any, ...]) -> Any:
    for option in options:
        if type(option) is type(value) and option == value:
            return option
    texts = [option if isinstance(option, str) else shown(option) for option in options]
    why = ""
    if isinstance(value, bool) and all(isinstance(option, str) for option in options):
        why = ": YAML reads an unquoted yes, no, on or off as true or false"
    hint = did_you_mean(str(value), texts)
    raise ValueError(
        f"{shown(value)} is not possible{why}.{hint} Choose one of: {', '.join(texts)}."
    )


_SCALARS: dict[Any, Callable[[Any], Any]] = {bool: _bool, int: _int, float: _float, str: _str}


def _union(
    value: Any, options: tuple[Any, ...], path: str, problems: list[Problem], default: Any
) -> Any:
    """The first option that fits; a single option besides None reports its problems."""
    if type(None) in options:
        if value is None:
            return None
        if value == "None":
            problems.append(Problem(path, "'None' is a word in YAML. Write null."))
            return BAD
    options = tuple(option for option in options if option is not type(None))
    if len(options) == 1:
        return coerce(value, options[0], path, problems, default)
    for option in sorted(options, key=lambda option: option is not type(value)):
        attempt: list[Problem] = []
        result = coerce(value, option, path, attempt, default)
        if not attempt:
            return result
    names = " or ".join(getattr(option, "__name__", str(option)) for option in options)
    problems.append(Problem(path, f"{shown(value)} does not fit. Write a value of type {names}."))
    return BAD


def _tuple(value: Any, kinds: tuple[Any, ...], path: str, problems: list[Problem]) -> Any:
    if not isinstance(value, list | tuple):
        problems.append(Problem(path, f"{shown(value)} is not a list. Write [{shown(value)}]."))
        return BAD
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        text = f"{shown(list(value))} has {len(value)} entries. Write a list of {len(kinds)}."
        problems.append(Problem(path, text))
        return BAD
    pairs = enumerate(zip(value, kinds, strict=True))
    entries = [coerce(entry, kind, f"{path}[{i}]", problems) for i, (entry, kind) in pairs]
    return BAD if any(entry is BAD for entry in entries) else tuple(entries)


def _dict(value: Any, kind: Any, path: str, problems: list[Problem]) -> Any:
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"{shown(value)} is not a mapping. Write {{key: value}}."))
        return BAD
    entries = {k: coerce(v, kind, join(path, k), problems) for k, v in without_null(value).items()}
    return BAD if any(entry is BAD for entry in entries.values()) else entries


def without_null(value: Any) -> Any:
    """A mapping without the entries that are null, at any depth; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    return {key: without_null(entry) for key, entry in value.items() if entry is not None}
