"""The choice of loggers: what is an error, what old settings become, what is left out."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from config.history import changes_with
from config.load import load_config, load_recorded
from config.loggers import recorded_args
from config.plain_data import dump, to_dict
from records.loggers.wandb import WandbConfig
from utils.errors import ConfigError
from utils.registry import NoSettings

ALL = "csv, sacred, tensorboard, wandb"


def load(*settings: str, alg: str = "vdn") -> Any:
    return load_config(alg, "topk", list(settings))


def problems(*settings: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*settings)
    return caught.value.problems


def test_by_default_a_run_writes_csv_and_sacred() -> None:
    config = load()
    assert config.loggers == ("csv", "sacred")
    assert config.logger_args == {"csv": NoSettings(), "sacred": NoSettings()}


def test_loggers_and_their_settings() -> None:
    config = load("loggers=[csv,wandb]", "logger_args.wandb.mode=online")
    assert config.loggers == ("csv", "wandb")
    assert config.logger_args["wandb"] == WandbConfig(mode="online")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "loggers=[csv,wanbd]",
            f"loggers: there is no logger 'wanbd'. Did you mean 'wandb'? Available: {ALL}.",
        ),
        (
            "loggers=[sacred]",
            "loggers: [sacred] lacks csv. Resuming, reports and suites read metrics.csv, so every "
            "run writes it. Write loggers=[csv, sacred].",
        ),
        ("loggers=[csv,csv]", "loggers: [csv, csv] names csv twice. Keep one."),
        ("loggers=csv", "loggers: 'csv' is not a list. Write ['csv']."),
        (
            "logger_args.wandb.mode=online",
            "logger_args.wandb: loggers does not name wandb. Add it there, or leave this out.",
        ),
        (
            "logger_args.sacrd.x=1",
            f"logger_args.sacrd: there is no logger 'sacrd'. Did you mean 'sacred'? "
            f"Available: {ALL}.",
        ),
        ("logger_args=wandb", "logger_args: 'wandb' is not a mapping. Write {logger: {}}."),
        (
            "loggers=[csv,wandb] logger_args.wandb.mode=3",
            "logger_args.wandb.mode: 3 is not possible. Choose one of: offline, online.",
        ),
        (
            "loggers=[csv] mongo_url=mongodb://h",
            "mongo_url: the record in MongoDB is made from Sacred's. Add sacred to loggers, or "
            "leave mongo_url out.",
        ),
    ],
)
def test_mistakes(settings: str, said: str) -> None:
    assert problems(*settings.split()) == [f"command line: {said}"]


@pytest.mark.parametrize(
    ("settings", "loggers"),
    [
        ("use_tensorboard=True", "csv, sacred, tensorboard"),
        ("use_tensorboard=False", "csv, sacred"),
        ("loggers=[csv] use_wandb=True", "csv, wandb"),
        ("loggers=[csv,wandb] use_wandb=True", "csv, wandb"),
        ("loggers=[csv,wandb] use_wandb=False", "csv"),
    ],
)
def test_old_flags_say_what_to_write_now(settings: str, loggers: str) -> None:
    said: list[str] = []
    config = load_config("vdn", "topk", settings.split(), said.append)
    assert ", ".join(config.loggers) == loggers
    (flag,) = (word for word in settings.split() if word.startswith("use_"))
    assert said == [f"command line: {flag} is now written as loggers=[{loggers}]."]


def test_an_old_flag_must_be_true_or_false() -> None:
    (problem,) = problems("use_tensorboard=2")
    assert "`loggers=[csv,sacred,tensorboard]`" in problem


def test_a_file_may_hold_settings_of_loggers_that_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("use_wandb: true\nlogger_args: {wandb: {project: mine}}\n")
    assert load(alg=str(path)).logger_args["wandb"].project == "mine"
    said: list[str] = []
    config = load_config(str(path), "topk", ["loggers=[csv]"], said.append)
    assert config.logger_args == {"csv": NoSettings()}
    assert said[-1] == "logger_args.wandb is left out: loggers does not name wandb."


def test_a_run_recorded_with_an_old_flag_is_resumed(tmp_path: Path) -> None:
    recorded = to_dict(load())
    del recorded["loggers"], recorded["logger_args"]
    recorded["use_tensorboard"] = True
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(recorded))
    said: list[str] = []
    config = load_recorded(tmp_path, [], said.append)
    assert config.loggers == ("csv", "sacred", "tensorboard")
    assert said == []
    assert load_recorded(tmp_path, ["loggers=[csv]"]).loggers == ("csv",)
    assert load_recorded(tmp_path, ["use_wandb=True"], said.append).loggers[-1] == "wandb"
    assert len(said) == 1
    assert changes_with(tmp_path, config, 8) == []


def test_other_loggers_are_no_change_of_a_run(tmp_path: Path) -> None:
    dump(load("loggers=[csv,wandb]"), tmp_path / "config.yaml")
    config = load_recorded(tmp_path, ["loggers=[csv]"])
    assert config.logger_args == {"csv": NoSettings()}
    assert changes_with(tmp_path, config, 8) == []


def test_recorded_settings_of_a_logger() -> None:
    assert recorded_args("wandb", {})["project"] == "agp"
    recorded = {"logger_args": {"wandb": {"project": "mine"}}}
    assert recorded_args("wandb", recorded) == {"project": "mine", "entity": "", "mode": "offline"}
