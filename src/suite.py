"""Runs a suite: several methods, environments and seeds, each through `main.py`, some at a time.

python src/suite.py topk --parallel 2
python src/suite.py topk --dry-run
python src/suite.py topk --index 3
python src/suite.py paper --budget tiny
python src/suite.py paper_particles --budget small --only mpe_tag --only mpe_push
python src/suite.py --list
python src/suite.py topk --engine ray --address auto with results_dir=/shared/results

A suite is a file in `config/suites`, or any YAML file of that form; all of it is checked before the
first run starts. A run that is finished under the same settings is not repeated, one that was
stopped continues, and one that lacks its evaluation is evaluated. So a suite can be started again.
At the end, the report that its file asks for is made of the finished runs.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path

from config.layers import read_file
from config.search_path import available, find_yaml
from config.suite_file import Job, Suite, read_suite
from engines.engine import OnDemand, add_arguments, open_engine, read_options
from records.run_dir import results_root
from suites.jobs import next_step
from suites.reports import contents, make_report, report_folder
from suites.schedule import Schedule
from utils.command import guarded, settings_after_with
from utils.errors import UserError
from utils.interruption import StopSignals
from utils.invocation import as_typed


def settings_of(given: argparse.Namespace, program: str) -> list[str]:
    """The settings on the command line, which come after `with`."""
    example = as_typed(f"python src/{program}.py {given.suite} with key=value")
    return settings_after_with(given.settings, example)


def engine_of(given: argparse.Namespace, jobs: list[Job]) -> OnDemand:
    """The engine that the command line names; it starts with the first command."""
    options = read_options(given)
    folders = list(dict.fromkeys(results_root(job.config.results_dir).absolute() for job in jobs))
    return OnDemand(lambda: open_engine(given.engine, options, folders))


def select(numbered: list[tuple[int, Job]], only: list[str]) -> list[tuple[int, Job]]:
    """The runs of the named methods on the named environments; where none is named, of all.

    Args:
        numbered: all runs of a suite, with their numbers.
        only: names of methods and environments.

    Raises:
        UserError: if a name is neither in the suite, or no run is left.
    """
    algs, envs = ({getattr(job, kind) for _, job in numbered} for kind in ("alg", "env"))
    for name in only:
        if name not in algs | envs:
            raise UserError(
                f"--only {name}: the suite has no such method or environment. Its methods: "
                f"{', '.join(sorted(algs))}. Its environments: {', '.join(sorted(envs))}."
            )
    wanted_algs, wanted_envs = (names & set(only) or names for names in (algs, envs))
    chosen = [(n, job) for n, job in numbered if job.alg in wanted_algs and job.env in wanted_envs]
    if not chosen:
        raise UserError(f"--only {' --only '.join(only)}: the suite has no run of these together.")
    return chosen


def dry_run(suite: Suite, numbered: list[tuple[int, Job]], folder: Path) -> None:
    """List the runs and their next step, how long they are, and what the report will hold."""
    for number, job in numbered:
        print(f"{number:>4} {next_step(job)[0].what:<9} {job.title}")
    if suite.report is not None:
        steps = sum(job.config.t_max for _, job in numbered)
        print(f"runs   {len(numbered)}, together {steps:,} environment steps")
        print(f"report {folder}: {', '.join(contents(suite.report))}")
    if suite.banner:
        print(f"banner {suite.banner}")


def run(given: argparse.Namespace, signals: StopSignals) -> int:
    """Check the suite that the command line names, then run or list it."""
    if given.list or given.suite is None:
        return list_suites(given)
    suite = read_suite(given.suite, settings_of(given, "suite"), given.budget)
    numbered = list(enumerate(suite.jobs, 1))
    if given.index is not None:
        numbered = numbered[given.index - 1 : given.index] if given.index > 0 else []
        if not numbered:
            raise UserError(
                f"--index {given.index}: the suite has runs 1 to {len(suite.jobs)}; --dry-run "
                f"lists them."
            )
    if given.only:
        numbered = select(numbered, given.only)
    jobs = [job for _, job in numbered]
    engine = engine_of(given, jobs)
    root = results_root(jobs[0].config.results_dir)
    folder = report_folder(root, given.suite, given.budget, given.only)
    if given.dry_run:
        dry_run(suite, numbered, folder)
        return 0
    parallel = given.parallel or (1 if given.engine == "local" else None)
    with closing(engine):
        schedule = Schedule(jobs, engine, parallel, given.retries, signals)
        code = schedule.run()
    runs = [(entry.job, entry.run_dir) for entry in schedule.entries if entry.state == "done"]
    done = [(job, path) for job, path in runs if path is not None]
    if suite.report is None or given.index is not None or not done:
        return code
    signals.patient = False
    return max(code, make_report(suite.report, suite.banner, done, folder))


def list_suites(given: argparse.Namespace) -> int:
    """Print the name, the budgets and the first line of each suite.

    Raises:
        UserError: if neither a suite nor the list is asked for.
    """
    if not given.list:
        raise UserError("Name a suite; `--list` shows what there is.")
    for name in available("suites"):
        label, path = find_yaml(name, "suites", "suite")
        first = path.read_text(encoding="utf-8").partition("\n")[0]
        budgets = read_file(path, label, []).data.get("budgets") or {}
        print(f"{name:<22} {first.removeprefix('#').strip()}")
        if budgets:
            print(f"{'':<22} --budget {', '.join(budgets)}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(available("suites"))
    parser.add_argument("suite", nargs="?", help=f"one of {names}, or a YAML file")
    parser.add_argument(
        "--list", action="store_true", help="only list the suites and their budgets"
    )
    parser.add_argument("--dry-run", action="store_true", help="only list the runs and their step")
    parser.add_argument("--index", type=int, help="run only this one, by its number in --dry-run")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only runs of this method or on this environment; repeatable",
    )
    parser.add_argument("--budget", help="one of the budgets of the suite's file")
    add_arguments(parser)
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args(argv)
    return guarded(lambda signals: run(given, signals))


if __name__ == "__main__":
    sys.exit(main())
