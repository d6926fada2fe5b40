"""The command line, in PyMARL's words: `--config=agp --env-config=topk with seed=3`."""

from dataclasses import dataclass
from typing import Literal

from config.hints import did_you_mean
from utils.errors import ConfigError

Action = Literal["run", "help", "list", "check_env", "print_config"]
VALUE_FLAGS = {"--config": "alg", "--env-config": "env"}
ACTION_FLAGS: dict[str, Action] = {
    "--help": "help",
    "-h": "help",
    "--list": "list",
    "--check-env": "check_env",
    "--print-config": "print_config",
}


@dataclass(frozen=True)
class Command:
    """What the command line asks for."""

    alg: str | None = None  # name or path given to --config
    env: str | None = None  # name or path given to --env-config
    overrides: tuple[str, ...] = ()  # the arguments after `with`, as they were typed
    action: Action = "run"


def parse(argv: list[str]) -> Command:
    """Read the command line (without the program's name). Flags may also follow `with`.

    Raises:
        ConfigError: with everything that is not understood.
    """
    problems: list[str] = []
    values: dict[str, str] = {}
    actions: list[Action] = []
    overrides: list[str] = []
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
        elif word in ACTION_FLAGS:
            actions.append(ACTION_FLAGS[word])
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
    if problems:
        raise ConfigError(f"command line: {problem}" for problem in problems)
    alg, env = (values.get(flag) for flag in VALUE_FLAGS)
    return Command(alg, env, tuple(overrides), actions[0] if actions else "run")


def _value_problems(flag: str, value: str, values: dict[str, str]) -> list[str]:
    if not value:
        return [f"{flag} has no value. Write {flag}=<name>; `--list` shows the names."]
    if flag in values:
        return [f"{flag} is given twice, '{values[flag]}' and '{value}'. Keep one."]
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
