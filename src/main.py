"""Command line -> resolved configuration -> `training.py` -> `run.py`.

python src/main.py --config=agp --env-config=topk with seed=3 env_args.n_agents=8
"""

import sys
from pathlib import Path

from config.cli import Command, missing_files, parse
from config.schema import RunConfig
from utils.command import guarded
from utils.errors import ConfigError, UserError
from utils.interruption import StopSignals
from utils.invocation import require_packages
from utils.mongo_url import hide_password
from utils.plugins import unreadable


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code.

    It is 2 for a mistake that the user can correct, 75 if another process trains the run, 128 plus
    its number for a signal.
    """
    words = sys.argv[1:] if argv is None else argv

    def command(signals: StopSignals) -> int:
        require_packages()
        return dispatch(parse(words), signals, words)

    return guarded(command)


def command() -> int:
    """Entry point of the shell command: hide a password of the command line, then run `main`."""
    hide_password()
    return main()


def dispatch(command: Command, signals: StopSignals, words: list[str]) -> int:
    """Do what the command line, given as read and as `words`, asks for."""
    from config import describe

    if command.action == "help":
        from config.help_topics import about

        print(about(command.topic) if command.topic else describe.help_text())
    elif command.action == "list":
        print(describe.list_text(plugins_of(command)))
        for sentence in unreadable():
            print(f"warning: {sentence} It is not listed.", file=sys.stderr)
    elif command.sync_mongo:
        from config.load import recorded_settings
        from records.mongodb.recording import sync_run

        run_dir = Path(command.sync_mongo)
        print(sync_run(run_dir, command.mongo, recorded_settings(run_dir)))
    elif command.sync_wandb:
        from config.load import recorded_settings
        from config.loggers import recorded_args
        from records.logger import require_package
        from records.wandb_record import sync

        require_package("wandb")
        run_dir = Path(command.sync_wandb)
        settings = recorded_settings(run_dir)
        print(sync(run_dir, recorded_args("wandb", settings), settings))
    else:
        config = resolve(command)
        if command.action == "print_config":
            import yaml

            from config.plain_data import to_dict

            print(yaml.safe_dump(to_dict(config), sort_keys=False), end="")
        elif command.action == "check_env":
            from build import load_opponent
            from envs.checker.report import report

            text, passes = report(
                config.env,
                config.env_args,
                lambda env: load_opponent(env, config),
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
            from training import train

            train(config, signals, command.mongo, words)
    return 0


def plugins_of(command: Command) -> str:
    """The folder of components outside the tree that the command line names; empty: none."""
    given = dict(text.split("=", 1) for text in command.overrides if "=" in text)
    return given.get("plugins", "")


def resolve(command: Command) -> RunConfig:
    """The complete, checked configuration; an existing run has recorded its settings."""
    from config.combinations import check_combination
    from config.load import load_config, load_recorded
    from config.plugins import as_of_today

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
            f"resume={given['resume']} continues the random streams of that run, so its seed "
            f"cannot be changed to {given['seed']}. Leave out seed, or start a new run."
        )
    if given.get("resume") or given.get("evaluate", "").lower() in ("true", "yes", "on"):
        from records.checkpoint import run_folder

        place = given.get("resume") or given.get("checkpoint_path", "")
        if place and not named:
            # A run that was itself resumed has recorded from where.
            config = load_recorded(run_folder(place), ["resume=", *command.overrides], say)
            check_combination(config)
            return as_of_today(config)
    missing = missing_files(command)
    try:
        config = load_config(command.alg, command.env, list(command.overrides), say)
    except ConfigError as error:
        raise ConfigError([*missing, *error.problems]) from error
    if missing:
        raise ConfigError(missing)
    check_combination(config)
    return config


def say(sentence: str) -> None:
    """Print a note on a configuration; standard output holds what was asked for."""
    print(f"note: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(command())
