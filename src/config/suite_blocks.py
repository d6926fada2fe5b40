"""The blocks of a suite's file; one with a `grid` becomes a block for each of its combinations."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from config.coerce import BAD, Problem, coerce
from config.hints import did_you_mean, shown
from config.plain_data import leaves
from config.schema import BESIDE_LEARNING, RunConfig
from utils.errors import SettingsError

BLOCK_KEYS = ("algs", "envs", "seeds", "with", "grid")
# Settings that a suite gives by itself, and what to say of them.
GIVEN = {
    "seed": "write the seeds of a block under `seeds`",
    "resume": "a suite continues its runs by itself",
    "evaluate": "a suite evaluates each run if its file has `evaluate`",
}
GIVEN_TO_EVALUATIONS = {key: "a suite gives it by itself" for key in ("evaluate", "resume")}
GIVEN_TO_EVALUATIONS["checkpoint_path"] = GIVEN_TO_EVALUATIONS["evaluate"]
EXAMPLES = {  # of the values of some keys, for messages
    "envs": "[topk, swap]",
    "include": "[topk, swap]",
    "fresh_seeds": "[11, 12, 13]",
}
LONGEST_NAME = 100  # characters of a generated name


@dataclass(frozen=True)
class Block:
    """Methods, tasks and seeds under the same settings.

    Attributes:
        label: the file, such as suites/topk.yaml.
        place: in it, such as suites/topk.yaml: block 2.
        algs: methods.
        envs: tasks.
        seeds: seeds.
        settings: {dotted key: value}.
        places: {dotted key: where in the file it stands}.
    """

    label: str
    place: str
    algs: tuple[str, ...]
    envs: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: dict[str, Any]
    places: dict[str, str]


def read_blocks(runs: Any, label: str, problems: list[str]) -> list[Block]:
    """The blocks that can be read; what is wrong with the others is added to `problems`."""
    if not isinstance(runs, list) or not runs:
        wrong = "missing" if runs is None else shown(runs)
        problems.append(
            f"{label}: `runs` is {wrong}. Write a list of blocks, such as\n"
            f"    runs:\n      - {{algs: [agp, iql], envs: [topk], seeds: [1, 2, 3]}}"
        )
        return []
    return [
        block
        for number, data in enumerate(runs, 1)
        for block in _read_block(data, label, f"{label}: block {number}", problems)
    ]


def _read_block(data: Any, label: str, place: str, problems: list[str]) -> Iterable[Block]:
    known = len(problems)
    if not isinstance(data, dict):
        problems.append(f"{place}: {shown(data)} is not a mapping with algs, envs and seeds.")
        return
    problems += unknown(data, BLOCK_KEYS, place)
    algs, envs = (read_list(data.get(k), str, f"{place}: {k}", problems) for k in ("algs", "envs"))
    seeds = read_seeds(data.get("seeds"), f"{place}: seeds", problems)
    settings = read_settings(data.get("with"), f"{place}: with", GIVEN, problems)
    grid = read_settings(data.get("grid"), f"{place}: grid", GIVEN, problems)
    for key, values in grid.items():
        where = f"{place}: grid: {key}"
        if not isinstance(values, list) or not values:
            problems.append(f"{where}: {shown(values)} is not a list of values. Write [a, b].")
        elif key in settings:
            problems.append(f"{where}: it is given under `with`, too. Leave one of the two out.")
    if len(problems) > known:
        return
    places = {key: f"{place}: with" for key in settings} | {key: f"{place}: grid" for key in grid}
    for values in itertools.product(*grid.values()):
        chosen = settings | dict(zip(grid, values, strict=True))
        yield Block(label, place, algs, envs, seeds, chosen, places)


def read_list(value: Any, kind: type, place: str, problems: list[str]) -> tuple[Any, ...]:
    """The entries of a list that must not be empty; None stands for a key that is missing."""
    if not isinstance(value, list) or not value:
        by_kind = {str: "[agp, iql]", int: "[1, 2, 3]"}
        example = EXAMPLES.get(place.rpartition(" ")[2], by_kind[kind])
        if isinstance(value, str | int) and not isinstance(value, bool):
            example = f"[{', '.join(part.strip() for part in str(value).split(','))}]"
        wrong = "is missing" if value is None else f"{shown(value)} is not a list"
        problems.append(f"{place}: {wrong}. Write {example}.")
        return ()
    found: list[Problem] = []
    entries = [coerce(entry, kind, f"entry {i}", found) for i, entry in enumerate(value, 1)]
    problems += [f"{place}: {problem.path}: {problem.text}" for problem in found]
    return tuple(entry for entry in entries if entry is not BAD)


def read_seeds(value: Any, place: str, problems: list[str]) -> tuple[int, ...]:
    """A list of seeds."""
    seeds = read_list(value, int, place, problems)
    problems += [f"{place}: {text}" for seed in seeds for text in _wrong_seed(seed)]
    return seeds


def _wrong_seed(seed: int) -> list[str]:
    try:
        RunConfig(seed=seed)
    except SettingsError as error:
        return [text for _, text in error.problems]
    return []


def read_settings(
    value: Any, place: str, refused: Mapping[str, str], problems: list[str]
) -> dict[str, Any]:
    """Settings as {dotted key: value}; nothing behind the key stands for none."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        problems.append(f"{place}: {shown(value)} is not a mapping. Write {{key: value}}.")
        return {}
    flat = dict(leaves(value))
    problems += [f"{place}: {key}: {refused[key]}." for key in flat if key in refused]
    return flat


def name_of(block: Block, siblings: list[Block]) -> str:
    """A name from the block's settings that are not those of all blocks of its method and task."""
    differing = {
        key: value
        for key, value in block.settings.items()
        if key not in BESIDE_LEARNING
        and any(key not in other.settings or other.settings[key] != value for other in siblings)
    }
    return folder_name(differing)


def folder_name(settings: dict[str, Any]) -> str:
    """Settings as a name that fits for a folder, such as `lr=1e-3,gamma=0.9`."""
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(texts(settings))).strip("-.")
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def unknown(data: dict[str, Any], known: tuple[str, ...], place: str) -> Iterable[str]:
    """A sentence for each key of a mapping in the file that means nothing there."""
    for key in data:
        if key not in known:
            hint = did_you_mean(key, list(known))
            yield f"{place}: there is no key '{key}' in it.{hint} Keys: {', '.join(known)}."


def overlap(a: str, b: str) -> bool:
    """Whether one of two dotted keys is the other, or lies below it."""
    return a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.")


def texts(settings: dict[str, Any]) -> list[str]:
    """Settings as they are written after `with`."""
    return [f"{key}={_text(value)}" for key, value in settings.items()]


def _text(value: Any) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("...\n").strip()
