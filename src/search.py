"""Searches settings: trials that Optuna proposes, each scored by the mean over a suite's seeds.

python src/search.py my_suite.yaml --parallel 3

The suite's file says under `search` which settings are searched. Every method and task of it is a
separate study in the results folder, so that a search that was stopped can continue. The trial
with the best score is run again with fresh seeds: the best of many scores is too high by chance.
"""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from analysis.results import Curve, RunRecord, last_values, read_run
from analysis.tables import default_metric
from config.search_space import Search
from config.suite_blocks import texts
from config.suite_file import Job, Study, Suite, read_suite
from engines.engine import Engine, add_arguments
from records.run_dir import locked, results_root
from suite import engine_of, settings_of
from suites.schedule import Schedule
from suites.trials import Pruning, Trials
from utils.command import guarded
from utils.errors import ConfigError, UserError
from utils.interruption import StopSignals
from utils.invocation import as_typed

LOOK_SECONDS = 2.0  # between looks at the tests of a trial under way


class Searcher:
    """Runs the trials of a suite's studies.

    Args:
        suite: what is searched.
        search: the suite's search.
        engine: starts the runs.
        given: the command line.
        signals: stop the search.
    """

    def __init__(
        self,
        suite: Suite,
        search: Search,
        engine: Engine,
        given: argparse.Namespace,
        signals: StopSignals,
    ):
        self.suite, self.search, self.engine = suite, search, engine
        self.given, self.signals = given, signals

    def study(self, study: Study, trials: Trials) -> None:
        """Run the trials of a study, then its best one with fresh seeds; prints both scores."""
        while (trial := trials.next()) is not None:
            chosen = trials.settings(trial)
            print(f"trial {trial.number + 1} of {self.search.trials}: {_shown(chosen)}", flush=True)
            self._trial(study, trials, trial)
        best = trials.best()
        chosen = trials.settings(best)
        print(f"best of {self.search.trials} trials, again with fresh seeds: {_shown(chosen)}")
        schedule = self._schedule(study.jobs(chosen, self.search.fresh_seeds))
        if schedule.run():
            raise UserError("A run with fresh seeds failed; start the search again.")
        print(
            f"{study.alg} on {study.env}: {_shown(chosen)}\n"
            f"  {len(study.seeds)} seeds of the search  {best.value:.4f} (the best of "
            f"{self.search.trials}, so too high by chance)\n"
            f"  {len(self.search.fresh_seeds)} fresh seeds          {self._score(schedule):.4f}",
            flush=True,
        )

    def _trial(self, study: Study, trials: Trials, trial: Any) -> None:
        """Run a trial to its end, or until it is clearly one of the weaker ones."""
        try:
            jobs = study.jobs(trials.settings(trial), study.seeds)
        except ConfigError as error:  # settings that do not fit together
            print(f"  failed: {error}")
            trials.tell(trial, None)
            return
        pruning = Pruning(trial)
        schedule = self._schedule(jobs)
        seen = time.monotonic()

        def is_weak() -> bool:
            nonlocal seen
            if time.monotonic() - seen >= LOOK_SECONDS:
                seen = time.monotonic()
                pruning.see(self._curves(schedule))
            return pruning.is_weak

        schedule.is_enough = is_weak
        failed = schedule.run()
        pruning.see(self._curves(schedule))
        if failed:
            trials.tell(trial, None)
        elif all(entry.state == "done" for entry in schedule.entries):
            score = self._score(schedule)
            trials.tell(trial, score)
            print(f"  score {score:.4f}", flush=True)
        else:
            trials.prune(trial)
            print("  stopped: its tests are below the median of the trials before", flush=True)

    def _schedule(self, jobs: list[Job]) -> Schedule:
        parallel = self.given.parallel or (1 if self.given.engine == "local" else None)
        retries = self.given.retries
        return Schedule(jobs, self.engine, parallel, retries, self.signals)

    def _score(self, schedule: Schedule) -> float:
        """The mean over runs of the metric, of their evaluation if there is one."""
        records = [read_run(entry.run_dir) for entry in schedule.entries if entry.run_dir]
        return float(last_values(records, self._metric(records)).mean())

    def _curves(self, schedule: Schedule) -> list[Curve]:
        """The metric in the greedy tests of each run so far; none if a run has no test yet."""
        records = []
        for entry in schedule.entries:
            entry.progress()  # finds the run's folder
            if entry.run_dir is None or not (entry.run_dir / "metrics.csv").is_file():
                return []
            records.append(read_run(entry.run_dir))
        metric = self._metric(records)
        curves = [record.metrics[metric] for record in records if metric in record.metrics]
        return curves if len(curves) == len(records) else []

    def _metric(self, records: list[RunRecord]) -> str:
        return self.search.metric or default_metric(records)


def run(given: argparse.Namespace, signals: StopSignals) -> int:
    """Search everything that the suite asks for."""
    suite = read_suite(given.suite, settings_of(given, "search"), given.budget)
    if suite.search is None:
        raise UserError(
            f"{given.suite} does not say what to search. Write `search` with trials, fresh_seeds "
            f"and space into it (docs/guide/suites.md)."
        )
    root = results_root(suite.jobs[0].config.results_dir)
    folder = root / "search" / Path(given.suite).stem
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder), closing(engine_of(given, suite.jobs)) as engine:
        searcher = Searcher(suite, suite.search, engine, given, signals)
        for study in suite.studies:
            searcher.study(study, Trials(suite.search, study, folder))
    return 0


def _shown(chosen: dict[str, Any]) -> str:
    return " ".join(texts(chosen))


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", help="a suite whose file has `search`: its name, or a YAML file")
    parser.add_argument("--budget", help="one of the budgets of the suite's file")
    add_arguments(parser)
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args(argv)
    return guarded(lambda signals: run(given, signals))


if __name__ == "__main__":
    sys.exit(main())
