"""Names of settings, and the sentences that help with a wrong one."""

import difflib
import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from utils.mongo_url import redact


def setting_names(cls: Any) -> list[str]:
    """Names of the settings of a dataclass, in the order of its fields."""
    return [field.name for field in fields(cls) if field.init]


def setting_paths(cls: type) -> list[str]:
    """Dotted paths of all settings of a dataclass, those of nested dataclasses included."""
    kinds = get_type_hints(cls)
    paths = []
    for name in setting_names(cls):
        paths.append(name)
        inner = nested_dataclass(kinds[name])
        if inner is not None:
            paths += [f"{name}.{path}" for path in setting_paths(inner)]
    return paths


def nested_dataclass(kind: Any) -> type | None:
    """The dataclass that an annotation `X` or `X | None` names, if it names one."""
    for option in get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,):
        if isinstance(option, type) and is_dataclass(option):
            return option
    return None


def unknown_setting(key: str, cls: type, owner: str) -> str:
    """The sentences that say `owner` has no setting `key`: what was meant, and what there is."""
    names = setting_names(cls)
    known = f"{owner} takes: {', '.join(names)}." if names else f"{owner} takes no settings."
    return f"no such setting.{did_you_mean(key, setting_paths(cls))} {known}"


def did_you_mean(key: str, paths: list[str]) -> str:
    """` Did you mean 'x.y'?` for the paths that end in `key`, or else in the most similar name.

    A name is similar if it looks like a typing mistake: a wrong hint is worse than none.
    """
    ends = [path.rsplit(".", 1)[-1] for path in paths]
    cutoff = 0.6 if len(key) <= 4 else 0.75  # one letter of a short name weighs more
    meant = [key] if key in ends else difflib.get_close_matches(key, ends, n=1, cutoff=cutoff)
    found = [f"'{path}'" for path, end in zip(paths, ends, strict=True) if end in meant]
    return f" Did you mean {' or '.join(dict.fromkeys(found))}?" if found else ""


def shown(value: Any) -> str:
    """A value as it is shown in a message: in YAML's words, not too long, without passwords."""
    text = redact(repr(value))
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    return text if len(text) <= 80 else text[:77] + "..."


def join(path: str, key: str) -> str:
    """The dotted path of `key` below `path`."""
    return f"{path}.{key}" if path else str(key)
