"""A suite's file: what it asks for, all of it checked, as a list of jobs.

A suite is a YAML file with `runs`, a list of blocks, or `include`, names of other suites, and
optionally `evaluate`, settings of the evaluation after each run, `also_evaluate`, further ones,
`budgets`, settings for shorter or longer runs, `report`, what is drawn at the end, and `search`,
settings to look for. A block runs every one of its `algs` on every one of its `envs` with every one
of its `seeds`, under the settings in its `with` and every combination of those in its `grid`.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from config.combinations import check_combination
from config.layers import COMMAND_LINE
from config.load import load_config
from config.plain_data import to_dict
from config.schema import BESIDE_LEARNING, RunConfig
from config.search_path import require_folders
from config.search_space import Search, read_search
from config.suite_blocks import GIVEN, Block, folder_name, name_of, overlap, texts
from config.suite_parts import Part, read_part
from config.suite_report import Report
from utils.errors import ConfigError


@dataclass(frozen=True)
class Job:
    """One run of a suite.

    Attributes:
        alg: what `--config` gets.
        env: what `--env-config` gets.
        settings: what follows `with`, save the seed; the name of the run included.
        config: the complete configuration.
        has_given_name: the run's name was given rather than made from what differs.
        evaluations: settings of each evaluation after it.
    """

    alg: str
    env: str
    settings: tuple[str, ...]
    config: RunConfig
    has_given_name: bool
    evaluations: tuple[tuple[str, ...], ...] = ()

    @property
    def title(self) -> str:
        """How the job is called on the console."""
        return " ".join([self.alg, self.env, f"seed={self.config.seed}", *self.settings])

    @property
    def label(self) -> str:
        """How the job is called where there is little room."""
        parts = (self.alg, self.env, self.config.name, f"seed={self.config.seed}")
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Study:
    """A method on a task, whose settings are to be searched.

    Attributes:
        alg: what `--config` gets.
        env: what `--env-config` gets.
        settings: what follows `with`, save the seed and the settings that are searched.
        seeds: over which a trial's score is the mean.
        evaluations: settings of each evaluation after a run.
    """

    alg: str
    env: str
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    evaluations: tuple[tuple[str, ...], ...] = ()

    def jobs(self, chosen: dict[str, Any], seeds: tuple[int, ...]) -> list[Job]:
        """The runs under chosen settings, named after these.

        Raises:
            ConfigError: if the settings do not fit together.
        """
        own = [*self.settings, *texts(chosen)]
        config = _resolved(self.alg, self.env, own)
        name = folder_name(chosen)
        return _jobs(self.alg, self.env, own, config, name, seeds, self.evaluations)


@dataclass(frozen=True)
class Suite:
    """What a suite asks for.

    Attributes:
        jobs: its runs.
        search: what is searched; None if nothing is.
        studies: the methods and tasks for which it is searched.
        report: what is made at the end; None: nothing.
        banner: what every figure of the report says of these runs; empty: nothing.
    """

    jobs: list[Job]
    search: Search | None
    studies: list[Study]
    report: Report | None
    banner: str


def read_suite(name: str, settings: list[str], budget: str | None = None) -> Suite:
    """Read a suite and check every method, task and setting of it.

    Args:
        name: stem of a file in `suites/` of a folder of YAML files, or a path to a YAML file.
        settings: the arguments after `with` on the command line; they override a block's.
        budget: the name of one of the file's budgets; None: none is asked for.

    Raises:
        ConfigError: with every problem found, each with its place in the file.
    """
    require_folders()
    problems: list[str] = []
    part = read_part(name, budget, problems)
    blocks, search = part.blocks, None
    if "search" in part.data:
        place = f"{part.label}: search"
        search = read_search(part.data["search"], place, blocks, settings, problems)
    given = [text.partition("=")[0] for text in settings]
    problems += [f"{COMMAND_LINE}: {key}: {GIVEN[key]}." for key in given if key in GIVEN]
    jobs, studies = list[_Placed](), []
    for block in blocks:
        for env in block.envs:
            evaluations = tuple(tuple(texts(e.settings)) for e in part.evaluations(env))
            for alg in block.algs:
                config = _check(block, alg, env, settings, part, search, problems)
                own = [*texts(block.settings), *settings]
                studies.append(Study(alg, env, tuple(own), block.seeds, evaluations))
                if config is not None:
                    siblings = [b for b in blocks if alg in b.algs and env in b.envs]
                    name = name_of(block, siblings)
                    place = f"{block.place} ({alg} on {env})"
                    made = _jobs(alg, env, own, config, name, block.seeds, evaluations)
                    jobs += [_Placed(job, place, block.label) for job in made]
    unique = _unique(jobs, problems)
    problems += _without_run(part, unique)
    problems += _not_evaluated(part, unique)
    if problems:
        raise ConfigError(dict.fromkeys(problems))
    return Suite(unique, search, studies, part.report, part.banner)


class _Placed(NamedTuple):
    """A job, the place in the file that asks for it, and the file."""

    job: Job
    place: str
    label: str


def _jobs(
    alg: str,
    env: str,
    own: list[str],
    config: RunConfig,
    name: str,
    seeds: Iterable[int],
    evaluations: tuple[tuple[str, ...], ...],
) -> list[Job]:
    """A job for each seed.

    Args:
        alg: the method.
        env: the task.
        own: what follows `with`.
        config: the configuration that follows from these.
        name: of the runs, unless one is given among these settings.
        seeds: the seeds.
        evaluations: settings of each evaluation after a run.
    """
    has_name = any(text.partition("=")[0] == "name" for text in own)
    if name and not has_name:
        own, config = [*own, f"name={name}"], dataclasses.replace(config, name=name)
    return [
        Job(alg, env, tuple(own), dataclasses.replace(config, seed=seed), has_name, evaluations)
        for seed in seeds
    ]


def _resolved(alg: str, env: str, overrides: list[str]) -> RunConfig:
    config = load_config(alg, env, overrides)
    check_combination(config)
    return config


def _check(
    block: Block,
    alg: str,
    env: str,
    settings: list[str],
    part: Part,
    search: Search | None,
    problems: list[str],
) -> RunConfig | None:
    """The configuration of a method on a task; None, and further `problems`, if it is wrong.

    Every problem names the place that causes it.
    """
    known, job = len(problems), f"{block.place} ({alg} on {env})"
    given = {text.partition("=")[0] for text in settings}
    places = {key: place for key, place in block.places.items() if key not in given}
    own = [*texts(block.settings), *settings]
    try:
        config = _resolved(alg, env, own)
    except ConfigError as error:
        problems += _placed(error, job, places)
        return None
    further = []
    for evaluation in part.evaluations(env):
        test = ["evaluate=True", "checkpoint_path=the run", *texts(evaluation.settings)]
        further.append((test, evaluation.places))
    for key, value in search.extremes() if search else ():
        further.append((texts({key: value}), {key: f"{part.label}: search: space"}))
    for more, places in further:
        try:
            _resolved(alg, env, [*own, *more])
        except ConfigError as error:
            problems += _placed(error, job, places)
    return config if len(problems) == known else None


def _placed(error: ConfigError, job: str, places: dict[str, str]) -> Iterable[str]:
    """The problems of a job, each with the place that causes it.

    Args:
        error: the problems; all overrides are the command line's in them.
        job: the block, the method and the environment, for problems of their files.
        places: {key that the suite's file gives: where it stands}.
    """
    for problem in error.problems:
        label, _, rest = problem.partition(": ")
        path = rest.partition(":")[0]
        found = [place for key, place in places.items() if overlap(path, key)]
        if label != COMMAND_LINE:
            yield f"{job}: {problem}"
        else:
            yield f"{found[0]}: {rest}" if found else problem


def _unique(jobs: list[_Placed], problems: list[str]) -> list[Job]:
    """The jobs without those that another file asks for, too; asked for twice in one is wrong."""
    seen: dict[str, _Placed] = {}
    for placed in jobs:
        job = placed.job
        named = to_dict(job.config)
        for key in BESIDE_LEARNING if job.has_given_name else (*BESIDE_LEARNING, "name"):
            named.pop(key, None)  # some are those of older records
        first = seen.setdefault(json.dumps([named, job.config.results_dir]), placed)
        if first is not placed and first.label == placed.label:
            problems.append(
                f"{placed.place}: the run with seed {job.config.seed} is the same as in "
                f"{first.place}. Leave one of the two out, or change a setting."
            )
    return [placed.job for placed in seen.values()]


def _without_run(part: Part, jobs: list[Job]) -> Iterable[str]:
    """A sentence for each method and task of the report's attention maps that has no run."""
    run = {(job.alg, job.env) for job in jobs}
    for alg, env in part.report.attention if part.report else ():
        if (alg, env) not in run:
            yield f"{part.label}: report: attention: no run of {alg} on {env} is asked for."


def _not_evaluated(part: Part, jobs: list[Job]) -> Iterable[str]:
    """A sentence for each task of `also_evaluate` without a run."""
    run = {job.env for job in jobs}
    for env in dict.fromkeys(env for envs, _ in part.also for env in envs):
        if jobs and env not in run:
            yield f"{part.label}: also_evaluate: no run on {env} is asked for."
