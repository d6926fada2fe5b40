"""Training a run in its own folder, with a record of Sacred."""

import dataclasses
import logging
import subprocess
import sys
import warnings
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from config.history import changes_with
from config.plain_data import to_dict
from config.schema import RunConfig
from mongodb.recording import checked_server, mirrored
from resume import find_run, place_of
from run import Run
from utils.interruption import StopSignals
from utils.invocation import DISTRIBUTION, IS_INSTALLED, REPOSITORY, SOURCE, record_command
from utils.run_dir import create_run_dir, locked, remove_unfinished


def git_answers() -> bool:
    """Whether git knows the commit that is run; Sacred fails where it is missing or refuses."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    try:
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
    except OSError:
        pass
    print("git does not say which commit this is, so no record will tell.", file=sys.stderr)
    return False


def train(config: RunConfig, signals: StopSignals, mongo: str | None, words: list[str]) -> None:
    """Train in the run's own folder, in which no other process trains meanwhile.

    Args:
        config: the complete configuration.
        signals: those that stop the run.
        mongo: URL given to `--mongo`.
        words: the command line, recorded in the run's folder.
    """
    with ExitStack() as held:
        choice = find_run(config, held)
        if choice is not None and choice.finished:
            print(choice.finished)
            return
        config = dataclasses.replace(config, resume=str(choice.checkpoint) if choice else "")
        server = checked_server(mongo, config.mongo_url, config.mongo_db)
        run = Run(config)  # refuses what cannot work, before anything is written
        signals.patient = True
        if choice is None:
            run_dir = create_run_dir(*place_of(config), config.name, config.seed)
            held.enter_context(locked(run_dir))
        else:
            run_dir = choice.run_dir
            remove_unfinished(run_dir)
        record_command(run_dir, words)
        with mirrored(server, run_dir):
            run_with_sacred(run, run_dir, signals)


def run_with_sacred(run: Run, run_dir: Path, signals: StopSignals) -> None:
    """Train, with a record of Sacred in the run's folder."""
    config = run.config
    name = f"{config.alg_name}-{config.env_name}"
    # A repository around an installed package is not that of its code.
    code, has_commit = (SOURCE, False) if IS_INSTALLED else (REPOSITORY, git_answers())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Sacred 0.8.7 imports pkg_resources, which warns
        from sacred import SETTINGS, Experiment

        from utils.disk_record import DiskRecord

        SETTINGS.CONFIG.ENFORCE_KEYS_MONGO_COMPATIBLE = False  # mongodb/documents.py changes them
        SETTINGS.CAPTURE_MODE = "no"  # rich owns the console; metrics.csv has the numbers
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)  # "Running command ...", and the like
        logger.addFilter(is_not_stop)
        experiment = Experiment(name, base_dir=str(code), save_git_info=has_commit)
        if IS_INSTALLED:
            experiment.add_package_dependency(DISTRIBUTION, version(DISTRIBUTION))
    record = DiskRecord(run_dir / "sacred")
    experiment.observers.append(record)
    experiment.add_config(to_dict(config))

    @experiment.main
    def experiment_main(_run: Any) -> dict[str, float]:
        def scalar(key: str, value: float, env_steps: int) -> None:
            record.require_complete()
            _run.log_scalar(key, value, env_steps)

        changed = changes_with(run_dir, config, run.counters.env_steps)
        if changed:
            _run.info["changes"] = [change._asdict() for change in changed]
        return run.train(run_dir, scalar, signals)

    experiment.run()
    record.require_complete()


def is_not_stop(record: logging.LogRecord) -> bool:
    """False for Sacred's warning "Aborted after ...": a stopped run says itself what it did."""
    return not record.getMessage().startswith("Aborted after")
