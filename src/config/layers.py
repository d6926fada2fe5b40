"""Reading and merging the layers of a configuration, with the layer that each value came from."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from config.coerce import Problem
from config.hints import join, shown
from config.old_names import translate
from config.schema import RunConfig
from utils.errors import ConfigError
from utils.registry import REGISTRIES

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Layer:
    """Plain data from one place."""

    label: str  # what messages call the place, such as algs/agp.yaml
    data: dict[str, Any]


def read_file(path: Path, label: str, problems: list[str]) -> Layer:
    """The layer in a YAML file. What is wrong but leaves it readable is added to `problems`.

    Raises:
        ConfigError: if the file is missing or is not YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data, found = parse_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{label}: cannot be read ({error}). Check the file."]) from error
    except yaml.YAMLError as error:
        raise ConfigError([f"{label}: {_yaml_problem(error)}"]) from error
    problems += [f"{label}: {problem}" for problem in found]
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError([f"{label}: holds {shown(data)}. Write lines of the form `key: value`."])
    for key in [key for key in data if "." in key]:
        del data[key]
        nested = key.replace(".", ": {") + ": ..." + "}" * key.count(".")
        problems.append(f"{label}: {key}: dots do not nest in a file. Write `{nested}`.")
    return Layer(label, data)


def wrong_kinds(files: Mapping[str, Layer], with_layer: Layer) -> Iterable[str]:
    """Sentences about an environment's file that names none, and a method's file that names one.

    Args:
        files: what was read of the files of `--env-config` (`env`) and `--config` (`alg`).
        with_layer: the settings after `with`.
    """
    env, alg = files.get("env"), files.get("alg")
    if env is not None and "env" not in {**env.data, **with_layer.data}:
        parts = ", ".join(_slots(env.data))
        yield f"{env.label}: names no environment" + (
            f", but {parts}. A method's file belongs to --config."
            if parts
            else ", so its settings are for none. Write `env: <name>` in it, as in envs/topk.yaml."
        )
    if alg is not None and "env" in alg.data:
        yield (
            f"{alg.label}: env: a method's file names no environment. Take it out; "
            f"the file of an environment belongs to --env-config."
        )


def read_overrides(overrides: Iterable[str], problems: list[str]) -> Layer:
    """The layer of the arguments after `with`: `key=value`, a dotted key and a YAML value.

    Args:
        overrides: the arguments; of two for the same key the later holds.
        problems: receives what is wrong with them.
    """
    merged = Merged()
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            problems.append(
                f"{COMMAND_LINE}: {shown(override)} is not of the form key=value. "
                f"Write it like `with seed=3 env_args.n_agents=8`, without spaces around `=`."
            )
            continue
        data: Any = ""
        found: list[str] = []
        try:
            if text:
                data, found = parse_yaml(text)
        except yaml.YAMLError as error:
            problems.append(f"{COMMAND_LINE}: {key}: {_yaml_problem(error)}")
            continue
        problems += [f"{COMMAND_LINE}: {join(key, problem)}" for problem in found]
        for part in reversed(parts):
            data = {part: data}
        merged.merge(merged.data, data, COMMAND_LINE)
    return Layer(COMMAND_LINE, merged.data)


