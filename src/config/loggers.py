"""The loggers that a configuration chooses, and their settings under `logger_args`."""

import dataclasses
from typing import Any

from config.coerce import BAD, Problem, coerce, coerce_settings
from config.hints import did_you_mean, shown
from config.layers import COMMAND_LINE, Merged
from config.schema import RunConfig
from utils.errors import UserError
from utils.registry import LOGGERS, Component

ARGS = f"{LOGGERS.slot}_args"


def chosen(data: dict[str, Any], found: list[Problem]) -> list[Component]:
    """The loggers that merged settings name; the problems of the list itself are noted elsewhere.

    Args:
        data: the settings.
        found: receives a problem for each name that no logger has.
    """
    names = coerce(data.get("loggers", RunConfig.loggers), tuple[str, ...], "loggers", [])
    components = []
    for name in () if names is BAD else dict.fromkeys(names):
        try:
            components.append(LOGGERS.get(name))
        except UserError as error:
            found.append(Problem("loggers", str(error)))
    return components


def settings_of(
    components: list[Component], merged: Merged, found: list[Problem]
) -> dict[str, Any]:
    """The settings of each chosen logger.

    Those of a logger that is not chosen are left out with a note, so that a file can hold them; on
    the command line they are a mistake.

    Args:
        components: the chosen loggers.
        merged: the layers.
        found: receives every problem.

    Returns:
        Name -> settings dataclass.
    """
    given = merged.data.get(ARGS, {})
    if not isinstance(given, dict):
        found.append(Problem(ARGS, f"{shown(given)} is not a mapping. Write {{logger: {{}}}}."))
        return {}
    for name in sorted(given.keys() - {component.name for component in components}):
        if name not in LOGGERS.names():
            hint = did_you_mean(name, LOGGERS.names())
            text = f"there is no logger '{name}'.{hint} Available: {', '.join(LOGGERS.names())}."
            found.append(Problem(f"{ARGS}.{name}", text))
        elif merged.origin.get(f"{ARGS}.{name}") == COMMAND_LINE:
            text = f"loggers does not name {name}. Add it there, or leave this out."
            found.append(Problem(f"{ARGS}.{name}", text))
        else:
            merged.notes.append(f"{ARGS}.{name} is left out: loggers does not name {name}.")
    return {
        c.name: coerce_settings(given.get(c.name) or {}, c.config, f"{ARGS}.{c.name}", found)
        for c in components
    }


def recorded_args(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a logger that a run has recorded, over the defaults; as plain data.

    Args:
        name: the logger, which the run need not have had.
        settings: what the run's `config.yaml` says.
    """
    recorded = settings.get(ARGS, {}).get(name, {})
    return {**dataclasses.asdict(LOGGERS.get(name).config()), **recorded}
