"""Runs a suite: several methods, environments and seeds, each through `main.py`, some at a time.

python src/suite.py topk --parallel 2
python src/suite.py topk --dry-run
python src/suite.py topk --parallel 2 with results_dir=/scratch/results

A suite is a file in `config/suites`. A run that is finished already (its latest checkpoint has
reached t_max under the same results folder) is left alone, and one that was stopped goes on, so
that a suite can be started again.
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from analysis.results import find_runs
from utils.pipes import tolerate_closed_pipe
from utils.run_dir import results_root

SOURCE = Path(__file__).resolve().parent
SUITES = SOURCE / "config" / "suites"


@dataclass(frozen=True)
class Job:
    """One run of a suite."""

    alg: str
    env: str
    seed: int
    settings: tuple[str, ...]

    @property
    def title(self) -> str:
        """How the job is called on the console."""
        return " ".join([self.alg, self.env, f"seed={self.seed}", *self.settings])


def read_suite(path: Path, settings: list[str]) -> tuple[list[Job], list[str]]:
    """The jobs of a suite, and the settings of the evaluation after each (empty: none)."""
    suite = yaml.safe_load(path.read_text())
    jobs = [
        Job(alg, env, seed, (*(f"{k}={v}" for k, v in block.get("with", {}).items()), *settings))
        for block in suite["runs"]
        for seed in block["seeds"]
        for env in block["envs"]
        for alg in block["algs"]
    ]
    return jobs, [f"{k}={v}" for k, v in suite.get("evaluate", {}).items()]


def finished(job: Job, results: Path) -> bool:
    """Whether a complete run of this job stands in the results folder."""
    name = dict(s.split("=", 1) for s in job.settings).get("name", "")
    folder = results / job.env / job.alg
    try:
        runs = find_runs(folder)
    except FileNotFoundError:
        return False
    return any(
        run.config["seed"] == job.seed
        and run.config["name"] == name
        and run.env_steps >= run.config["t_max"]
        for run in runs
    )


def play(job: Job, results: Path, evaluation: list[str]) -> str:
    """Train, then evaluate; returns a line for the console."""
    if finished(job, results):
        return f"had   {job.title}"
    env = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    main = [sys.executable, str(SOURCE / "main.py")]
    train = [*main, f"--config={job.alg}", f"--env-config={job.env}", "with", f"seed={job.seed}"]
    train += [f"results_dir={results}", "show_progress=False", "resume=auto", *job.settings]
    done = subprocess.run(train, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        return f"FAILED {job.title}\n{done.stderr.strip()}"
    folder = done.stdout.strip().split("Everything is in ")[-1].split("\n")[0]
    if evaluation:
        test = [*main, "with", "evaluate=True", f"checkpoint_path={folder}", *evaluation]
        done = subprocess.run(test, capture_output=True, text=True, env=env, check=False)
        if done.returncode != 0:
            return f"FAILED to evaluate {folder}\n{done.stderr.strip()}"
    return f"done  {job.title} -> {folder}"


def main() -> None:
    """Run the suite named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = sorted(p.stem for p in SUITES.glob("*.yaml"))
    parser.add_argument("suite", help=f"one of {', '.join(names)}, or a YAML file")
    parser.add_argument("--parallel", type=int, default=1, help="runs at the same time")
    parser.add_argument("--dry-run", action="store_true", help="only list the runs")
    parser.add_argument("settings", nargs="*", metavar="with key=value")
    given = parser.parse_intermixed_args()
    path = Path(given.suite) if given.suite.endswith(".yaml") else SUITES / f"{given.suite}.yaml"
    if not path.is_file():
        raise SystemExit(
            f"error: there is no suite '{given.suite}'. Available: {', '.join(names)}."
        )
    settings = [s for s in given.settings if s != "with"]
    results = results_root(dict(s.split("=", 1) for s in settings).get("results_dir", ""))
    settings = [s for s in settings if not s.startswith("results_dir=")]
    jobs, evaluation = read_suite(path, settings)
    if given.dry_run:
        print("\n".join(job.title for job in jobs))
        return
    failed = 0
    with ThreadPoolExecutor(given.parallel) as pool:
        for line in pool.map(lambda job: play(job, results, evaluation), jobs):
            failed += line.startswith("FAILED")
            print(line, flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    sys.exit(tolerate_closed_pipe(main))