def parse_yaml(text: str) -> tuple[Any, list[str]]:
    """The plain data in a YAML text, and one sentence for each key that is repeated or not text.

    Raises:
        yaml.YAMLError: if the text is not YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, []
        problems = list(_key_problems(node, ""))
        return loader.construct_document(node), problems
    except ValueError as error:  # such as the date 2024-13-01
        raise yaml.YAMLError(str(error)) from error
    finally:
        loader.dispose()


def _key_problems(node: yaml.Node, path: str) -> Iterable[str]:
    """Sentences about the keys of a YAML tree; a key that is not text is taken out of it."""
    if isinstance(node, yaml.SequenceNode):
        for i, entry in enumerate(node.value):
            yield from _key_problems(entry, f"{path}[{i}]")
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    pairs, node.value = node.value, []
    for key, value in pairs:
        line = key.start_mark.line + 1
        here = join(path, key.value if isinstance(key.value, str) else "?")
        if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            yield f"{here}: the key in line {line} is not text to YAML. Put it in quotes."
            continue
        if key.value in lines:
            where = f"{lines[key.value]} and {line}"
            yield f"{here}: given twice (lines {where}). Keep one of them."
        lines[key.value] = line
        node.value.append((key, value))
        yield from _key_problems(value, here)


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    what = getattr(error, "problem", None) or str(error)
    return f"not valid YAML{where}: {what}. Check brackets, quotes and indentation there."


def _slots(data: dict[str, Any]) -> list[str]:
    """The slots for which a layer names a component."""
    return [slot for slot in REGISTRIES if slot in data]


class Replacement(dict[str, Any]):
    """A mapping that replaces the one of earlier layers: `env_args.kwargs={}` empties it."""


class Merged:
    """Settings merged from layers, later ones over earlier ones.

    Attributes:
        data: the merged plain data.
        origin: dotted path of every value and mapping -> label of the last layer that set it.
        notes: a sentence for each part of a layer that is left out or has a new name.
    """

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.origin: dict[str, str] = {}
        self.labels: list[str] = []
        self.notes: list[str] = []

    def add_all(self, stack: Iterable[Layer]) -> None:
        """Merge layers, each over the ones before.

        `<slot>_args` are for the component that their layer or one before it names, and are left
        out if a later layer names another. If none has named one they are for any component.
        """
        stack = list(stack)
        chosen = {slot: layer.data[slot] for layer in stack for slot in _slots(layer.data)}
        named: dict[str, Any] = {}
        for layer in stack:
            data = dict(layer.data)
            named |= {slot: data[slot] for slot in _slots(data)}
            renamed = translate(data, self.data.get("loggers", RunConfig.loggers))
            self.notes += [f"{layer.label}: {sentence}" for sentence in renamed]
            for slot in REGISTRIES:
                args = f"{slot}_args"
                if args not in data:
                    continue
                if data[args] is None:  # `mixer_args:` with nothing behind it
                    del data[args]
                elif named.get(slot, chosen.get(slot)) != chosen.get(slot):
                    belong = f"belong to {slot}={named[slot]}, but the {slot} is {chosen[slot]}"
                    self.notes.append(
                        f"{layer.label}: {args}={shown(data.pop(args))} {belong}; left out."
                    )
            self.labels.append(layer.label)
            self.merge(self.data, data, layer.label)

    def merge(
        self, target: dict[str, Any], data: dict[str, Any], label: str, path: str = ""
    ) -> None:
        """Merge plain data into `target` at `path`, mapping into mapping; all else replaces.

        An empty mapping replaces, too.
        """
        for key, value in data.items():
            here = join(path, key)
            if isinstance(value, dict):
                replaces = not value or isinstance(value, Replacement)
                if replaces or not isinstance(target.get(key), dict):
                    self._forget(here)
                    target[key] = Replacement() if replaces else {}
                self.merge(target[key], value, label, here)
            else:
                self._forget(here)
                target[key] = copy.deepcopy(value)
            self.origin[here] = label

    def sentence(self, problem: Problem) -> str:
        """The problem as it is shown: layer, path, what is wrong."""
        named = [self.origin[p] for p in (problem.path, *problem.also) if p in self.origin]
        path = problem.path
        while path and not named:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
            named = [self.origin[path]] if path in self.origin else []
        label = max(named, key=self.labels.index) if named else "defaults"
        return f"{label}: {problem.path}: {problem.text}"

    def _forget(self, path: str) -> None:
        """Drop where the values at a path and below it came from."""
        for known in [p for p in self.origin if p == path or p.startswith(path + ".")]:
            del self.origin[known]
