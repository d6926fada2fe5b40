"""Runs that were recorded by different versions of the code, as if all were of today's.

A component may have got a setting after some of its runs were recorded. Where newer runs record it,
the older ones get its default, which is what they hold when they are loaded (`config.load`).
"""

import copy
import dataclasses
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from analysis.results import RunRecord
from config.plain_data import leaves
from utils.errors import UserError
from utils.registry import REGISTRIES


def of_one_version(runs: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs, older ones with the defaults of settings that only newer ones record."""
    runs = list(runs)
    recorded: dict[tuple[str, str], set[str]] = defaultdict(set)  # (slot, component) -> settings
    for run in runs:
        for slot, settings in _components(run):
            recorded[slot, str(run.config.get(slot))].update(key for key, _ in leaves(settings))
    return [_completed(run, recorded) for run in runs]


def _components(run: RunRecord) -> Iterable[tuple[str, dict[str, Any]]]:
    """The slots of a run and the settings of their components."""
    for slot in REGISTRIES:
        settings = run.config.get(f"{slot}_args")
        if isinstance(settings, dict):
            yield slot, settings


def _completed(run: RunRecord, recorded: dict[tuple[str, str], set[str]]) -> RunRecord:
    """The run with the default of each setting that it lacks; itself if it lacks none."""
    config = None
    for slot, settings in _components(run):
        component = str(run.config.get(slot))
        for key in sorted(recorded[slot, component] - {key for key, _ in leaves(settings)}):
            default = _default(slot, component, key)
            if default is not dataclasses.MISSING:
                config = config or copy.deepcopy(run.config)
                *path, last = f"{slot}_args.{key}".split(".")
                place = config
                for part in path:
                    place = place.setdefault(part, {})
                place[last] = default
    return run if config is None else dataclasses.replace(run, config=config)


def _default(slot: str, component: str, key: str) -> Any:
    """The default of a setting; MISSING if it has none today, or the component cannot be found."""
    try:
        value: Any = REGISTRIES[slot].get(component).config()
    except (UserError, TypeError):
        return dataclasses.MISSING
    for name in key.split("."):
        if not dataclasses.is_dataclass(value) or not hasattr(value, name):
            return dataclasses.MISSING
        value = getattr(value, name)
    return list(value) if isinstance(value, tuple) else value
