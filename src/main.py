"""Command line -> resolved configuration -> Sacred -> `run.py`.

python src/main.py --config=agp --env-config=topk with seed=3 env_args.n_agents=8
"""

import dataclasses
import logging
import subprocess
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.cli import Command, parse
from config.schema import RunConfig
from utils.errors import ConfigError, UserError
from utils.interruption import Interrupted, StopSignals
from utils.mongo_url import hide_password

if TYPE_CHECKING:
    from run import Run

REPOSITORY = Path(__file__).resolve().parents[1]


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code.

    It is 2 for a mistake that the user can mend, 128 plus its number for a signal.
    """
    with StopSignals() as signals:
        return guarded(sys.argv[1:] if argv is None else argv, signals)


def guarded(argv: list[str], signals: StopSignals) -> int:
    """The exit code of a command; what stops it is told in words."""
    try:
        return dispatch(parse(argv), signals)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except ConfigError as error:
        noun = "problem" if len(error.problems) == 1 else "problems"
        lines = "\n".join(f"  * {problem}" for problem in error.problems)
        print(
            f"error: {len(error.problems)} {noun} with the configuration:\n{lines}", file=sys.stderr
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except SystemExit as stop:  # nothing here calls sys.exit while a command runs
        print(
            f"error: an environment or another component called sys.exit({stop.code!r}), which "
            f"would have ended the program without a word. It must raise an error instead.",
            file=sys.stderr,
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).split("\n")[0][:200] or "MemoryError"
        print(
            f"error: there is not enough memory ({reason}). Lower batch_size_run, "
            f"test_batch_size_run, batch_size or buffer_size, or choose another device.",
            file=sys.stderr,
        )
    return 2


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on the host or on the device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    texts = ("can't allocate memory", "Storage size calculation overflowed")
    return any(text in str(error) for text in texts)


def dispatch(command: Command, signals: StopSignals) -> int:
    """Do what the command line asks for."""
    from config import describe

    if command.action == "help":
        print(describe.help_text())
    elif command.action == "list":
        print(describe.list_text())
    elif command.sync_mongo:
        from config.load import recorded_settings
        from mongodb.recording import sync_run

        run_dir = Path(command.sync_mongo)
        print(sync_run(run_dir, command.mongo, recorded_settings(run_dir)))
    else:
        config = resolve(command)
        if command.action == "print_config":
            import yaml

            from config.load import to_dict

            print(yaml.safe_dump(to_dict(config), sort_keys=False), end="")
        elif command.action == "check_env":
            from build import seat_opponent
            from envs._check_report import report

            text, passes = report(
                config.env,
                config.env_args,
                lambda env: seat_opponent(env, config),
                config.reward_aggregation,
            )
            print(text)
            return 0 if passes else 1
        elif config.evaluate:
            if command.mongo:
                raise UserError(
                    "--mongo is for training; an evaluation writes evaluations.csv in the run's "
                    "folder. Leave out --mongo."
                )
            from evaluate import evaluate, film

            print(evaluate(config), flush=True)
            if config.render != "none":
                print(f"  film: {film(config)}")
        else:
            train(config, signals, command.mongo)
    return 0


def resolve(command: Command) -> RunConfig:
    """The complete, checked configuration; a run that exists already brings its own."""
    from config.combinations import check_combination
    from config.load import load_config, load_recorded

    given = dict(text.split("=", 1) for text in command.overrides if "=" in text)
    if given.get("resume") == "auto":
        del given["resume"]  # the configuration is the one asked for here
    named = command.alg or command.env
    if given.get("resume") and named:
        raise UserError(
            f"resume={given['resume']} continues a run with the configuration it recorded, but "
            f"'{named}' asks for another one. Leave out --config and --env-config; settings after "
            f"`with` still hold."
        )
    if given.get("resume") and "seed" in given:
        raise UserError(
            f"resume={given['resume']} goes on with the random streams of that run, so its seed "
            f"cannot be changed to {given['seed']}. Leave out seed, or start a new run."
        )
    if given.get("resume") or given.get("evaluate", "").lower() in ("true", "yes", "on"):
        from utils.checkpoint import run_folder

        place = given.get("resume") or given.get("checkpoint_path", "")
        if place and not named:
            # A run that was itself resumed has recorded from where.
            config = load_recorded(run_folder(place), ["resume=", *command.overrides])
            check_combination(config)
            return config
    config = load_config(command.alg, command.env, list(command.overrides))
    check_combination(config)
    return config


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


def train(config: RunConfig, signals: StopSignals, mongo: str | None) -> None:
    """Train in the run's own folder, which nobody else trains in meanwhile."""
    from mongodb.recording import checked_server, mirrored
    from resume import AUTO, choose_run
    from run import Run
    from utils.checkpoint import run_folder
    from utils.run_dir import create_run_dir, locked, remove_unfinished, require_writable

    run_dir: Path | None = None
    with ExitStack() as held:
        if config.resume == AUTO:
            choice = choose_run(config, held)
            if choice is None:
                print("There is no run of this configuration to go on with; a new one begins.")
            elif choice.is_finished:
                print(f"This run has been trained to its end. Everything is in {choice.run_dir}")
                return
            else:
                run_dir = choice.run_dir
            config = dataclasses.replace(config, resume=str(choice.checkpoint) if choice else "")
        elif config.resume:
            run_dir = require_writable(run_folder(config.resume))
            held.enter_context(locked(run_dir))
        server = checked_server(mongo, config.mongo_url, config.mongo_db)
        run = Run(config)  # refuses what cannot work, before anything is written
        signals.patient = True
        if run_dir is None:
            place = (config.results_dir, config.env_name, config.alg_name, config.name, config.seed)
            run_dir = create_run_dir(*place)
            held.enter_context(locked(run_dir))
        else:
            remove_unfinished(run_dir)
        with mirrored(server, run_dir):
            run_with_sacred(run, run_dir, signals)


def run_with_sacred(run: "Run", run_dir: Path, signals: StopSignals) -> None:
    """Train under Sacred's eyes, recorded in the run's own folder."""
    from config.load import to_dict

    config = run.config
    name = f"{config.alg_name}-{config.env_name}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Sacred 0.8.7 imports pkg_resources, which warns
        from sacred import SETTINGS, Experiment

        from utils.disk_record import DiskRecord

        SETTINGS.CONFIG.ENFORCE_KEYS_MONGO_COMPATIBLE = False  # mongodb/documents.py changes them
        SETTINGS.CAPTURE_MODE = "no"  # rich owns the console; metrics.csv has the numbers
        logging.getLogger(name).setLevel(logging.WARNING)  # "Running command ...", and the like
        experiment = Experiment(name, base_dir=str(REPOSITORY), save_git_info=git_answers())
    record = DiskRecord(run_dir / "sacred")
    experiment.observers.append(record)
    experiment.add_config(to_dict(config))

    @experiment.main
    def experiment_main(_run: Any) -> dict[str, float]:
        def scalar(key: str, value: float, env_steps: int) -> None:
            record.require_complete()
            _run.log_scalar(key, value, env_steps)

        return run.train(run_dir, scalar, signals)

    experiment.run()
    record.require_complete()


if __name__ == "__main__":
    hide_password()
    sys.exit(main())
