"""Components outside the tree in a configuration: their folder, and their files' hashes.

A run records both, so that it finds the components again and says which files have changed.
"""

import dataclasses
import sys
from collections.abc import Iterable
from typing import Any

from config.coerce import Problem
from config.schema import RunConfig
from utils import plugins
from utils.errors import ConfigError, UserError
from utils.registry import REGISTRIES, Component


def use_folder(data: dict[str, Any]) -> None:
    """Look for components in the folder that merged settings name.

    Raises:
        ConfigError: if there is no such folder.
    """
    named = data.get("plugins")
    try:
        plugins.use_folder(named if isinstance(named, str) else "")
    except UserError as error:
        raise ConfigError([f"plugins: {error}"]) from error


def record(
    data: dict[str, Any],
    components: Iterable[tuple[str, Component | None]],
    loggers: Iterable[Component],
    found: list[Problem],
) -> None:
    """Write the folder and the hashes of today's files into merged settings.

    Args:
        data: the settings.
        components: slot and component; None where there is none.
        loggers: the loggers, which change no number and need no hash.
        found: receives what is wrong with hashes that were given.
    """
    outside = {slot: c.outside for slot, c in components if c is not None and c.outside}
    paths = [*outside.values(), *(logger.outside for logger in loggers if logger.outside)]
    if any(path.is_relative_to(plugins.folder().resolve()) for path in paths):
        data["plugins"] = str(plugins.folder())
    today = {slot: plugins.fingerprint(path) for slot, path in outside.items()}
    if data.get("plugin_files", today) != today:
        text = f"the files are now {today}. A run records this; leave the setting out."
        found.append(Problem("plugin_files", text))
    data["plugin_files"] = today


def as_recorded(config: RunConfig, hashes: Any, others: set[str]) -> RunConfig:
    """The configuration with the hashes that a run recorded.

    Args:
        config: with the hashes of today's files.
        hashes: slot -> hash, as recorded.
        others: slots that hold another component now.
    """
    kept = hashes.items() if isinstance(hashes, dict) else ()
    old = {slot: text for slot, text in kept if slot in config.plugin_files and slot not in others}
    return dataclasses.replace(config, plugin_files={**config.plugin_files, **old})


def as_of_today(config: RunConfig) -> RunConfig:
    """The configuration of a recorded run with the hashes of today's files.

    Says on standard error which files have changed since.
    """
    plugins.use_folder(config.plugins)
    today = {}
    for slot in REGISTRIES:
        component = REGISTRIES[slot].get(getattr(config, slot))
        if component.outside is None:
            continue
        today[slot] = plugins.fingerprint(component.outside)
        if today[slot] != config.plugin_files.get(slot):
            print(
                f"warning: {component.outside} is not the file that this run was trained with: its "
                f"hash is {today[slot]}, and {config.plugin_files.get(slot)} was recorded.",
                file=sys.stderr,
            )
    return dataclasses.replace(config, plugin_files=today)
