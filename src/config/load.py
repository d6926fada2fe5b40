"""The configuration of a run, from its layers or from what an earlier run recorded.

Layers, each over the one before: dataclass defaults, `default.yaml`, the environment's YAML, the
algorithm's YAML, the preset of the pair, the settings after `with`. The result is complete, checked
and frozen. If anything is wrong, one `ConfigError` names all of it.
"""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from config import epymarl, layers, loggers, plugins, search_path
from config.coerce import BAD, Problem, coerce, coerce_settings
from config.hints import join, setting_names
from config.layers import Layer, Merged
from config.plain_data import leaves, to_dict
from config.schema import MAY_BE_MISSING, RunConfig
from config.unknown_settings import unknown_arg, unknown_at_top
from utils.errors import ConfigError, UserError
from utils.registry import REGISTRIES, Component

RECORDED = "a run records this; leave the setting out."
DEFAULTS = {f.name: str(f.default) for f in dataclasses.fields(RunConfig) if f.name in REGISTRIES}


def load_config(
    alg: str | None,
    env: str | None,
    overrides: list[str],
    say: Callable[[str], None] = lambda sentence: None,
) -> RunConfig:
    """The configuration that the command line asks for.

    Args:
        alg: name of a file in `algs/` (`search_path`), or a path to a YAML file; None for none.
        env: the same for `envs/`.
        overrides: the arguments after `with`, such as `env_args.n_agents=8`.
        say: receives a sentence for each layer's args of a component that is replaced, and for each
            file that hides another one of its name.

    Raises:
        ConfigError: with every problem found, if there is any.
    """
    search_path.require_folders()
    problems: list[str] = []
    stack: list[Layer] = []
    unreadable: list[str] = []
    named = _named_files(alg, env, unreadable)
    default = ("default.yaml", search_path.CONFIG_DIR / "default.yaml")
    for_all = {label for label, _ in (default, named.get("env", default))}  # serve every method
    for label, path in (default, *named.values()):
        try:
            stack.append(layers.read_file(path, label, problems))
        except ConfigError as error:
            unreadable += error.problems
    chosen = {key: path for key, (_, path) in named.items()}
    names = {f"{key}_name": path.stem for key, path in chosen.items()}
    stack.insert(1, Layer("names of the files", names))
    with_layer = layers.read_overrides(overrides, problems)
    read = {layer.label: layer for layer in stack}
    of_flags = {key: read[label] for key, (label, _) in named.items() if label in read}
    problems += layers.wrong_kinds(of_flags, with_layer)
    preset = "none"
    try:
        found = search_path.find_preset(alg, env, _asked_preset([*stack, with_layer]))
        if found is not None:
            preset, path = found
            chosen["preset"] = path
            stack.append(layers.read_file(path, search_path.label(path), problems))
    except ConfigError as error:
        unreadable += error.problems
    if unreadable:
        raise ConfigError(unreadable + problems)
    merged = Merged()
    merged.add_all([*stack, with_layer])
    if "config_files" in merged.data:
        problems.append(merged.sentence(Problem("config_files", RECORDED)))
    config = _resolve(merged, problems, for_all)
    for sentence in [*search_path.hidden(chosen.values()), *merged.notes]:
        say(sentence)
    used = {key: search_path.recorded(path) for key, path in chosen.items()}
    return dataclasses.replace(config, preset=preset, config_files=used)


def _named_files(
    alg: str | None, env: str | None, problems: list[str]
) -> dict[str, tuple[str, Path]]:
    """Label and path of the files that the flags name; `problems` receives what is wrong."""
    found = {}
    for key, name, kind, flag in (
        ("env", env, "envs", "--env-config"),
        ("alg", alg, "algs", "--config"),
    ):
        if name is not None:
            try:
                found[key] = search_path.find_yaml(name, kind, flag)
            except ConfigError as error:
                problems += error.problems
    return found


