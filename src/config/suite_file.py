"""A suite's file: what it asks for, all of it checked, as a list of jobs.

A suite is a YAML file with `runs`, a list of blocks, and optionally `evaluate`, settings of the
evaluation after each run. A block runs every one of its `algs` on every one of its `envs` with
every one of its `seeds`, under the settings in its `with`.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from config.coerce import BAD, Problem, coerce
from config.combinations import check_combination
from config.hints import did_you_mean, shown
from config.layers import COMMAND_LINE, find_yaml, read_file
from config.load import load_config
from config.plain_data import leaves, to_dict
from config.schema import BESIDE_LEARNING, RunConfig
from utils.errors import ConfigError, SettingsError

SUITE_KEYS, BLOCK_KEYS = ("runs", "evaluate"), ("algs", "envs", "seeds", "with")
# Settings that a suite gives by itself, and what to say of them.
GIVEN = {
    "seed": "write the seeds of a block under `seeds`",
    "resume": "a suite goes on with its runs by itself",
    "evaluate": "a suite evaluates each run if its file has `evaluate`",
}
GIVEN_TO_EVALUATIONS = {key: "a suite gives it by itself" for key in ("evaluate", "resume")}
GIVEN_TO_EVALUATIONS["checkpoint_path"] = GIVEN_TO_EVALUATIONS["evaluate"]
LONGEST_NAME = 100  # characters of a generated name


@dataclass(frozen=True)
class Job:
    """One run of a suite.

    Attributes:
        alg: what `--config` gets.
        env: what `--env-config` gets.
        settings: what follows `with`, save the seed; the name of the run included.
        config: the complete configuration.
        has_given_name: the run's name was given rather than made from what differs.
    """

    alg: str
    env: str
    settings: tuple[str, ...]
    config: RunConfig
    has_given_name: bool

    @property
    def title(self) -> str:
        """How the job is called on the console."""
        return " ".join([self.alg, self.env, f"seed={self.config.seed}", *self.settings])


@dataclass(frozen=True)
class Suite:
    """The jobs of a suite, and the settings of the evaluation after each; None: no evaluation."""

    jobs: list[Job]
    evaluation: tuple[str, ...] | None


@dataclass(frozen=True)
class _Block:
    label: str  # the file, such as suites/topk.yaml
    place: str  # in it, such as suites/topk.yaml: block 2
    algs: tuple[str, ...]
    envs: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: dict[str, Any]  # dotted key: value


def read_suite(name: str, settings: list[str]) -> Suite:
    """Read a suite and check every method, task and setting of it.

    Args:
        name: stem of a file in `config/suites`, or a path to a YAML file.
        settings: the arguments after `with` on the command line; they override a block's.

    Raises:
        ConfigError: with every problem found, each with its place in the file.
    """
    label, path = find_yaml(name, "suites", "suite")
    problems: list[str] = []
    data = read_file(path, label, problems).data
    problems += _unknown(data, SUITE_KEYS, label)
    blocks = _read_blocks(data.get("runs"), label, problems)
    evaluation = None
    if "evaluate" in data:
        evaluation = _read_settings(
            data["evaluate"], f"{label}: evaluate", GIVEN_TO_EVALUATIONS, problems
        )
    given = [text.partition("=")[0] for text in settings]
    problems += [f"{COMMAND_LINE}: {key}: {GIVEN[key]}." for key in given if key in GIVEN]
    jobs = [
        job
        for block in blocks
        for env in block.envs
        for alg in block.algs
        for job in _jobs(block, alg, env, blocks, settings, evaluation or {}, problems)
    ]
    problems += _duplicates(jobs)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    texts = None if evaluation is None else tuple(_texts(evaluation))
    return Suite([job for _, job in jobs], texts)


def _read_blocks(runs: Any, label: str, problems: list[str]) -> list[_Block]:
    """The blocks that can be read; what is wrong with the others is added to `problems`."""
    if not isinstance(runs, list) or not runs:
        problems.append(
            f"{label}: `runs` is {shown(runs)}. Write a list of blocks, such as\n"
            f"    runs:\n      - {{algs: [agp, iql], envs: [topk], seeds: [1, 2, 3]}}"
        )
        return []
    blocks = []
    for number, block in enumerate(runs, 1):
        place, known = f"{label}: block {number}", len(problems)
        if not isinstance(block, dict):
            problems.append(f"{place}: {shown(block)} is not a mapping with algs, envs and seeds.")
            continue
        problems += _unknown(block, BLOCK_KEYS, place)
        algs, envs, seeds = (
            _read_list(block.get(key), kind, f"{place}: {key}", problems)
            for key, kind in (("algs", str), ("envs", str), ("seeds", int))
        )
        problems += [f"{place}: seeds: {text}" for seed in seeds for text in _wrong_seed(seed)]
        settings = _read_settings(block.get("with"), f"{place}: with", GIVEN, problems)
        if len(problems) == known:
            blocks.append(_Block(label, place, algs, envs, seeds, settings))
    return blocks


def _read_list(value: Any, kind: type, place: str, problems: list[str]) -> tuple[Any, ...]:
    """The entries of a list that must not be empty."""
    if not isinstance(value, list) or not value:
        example = {str: "[agp, iql]", int: "[1, 2, 3]"}[kind]
        if isinstance(value, str | int) and not isinstance(value, bool):
            example = f"[{', '.join(part.strip() for part in str(value).split(','))}]"
        problems.append(f"{place}: {shown(value)} is not a list. Write {example}.")
        return ()
    found: list[Problem] = []
    entries = [coerce(entry, kind, f"entry {i}", found) for i, entry in enumerate(value, 1)]
    problems += [f"{place}: {problem.path}: {problem.text}" for problem in found]
    return tuple(entry for entry in entries if entry is not BAD)


def _wrong_seed(seed: int) -> list[str]:
    try:
        RunConfig(seed=seed)
    except SettingsError as error:
        return [text for _, text in error.problems]
    return []


def _read_settings(
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


def _jobs(
    block: _Block,
    alg: str,
    env: str,
    blocks: list[_Block],
    settings: list[str],
    evaluation: dict[str, Any],
    problems: list[str],
) -> Iterable[tuple[str, Job]]:
    """A method's jobs on one environment, each with its place in the file."""
    place = f"{block.place} ({alg} on {env})"
    texts = [*_texts(block.settings), *settings]
    test = ["evaluate=True", "checkpoint_path=the run", *_texts(evaluation)]
    try:
        config = _resolved(alg, env, texts)
    except ConfigError as error:
        problems += _placed(error, place, f"{block.place}: with", block.settings, settings)
        return
    try:
        _resolved(alg, env, [*texts, *test])
    except ConfigError as error:
        problems += _placed(error, place, f"{block.label}: evaluate", evaluation, [])
    has_name = any(text.partition("=")[0] == "name" for text in texts)
    if not has_name:
        siblings = [b for b in blocks if alg in b.algs and env in b.envs]
        name = _name_of(block, siblings)
        texts += [f"name={name}"] if name else []
        config = dataclasses.replace(config, name=name)
    for seed in block.seeds:
        job_config = dataclasses.replace(config, seed=seed)
        yield place, Job(alg, env, tuple(texts), job_config, has_name)


