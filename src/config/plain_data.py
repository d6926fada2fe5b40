"""A configuration as plain data: to compare, to write, to read by other programs."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from config.hints import join, setting_names
from config.schema import RunConfig
from utils.errors import UserError
from utils.files import reason, replacing


def to_dict(config: RunConfig) -> dict[str, Any]:
    """The configuration as plain nested data: mappings, lists, numbers, text, bool, null."""
    data = _plain(config)
    assert isinstance(data, dict)
    return data


def changes(old: dict[str, Any], new: Any, ignored: Collection[str], path: str = "") -> list[str]:
    """`key=value` of every setting of `old` that is another one in `new`, nested keys dotted.

    Args:
        old: what a run recorded; a setting that it lacks, as the record of older code may, is not
            compared. A mapping with free keys, such as `env_args.kwargs`, is compared as a whole.
        new: a configuration, or the settings of one of its components.
        ignored: dotted names of settings that do not count.
        path: dotted path of `new`, with a dot at its end.
    """
    found = []
    for key in setting_names(type(new)):
        value = getattr(new, key)
        if key not in old or f"{path}{key}" in ignored:
            continue
        if dataclasses.is_dataclass(value) and isinstance(old[key], dict):
            found += changes(old[key], value, ignored, f"{path}{key}.")
        elif old[key] != _plain(value):
            found.append(f"{path}{key}={_plain(value)}")
    return found


def dump(config: RunConfig, path: str | Path) -> None:
    """Write the configuration as YAML that `load_recorded` reads back as an equal one.

    Args:
        config: what to write.
        path: the file; it appears complete or not at all.

    Raises:
        UserError: if it cannot be written.
    """
    text = yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)
    try:
        with replacing(Path(path)) as file:
            file.write(text.encode())
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({reason(error)}). Free space or make the folder writable."
        ) from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def leaves(data: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted path and value of everything that is no mapping; an empty mapping is a value."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, join(path, key))
        else:
            yield join(path, key), value
