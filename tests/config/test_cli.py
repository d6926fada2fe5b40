import pytest

from config.cli import Command, parse
from utils.errors import ConfigError


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command()),
        ("--config=agp", Command(alg="agp")),
        ("--config agp --env-config topk", Command(alg="agp", env="topk")),
        (
            "--config=agp --env-config=topk with seed=3 env_args.n_agents=8",
            Command("agp", "topk", ("seed=3", "env_args.n_agents=8")),
        ),
        ("with name=with", Command(overrides=("name=with",))),
        ("with name=a=b with", Command(overrides=("name=a=b", "with"))),
        ("with seed=3 --config=agp", Command(alg="agp", overrides=("seed=3",))),
        ("with seed", Command(overrides=("seed",))),
        ("--help", Command(action="help")),
        ("-h", Command(action="help")),
        ("--help agp_agent", Command(action="help", topic="agp_agent")),
        ("--help=mixer_args", Command(action="help", topic="mixer_args")),
        ("--help with seed=3", Command(action="help", overrides=("seed=3",))),
        ("--list", Command(action="list")),
        ("--env-config=topk --check-env", Command(env="topk", action="check_env")),
        ("--config=agp --print-config", Command(alg="agp", action="print_config")),
        ("--mongo=mongodb://ann:pw@host", Command(mongo="mongodb://ann:pw@host")),
        ("--sync-mongo results/a --mongo b", Command(mongo="b", sync_mongo="results/a")),
        ("--sync-wandb results/a", Command(sync_wandb="results/a")),
    ],
)
def test_parse(line: str, command: Command) -> None:
    assert parse(line.split()) == command


FLAGS = (
    "Flags: --config, --env-config, --mongo, --sync-mongo, --sync-wandb, --help, -h, --list, "
    "--check-env, --print-config."
)
URL = "mongodb://ann:pw@host"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (
            "--env_config=topk",
            f"there is no flag '--env_config'. Did you mean '--env-config'? {FLAGS}",
        ),
        ("--xyz", f"there is no flag '--xyz'. {FLAGS}"),
        ("--config", "--config has no value. Write --config=<name>; `--list` shows the names."),
        (
            "--config with seed=3",
            "--config has no value. Write --config=<name>; `--list` shows the names.",
        ),
        ("--config=a --config=b", "--config is given twice, 'a' and 'b'. Keep one."),
        ("--list=all", "--list takes no value, but '--list=all' gives one. Write --list."),
        ("--list --help", "help and list exclude each other. Ask for one."),
        (
            "--sync-mongo",
            "--sync-mongo has no value. Write --sync-mongo=<folder of a run>.",
        ),
        (
            "--sync-mongo=a with mongo_db=b",
            "--sync-mongo goes with --mongo only: it reads the run's own settings.",
        ),
        (
            "--sync-wandb=a --mongo=b",
            "--sync-wandb stands alone: it reads the run's own settings.",
        ),
        (
            f"--mongo={URL} --mongo={URL}",
            "--mongo is given twice, 'mongodb://***@host' and 'mongodb://***@host'. Keep one.",
        ),
        (
            f"with name={URL}",
            "name: a URL with a password is for --mongo. Leave it out here.",
        ),
        ("seed=3", "settings come after `with`. Write `with seed=3`."),
        (
            "agp",
            "'agp' is not understood. Write --config=<algorithm> --env-config=<environment> "
            "with key=value ...",
        ),
    ],
)
def test_mistakes(line: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(line.split())
    assert caught.value.problems == [f"command line: {problem}"]


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(["--confg=agp", "seed=3", "--env-config"])
    assert len(caught.value.problems) == 3
