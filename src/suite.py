"""Runs a suite: several methods, environments and seeds, each through `main.py`, some at a time.

python src/suite.py topk --parallel 2
python src/suite.py topk --dry-run
python src/suite.py topk --index 3
python src/suite.py topk --engine ray --address auto with results_dir=/shared/results

A suite is a file in `config/suites`, or any YAML file of that form; all of it is checked before the
first run starts. A run that is finished under the same settings is not repeated, one that was
stopped goes on, and one that lacks its evaluation is evaluated. So a suite can be started again.
"""

import argparse
import sys
from contextlib import closing

from config.search_path import available
from config.suite_file import Job, read_suite
from engines.engine import OnDemand, add_arguments, open_engine, read_options
from records.run_dir import results_root
from suites.jobs import next_step
from suites.schedule import Schedule
from utils.command import guarded
from utils.errors import UserError
from utils.interruption import StopSignals
from utils.invocation import as_typed


def settings_of(given: argparse.Namespace, program: str) -> list[str]:
    """The settings on the command line, which come after `with`."""
    if given.settings and given.settings[0] != "with":
        command = as_typed(f"python src/{program}.py {given.suite} with key=value")
        raise UserError(
            f"'{given.settings[0]}' is not understood. Settings come after `with`: `{command}`."
        )
    settings: list[str] = given.settings[1:]
    return settings


def engine_of(given: argparse.Namespace, jobs: list[Job]) -> OnDemand:
    """The engine that the command line names; it starts with the first command."""
    options = read_options(given)
    folders = list(dict.fromkeys(results_root(job.config.results_dir).absolute() for job in jobs))
    return OnDemand(lambda: open_engine(given.engine, options, folders))


def run(given: argparse.Namespace, signals: StopSignals) -> int:
    """Check the suite that the command line names, then run or list it."""
    suite = read_suite(given.suite, settings_of(given, "suite"))
    numbered = list(enumerate(suite.jobs, 1))
    if given.index is not None:
        numbered = numbered[given.index - 1 : given.index] if given.index > 0 else []
        if not numbered:
            raise UserError(
                f"--index {given.index}: the suite has runs 1 to {len(suite.jobs)}; --dry-run "
                f"lists them."
            )
    jobs = [job for _, job in numbered]
    engine = engine_of(given, jobs)
    if given.dry_run:
        for number, job in numbered:
            print(f"{number:>4} {next_step(job, suite.evaluation)[0]:<9} {job.title}")
        return 0
    parallel = given.parallel or (1 if given.engine == "local" else None)
    with closing(engine):
        schedule = Schedule(jobs, suite.evaluation, engine, parallel, given.retries, signals)
        return schedule.run()


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join(available("suites"))
    parser.add_argument("suite", help=f"one of {names}, or a YAML file")
    parser.add_argument("--dry-run", action="store_true", help="only list the runs and their step")
    parser.add_argument("--index", type=int, help="run only this one, by its number in --dry-run")
    add_arguments(parser)
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args(argv)
    return guarded(lambda signals: run(given, signals))


if __name__ == "__main__":
    sys.exit(main())