def _resolved(alg: str, env: str, texts: list[str]) -> RunConfig:
    config = load_config(alg, env, texts)
    check_combination(config)
    return config


def _placed(
    error: ConfigError, job: str, place: str, own: dict[str, Any], settings: list[str]
) -> Iterable[str]:
    """The problems of a job, each with the place that causes it.

    Args:
        error: the problems; all overrides are the command line's in them.
        job: the block, the method and the environment, for problems of their files.
        place: where `own` stands in the suite's file.
        own: overrides that the suite's file gives.
        settings: those of the suite's command line, which go before them.
    """
    given = {text.partition("=")[0] for text in settings}
    for problem in error.problems:
        label, _, rest = problem.partition(": ")
        path = rest.partition(":")[0]
        if label != COMMAND_LINE:
            yield f"{job}: {problem}"
        elif any(_overlap(path, key) for key in own.keys() - given):
            yield f"{place}: {rest}"
        else:
            yield problem


def _overlap(a: str, b: str) -> bool:
    """Whether one of two dotted keys is the other, or lies below it."""
    return a == b or a.startswith(f"{b}.") or b.startswith(f"{a}.")


def _name_of(block: _Block, siblings: list[_Block]) -> str:
    """A name from the block's settings that are not those of all blocks of its method and task."""
    differing = {
        key: value
        for key, value in block.settings.items()
        if key not in BESIDE_LEARNING
        and any(key not in other.settings or other.settings[key] != value for other in siblings)
    }
    name = re.sub(r"[^\w.,=+-]+", "-", ",".join(_texts(differing))).strip("-.")
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 3] + "..."


def _duplicates(jobs: list[tuple[str, Job]]) -> Iterable[str]:
    """A sentence for each run that a suite asks for twice."""
    seen: dict[str, str] = {}
    for place, job in jobs:
        named = to_dict(job.config)
        for key in BESIDE_LEARNING if job.has_given_name else (*BESIDE_LEARNING, "name"):
            named.pop(key)
        identity = json.dumps([named, job.config.results_dir])
        if identity in seen:
            yield (
                f"{place}: the run with seed {job.config.seed} is the same as in {seen[identity]}. "
                f"Leave one of the two out, or change a setting."
            )
        seen.setdefault(identity, place)


def _unknown(data: dict[str, Any], known: tuple[str, ...], place: str) -> Iterable[str]:
    for key in data:
        if key not in known:
            hint = did_you_mean(key, list(known))
            yield f"{place}: there is no key '{key}' in it.{hint} Keys: {', '.join(known)}."


def _texts(settings: dict[str, Any]) -> list[str]:
    """Settings as they are written after `with`."""
    return [f"{key}={_text(value)}" for key, value in settings.items()]


def _text(value: Any) -> str:
    """A value as YAML on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("...\n").strip()