def load_recorded(
    run_dir: str | Path,
    overrides: list[str],
    say: Callable[[str], None] = lambda sentence: None,
) -> RunConfig:
    """The configuration that a run recorded in its folder, with overrides on top.

    Of components outside the tree it holds the hashes that were recorded (`plugins.as_of_today`).
    A setting that a component has got since holds its default.

    Args:
        run_dir: folder of the run, which holds the `config.yaml` that `dump` wrote.
        overrides: the arguments after `with`.
        say: receives a sentence for each of them that has a new name, and for each setting that is
            newer than the run.

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
    with_layer = layers.read_overrides(overrides, problems)
    if "config_files" in with_layer.data:
        problems.append(f"{layers.COMMAND_LINE}: config_files: {RECORDED}")
    if "preset" in with_layer.data:
        problems.append(
            f"{layers.COMMAND_LINE}: preset: a preset holds when a run starts. Give the settings "
            f"that are to change after `with`."
        )
    hashes = recorded.data.pop("plugin_files", {})
    merged = Merged()
    merged.add_all([recorded, with_layer])
    config = _resolve(merged, problems, for_all={recorded.label})
    for sentence in merged.notes:
        if sentence.startswith(layers.COMMAND_LINE):
            say(sentence)
    others = {s for s in REGISTRIES if getattr(config, s) != recorded.data.get(s)}
    config = plugins.as_recorded(config, hashes, others)
    optional = {f"{s}_args" for s in others} | MAY_BE_MISSING
    absent = {
        leaf: value
        for leaf, value in leaves(to_dict(config))
        if leaf not in merged.origin and leaf.split(".")[0] not in optional
    }
    _account_for(absent, recorded, say)
    return config


def _account_for(absent: dict[str, Any], recorded: Layer, say: Callable[[str], None]) -> None:
    """Say which settings a record is older than.

    Args:
        absent: settings that nothing gives, and their defaults.
        recorded: the record.
        say: receives a sentence for each setting of a component whose others are recorded.

    Raises:
        ConfigError: for the other ones.
    """
    missing = []
    for leaf, default in absent.items():
        if isinstance(recorded.data.get(leaf.split(".")[0]), dict):
            say(f"{recorded.label} is older than {leaf}, whose default holds: {default}.")
        else:
            missing.append(leaf)
    if missing:
        raise ConfigError(
            [
                f"{recorded.label}: {leaf}: not recorded; the file is damaged or from another "
                f"version of the code. Restore it, or give the value with `with {leaf}=<value>`."
                for leaf in missing
            ]
        )


def recorded_settings(run_dir: str | Path) -> dict[str, Any]:
    """Content of a run's `config.yaml`, unchecked; that of older code may lack new settings."""
    return layers.read_file(Path(run_dir) / "config.yaml", str(run_dir), []).data


def _asked_preset(stack: list[Layer]) -> str:
    """The setting `preset` in the last layer that has it; what is not text is an error later."""
    asked = [layer.data["preset"] for layer in stack if "preset" in layer.data]
    return asked[-1] if asked and isinstance(asked[-1], str) else RunConfig.preset


@runtime_checkable
class MayIgnore(Protocol):
    """A component that does not follow some run-wide settings."""

    @staticmethod
    def unread(config: Any, settings: Any) -> dict[str, str]:
        """Settings of the run that change nothing -> why, and what to write instead.

        Args:
            config: settings of the component.
            settings: those of the run.
        """
        ...


def _resolve(merged: Merged, problems: list[str], for_all: set[str]) -> RunConfig:
    """The typed configuration.

    Args:
        merged: the layers.
        problems: found so far.
        for_all: labels of layers that serve every method; they may hold what this one ignores.

    Raises:
        ConfigError: with `problems` and everything wrong with the merged settings.
    """
    found: list[Problem] = []
    plugins.use_folder(merged.data)
    components = {slot: _component(slot, merged.data, found) for slot in REGISTRIES}
    chosen = loggers.chosen(merged.data, found)
    plugins.record(merged.data, components.items(), chosen, found)
    config = _run_wide(merged.data, components, found)
    args = {
        f"{slot}_args": _component_settings(slot, component, merged.data, found)
        for slot, component in components.items()
        if component is not None
    }
    args[loggers.ARGS] = loggers.settings_of(chosen, merged, found)
    if not found:
        config = dataclasses.replace(config, **args)
        given = {path for path, label in merged.origin.items() if label not in for_all}
        found += [problem for problem in _unread(config, components) if problem.path in given]
    problems = problems + [merged.sentence(problem) for problem in found]
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return config


def _unread(config: RunConfig, components: dict[str, Component | None]) -> Iterator[Problem]:
    """Run-wide settings that a component of this run does not follow."""
    for slot, component in components.items():
        if component is not None and isinstance(component.cls, MayIgnore):
            ignored = component.cls.unread(getattr(config, f"{slot}_args"), config)
            yield from (Problem(name, text) for name, text in ignored.items())


def _component(slot: str, data: dict[str, Any], problems: list[Problem]) -> Component | None:
    """The component that a slot names, or None after noting why there is none."""
    if data.get(slot, "") is None:
        answer = epymarl.answer(slot, "null") or f"Write {slot}={DEFAULTS[slot]}."
        problems.append(Problem(slot, f"null names no component. {answer}"))
        return None
    name = coerce(data.get(slot, DEFAULTS[slot]), str, slot, [])
    if name is BAD:
        return None  # noted with the run-wide settings
    try:
        return REGISTRIES[slot].get(name)
    except UserError as error:
        problems.append(Problem(slot, epymarl.answer(slot, name) or str(error)))
        return None


def _run_wide(
    data: dict[str, Any], components: dict[str, Component | None], problems: list[Problem]
) -> Any:
    """The settings at the top level, without those of the components."""
    known = setting_names(RunConfig)
    for key in data:
        if key not in known:
            problems.append(Problem(key, unknown_at_top(key, components)))
    elsewhere = {loggers.ARGS, *(f"{slot}_args" for slot in REGISTRIES)}
    elsewhere |= {slot for slot in REGISTRIES if data.get(slot, "") is None}  # see `_component`
    top = {key: value for key, value in data.items() if key in known and key not in elsewhere}
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
                problems.append(Problem(join(path, key), unknown_arg(key, slot, component)))
        given = {key: value for key, value in given.items() if key in known}
        theirs = epymarl.key_answer(str(given.get("key", ""))) if slot == "env" else ""
        if theirs:
            problems.append(Problem("env_args.key", theirs))
    return coerce_settings(given, cls, path, problems)
