"""The command line, in PyMARL's words: `--config=agp --env-config=topk with seed=3`."""

from dataclasses import dataclass, field
from typing import Literal

from config.hints import did_you_mean
from utils.errors import ConfigError
from utils.invocation import main_command
from utils.mongo_url import holds_secret, redact

Action = Literal["run", "help", "list", "check_env", "print_config"]
VALUE_FLAGS = {
    "--config": "--config=<name>; `--list` shows the names",
    "--env-config": "--env-config=<name>; `--list` shows the names",
    "--mongo": "--mongo=mongodb://<host>:27017",
    "--sync-mongo": "--sync-mongo=<folder of a run>",
    "--sync-wandb": "--sync-wandb=<folder of a run>",
}
HELP_FLAGS = ("--help", "-h")
SYNC_FLAGS = {  # flag -> those that it goes with, and what to say otherwise
    "--sync-mongo": ({"--mongo"}, "goes with --mongo only"),
    "--sync-wandb": (set[str](), "stands alone"),
}
ACTION_FLAGS: dict[str, Action] = {
    **dict.fromkeys(HELP_FLAGS, "help"),
    "--list": "list",
    "--check-env": "check_env",
    "--print-config": "print_config",
}


@dataclass(frozen=True)
class Command:
    """A parsed command line."""

    alg: str | None = None  # name or path given to --config
    env: str | None = None  # name or path given to --env-config
    overrides: tuple[str, ...] = ()  # the arguments after `with`, as they were typed
    action: Action = "run"
    mongo: str | None = field(default=None, repr=False)  # URL given to --mongo
    sync_mongo: str | None = None  # run folder given to --sync-mongo
    sync_wandb: str | None = None  # run folder given to --sync-wandb
    topic: str | None = None  # what --help is asked about


def parse(argv: list[str]) -> Command:
    """Read the command line (without the program's name). Flags may also follow `with`.

    Raises:
        ConfigError: with everything that is not understood.
    """
    problems: list[str] = []
    values: dict[str, str] = {}
    actions: list[Action] = []
    overrides: list[str] = []
    topic: str | None = None
    after_with = False
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if flag in VALUE_FLAGS:
            if not equals and rest and rest[0] != "with" and not rest[0].startswith("-"):
                value = rest.pop(0)
            problems += _value_problems(flag, value, values)
            values[flag] = value
        elif holds_secret(word):
            problems.append(f"{flag}: a URL with a password is for --mongo. Leave it out here.")
        elif word in ACTION_FLAGS:
            actions.append(ACTION_FLAGS[word])
            if word in HELP_FLAGS and rest and rest[0] != "with" and not rest[0].startswith("-"):
                topic = rest.pop(0)
        elif flag in HELP_FLAGS and value:
            actions.append("help")
            topic = value
        elif word.startswith("-"):
            problems.append(_unknown_flag(word, flag))
        elif word == "with" and not after_with:
            after_with = True
        elif after_with:
            overrides.append(word)
        else:
            problems.append(_stray(word))
    if len(set(actions)) > 1:
        problems.append(f"{' and '.join(sorted(set(actions)))} exclude each other. Ask for one.")
    for flag, (others, rule) in SYNC_FLAGS.items():
        if flag in values and (actions or after_with or values.keys() - {flag, *others}):
            problems.append(f"{flag} {rule}: it reads the run's own settings.")
    if problems:
        raise ConfigError(f"command line: {problem}" for problem in problems)
    alg, env, mongo, sync_mongo, sync_wandb = (values.get(flag) for flag in VALUE_FLAGS)
    action = actions[0] if actions else "run"
    return Command(alg, env, tuple(overrides), action, mongo, sync_mongo, sync_wandb, topic)


def missing_files(command: Command) -> list[str]:
    """The problems of a run without a method or a task, because a flag is missing.

    Settings after `with` may take a file's place: a learner, or an environment. A command that only
    evaluates a trained run, or only checks an environment, needs less.
    """
    given = {text.partition("=")[0]: text.partition("=")[2] for text in command.overrides}
    if given.get("evaluate", "false").lower() != "false":
        return []
    needs_method = command.action != "check_env" and not {"learner", "alg_name"} & given.keys()
    needs_task = not {"env", "env_name"} & given.keys()
    missing = [
        flag
        for flag, name, needed in (
            ("--config", command.alg, needs_method),
            ("--env-config", command.env, needs_task),
        )
        if needed and name is None
    ]
    if not missing:
        return []
    verb = "is" if len(missing) == 1 else "are"
    return [
        f"command line: {' and '.join(missing)} {verb} missing.\n"
        f"    Usage: {main_command()} --config=<algorithm> --env-config=<environment> "
        f"[with key=value ...]\n"
        f"    `--list` shows the names, `--help` explains the rest."
    ]


def _value_problems(flag: str, value: str, values: dict[str, str]) -> list[str]:
    if not value:
        return [f"{flag} has no value. Write {VALUE_FLAGS[flag]}."]
    if flag in values:
        both = f"'{redact(values[flag])}' and '{redact(value)}'"
        return [f"{flag} is given twice, {both}. Keep one."]
    return []


def _unknown_flag(word: str, flag: str) -> str:
    flags = [*VALUE_FLAGS, *ACTION_FLAGS]
    if flag in ACTION_FLAGS:
        return f"{flag} takes no value, but '{word}' gives one. Write {flag}."
    return f"there is no flag '{flag}'.{did_you_mean(flag, flags)} Flags: {', '.join(flags)}."


def _stray(word: str) -> str:
    if "=" in word:
        return f"settings come after `with`. Write `with {word}`."
    return (
        f"'{word}' is not understood. Write --config=<algorithm> --env-config=<environment> "
        f"with key=value ..."
    )
