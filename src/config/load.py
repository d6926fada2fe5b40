"""The configuration of a run, from its layers or from what an earlier run recorded.

Layers, each over the one before: dataclass defaults, `default.yaml`, the environment's YAML, the
algorithm's YAML, the settings after `with`. The result is complete, checked and frozen. If anything
is wrong, one `ConfigError` tells all of it.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from config import layers
from config.coerce import BAD, Problem, coerce, coerce_settings
from config.hints import did_you_mean, join, setting_names, setting_paths, unknown_setting
from config.layers import Layer, Merged
from config.schema import EVALUATION_SETTINGS, MONGO_SETTINGS, RunConfig
from utils.errors import ConfigError, UserError
from utils.files import reason, replacing
from utils.registry import REGISTRIES, Component

DEFAULTS = {f.name: str(f.default) for f in dataclasses.fields(RunConfig) if f.name in REGISTRIES}


def load_config(alg: str | None, env: str | None, overrides: list[str]) -> RunConfig:
    """The configuration that the command line asks for.

    Args:
        alg: name of a file in `config/algs`, or a path to a YAML file; None for none.
        env: the same for `config/envs`.
        overrides: the arguments after `with`, such as `env_args.n_agents=8`.

    Raises:
        ConfigError: with every problem found, if there is any.
    """
    problems: list[str] = []
    stack: list[Layer] = []
    unreadable: list[str] = []
    files = [(layers.CONFIG_DIR / "default.yaml", "default.yaml")]
    names: dict[str, Any] = {}
    for name, folder, flag, key in (
        (env, "envs", "--env-config", "env_name"),
        (alg, "algs", "--config", "alg_name"),
    ):
        if name is None:
            continue
        try:
            label, path = layers.find_yaml(name, folder, flag)
        except ConfigError as error:
            unreadable += error.problems
            continue
        names[key] = path.stem
        files.append((path, label))
    for path, label in files:
        try:
            stack.append(layers.read_file(path, label, problems))
        except ConfigError as error:
            unreadable += error.problems
    stack.insert(1, Layer("names of the files", names))
    with_layer = layers.read_overrides(overrides, problems)
    if unreadable:
        raise ConfigError(unreadable + problems)
    return _resolve(_merge([*stack, with_layer]), problems)


def load_recorded(run_dir: str | Path, overrides: list[str]) -> RunConfig:
    """The configuration that a run recorded in its folder, with overrides on top.

    Args:
        run_dir: folder of the run, which holds the `config.yaml` that `dump` wrote.
        overrides: the arguments after `with`.

    Raises:
        ConfigError: if the file is missing, damaged or incomplete, or a setting is wrong.
    """
    path = Path(run_dir) / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            [f"{path}: there is no such file. Give the folder of a run, which holds config.yaml."]
        )
    problems: list[str] = []
    recorded = layers.read_file(path, str(path), problems)
    merged = _merge([recorded, layers.read_overrides(overrides, problems)])
    config = _resolve(merged, problems)
    optional = {f"{s}_args" for s in REGISTRIES if getattr(config, s) != recorded.data.get(s)}
    optional |= {*EVALUATION_SETTINGS, *MONGO_SETTINGS}
    missing = [
        leaf
        for leaf in _leaves(to_dict(config))
        if leaf not in merged.origin and leaf.split(".")[0] not in optional
    ]
    if missing:
        raise ConfigError(
            [
                f"{path}: {leaf}: not recorded; the file is damaged or from another version of the "
                f"code. Restore it, or give the value with `with {leaf}=<value>`."
                for leaf in missing
            ]
        )
    return config


def recorded_settings(run_dir: str | Path) -> dict[str, Any]:
    """What a run's `config.yaml` says, unchecked; of older code it may lack settings of today."""
    return layers.read_file(Path(run_dir) / "config.yaml", str(run_dir), []).data


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


def _leaves(data: dict[str, Any], path: str = "") -> Iterable[str]:
    """Dotted paths of the values that are no mappings; an empty mapping counts as a value."""
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, join(path, key))
        else:
            yield join(path, key)


def _merge(stack: list[Layer]) -> Merged:
    merged = Merged()
    for layer in stack:
        merged.add(layer, DEFAULTS)
    return merged


def _resolve(merged: Merged, problems: list[str]) -> RunConfig:
    """The typed configuration.

    Raises:
        ConfigError: with `problems` and everything wrong with the merged settings.
    """
    found: list[Problem] = []
    components = {slot: _component(slot, merged.data, found) for slot in REGISTRIES}
    config = _run_wide(merged.data, components, found)
    args = {
        f"{slot}_args": _component_settings(slot, component, merged.data, found)
        for slot, component in components.items()
        if component is not None
    }
    problems = problems + [merged.sentence(problem) for problem in found]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return dataclasses.replace(config, **args)


def _component(slot: str, data: dict[str, Any], problems: list[Problem]) -> Component | None:
    """The component that a slot names, or None after noting why there is none."""
    name = coerce(data.get(slot, DEFAULTS[slot]), str, slot, [])
    if name is BAD:
        return None  # noted with the run-wide settings
    try:
        return REGISTRIES[slot].get(name)
    except UserError as error:
        problems.append(Problem(slot, str(error)))
        return None


def _run_wide(
    data: dict[str, Any], components: dict[str, Component | None], problems: list[Problem]
) -> Any:
    """The settings at the top level, without those of the components."""
    known = setting_names(RunConfig)
    for key in data:
        if key not in known:
            problems.append(Problem(key, _unknown_at_top(key, components)))
    args = {f"{slot}_args" for slot in REGISTRIES}
    top = {key: value for key, value in data.items() if key in known and key not in args}
    return coerce_settings(top, RunConfig, "", problems)


def _component_settings(
    slot: str, component: Component, data: dict[str, Any], problems: list[Problem]
) -> Any:
    """The settings of one component, typed."""
    path, cls = f"{slot}_args", component.config
    given = data.get(path, {})
    known = setting_names(cls)
    if isinstance(given, dict):
        for key in given:
            if key not in known:
                problems.append(Problem(join(path, key), _unknown_arg(key, slot, component)))
        given = {key: value for key, value in given.items() if key in known}
    return coerce_settings(given, cls, path, problems)


def _unknown_at_top(key: str, components: dict[str, Component | None]) -> str:
    """What to say of an unknown setting at the top level; it may be meant for a component."""
    paths = setting_paths(RunConfig)
    for slot, component in components.items():
        if component is not None:
            paths += [f"{slot}_args.{path}" for path in setting_paths(component.config)]
    return f"no such setting.{did_you_mean(key, paths)} `--help` lists the run-wide settings."


def _unknown_arg(key: str, slot: str, component: Component) -> str:
    """What to say of a setting that a component lacks and another of the slot may have."""
    others = [name for name in REGISTRIES[slot].names() if name != component.name]
    owners = [name for name in others if key in _settings_of(slot, name)]
    if not owners:
        return unknown_setting(key, component.config, component.name)
    have = " and ".join(f"`{name}`" for name in owners) + (" does" if len(owners) == 1 else " do")
    meant = did_you_mean(key, setting_paths(component.config))
    return (
        f"`{component.name}` takes no `{key}`; {have}: to switch {slot} write "
        f"`with {slot}={owners[0]}`.{meant}"
    )


def _settings_of(slot: str, name: str) -> list[str]:
    """Names of the settings of a component; none if its file cannot be imported."""
    try:
        return setting_names(REGISTRIES[slot].get(name).config)
    except Exception:  # this is about another component's mistake, which must not hide the user's
        return []
