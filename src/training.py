"""Trains a run in its folder."""

import dataclasses
from contextlib import ExitStack

from config.schema import RunConfig
from records.mongodb.recording import checked_server, mirrored
from records.run_dir import create_run_dir, locked, remove_unfinished
from resume import find_run, place_of
from run import Run
from utils.interruption import StopSignals
from utils.invocation import record_command
from utils.seeding import seed_libraries


def train(config: RunConfig, signals: StopSignals, mongo: str | None, words: list[str]) -> None:
    """Train in the run's folder, in which no other process trains at the same time.

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
        server = checked_server(mongo, config.mongo_url, config.mongo_db, config.loggers)
        run = Run(config)  # reports mistakes before anything is written
        signals.patient = True
        if choice is None:
            run_dir = create_run_dir(*place_of(config), config.name, config.seed)
            held.enter_context(locked(run_dir))
        else:
            run_dir = choice.run_dir
            remove_unfinished(run_dir)
        record_command(run_dir, words)
        seed_libraries(config.seed)
        with mirrored(server, run_dir):
            run.train(run_dir, signals)
