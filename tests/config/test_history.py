"""`changes.csv`: which settings a run was trained with, and since when."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from tests.helpers.runs import tiny

from config.history import (
    Change,
    changes_with,
    evaluated_with,
    read_changes,
    record_settings,
    trained_before,
)
from config.plain_data import to_dict
from config.schema import RunConfig
from modules.mixers.qmix import QMixConfig
from utils.errors import UserError


@pytest.fixture
def config() -> RunConfig:
    return tiny("vdn", "topk", "lr=0.01", "t_max=100", "lr_schedule=constant")


def with_lr(config: RunConfig, lr: float) -> RunConfig:
    return dataclasses.replace(config, lr=lr)


def lr_of(run_dir: Path) -> float:
    return float(yaml.safe_load((run_dir / "config.yaml").read_text())["lr"])


def test_a_new_run_has_no_changes(tmp_path: Path, config: RunConfig) -> None:
    assert record_settings(tmp_path, config, 0) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]
    assert record_settings(tmp_path, dataclasses.replace(config, resume="x"), 40) == ""
    assert read_changes(tmp_path) == []


def test_both_values_and_the_step_stay(tmp_path: Path, config: RunConfig) -> None:
    record_settings(tmp_path, config, 0)
    said = record_settings(tmp_path, with_lr(config, 0.02), 40)
    assert said == "From step 40 on: lr=0.02 (before: 0.01). changes.csv keeps both."
    record_settings(tmp_path, with_lr(config, 0.02), 50)
    record_settings(tmp_path, with_lr(config, 0.03), 60)
    expected = [Change(40, "lr", "0.01", "0.02"), Change(60, "lr", "0.02", "0.03")]
    assert read_changes(tmp_path) == expected
    assert (tmp_path / "changes.csv").read_text().startswith("env_steps,setting,before,after\n")
    assert lr_of(tmp_path) == 0.03


def test_changes_after_an_earlier_checkpoint_are_forgotten(
    tmp_path: Path, config: RunConfig
) -> None:
    record_settings(tmp_path, config, 0)
    record_settings(tmp_path, with_lr(config, 0.02), 40)
    record_settings(tmp_path, with_lr(config, 0.03), 60)
    assert changes_with(tmp_path, with_lr(config, 0.02), 50) == [Change(40, "lr", "0.01", "0.02")]
    assert changes_with(tmp_path, with_lr(config, 0.05), 20) == [Change(20, "lr", "0.01", "0.05")]
    record_settings(tmp_path, config, 40)
    assert not (tmp_path / "changes.csv").exists()


def test_a_change_at_the_step_of_the_last_one_replaces_it(
    tmp_path: Path, config: RunConfig
) -> None:
    record_settings(tmp_path, config, 0)
    record_settings(tmp_path, with_lr(config, 0.02), 40)
    record_settings(tmp_path, with_lr(config, 0.03), 40)
    assert read_changes(tmp_path) == [Change(40, "lr", "0.01", "0.03")]


def test_settings_of_another_component_come_and_go(tmp_path: Path, config: RunConfig) -> None:
    record_settings(tmp_path, config, 0)
    other = dataclasses.replace(config, mixer="qmix", mixer_args=QMixConfig())
    record_settings(tmp_path, other, 40)
    changes = {change.setting: change for change in read_changes(tmp_path)}
    assert changes["mixer"] == Change(40, "mixer", '"vdn"', '"qmix"')
    assert changes["mixer_args.embed_dim"] == Change(40, "mixer_args.embed_dim", "", "32")
    record_settings(tmp_path, config, 40)
    assert read_changes(tmp_path) == []


@pytest.mark.parametrize(
    ("step", "t_max", "parts"),
    [
        (100, 200, ["jumps here from 0 to 0.005", "t_max, which is now 200"]),
        (50, 200, ["jumps here from 0.005 to 0.0075"]),
        (0, 200, []),
    ],
)
def test_a_jump_of_the_learning_rate_is_reported(
    step: int, t_max: int, parts: list[str], tmp_path: Path, config: RunConfig
) -> None:
    linear = dataclasses.replace(config, lr_schedule="linear")
    record_settings(tmp_path, linear, 0)
    said = record_settings(tmp_path, dataclasses.replace(linear, t_max=t_max), step)
    assert "t_max=200 (before: 100)" in said
    assert ("jumps" in said) == bool(parts)
    for part in parts:
        assert part in said


def test_a_constant_rate_does_not_jump(tmp_path: Path, config: RunConfig) -> None:
    record_settings(tmp_path, config, 0)
    assert "jumps" not in record_settings(tmp_path, dataclasses.replace(config, t_max=200), 100)


def test_what_a_run_was_trained_with_before(tmp_path: Path, config: RunConfig) -> None:
    record_settings(tmp_path, config, 0)
    longer = dataclasses.replace(config, t_max=200, name="more")
    record_settings(tmp_path, longer, 40)
    assert trained_before(tmp_path, to_dict(longer)) == ""
    falling = dataclasses.replace(longer, lr_schedule="linear")
    assert trained_before(tmp_path, to_dict(falling)) == "t_max=100 before step 40"
    record_settings(tmp_path, with_lr(longer, 0.02), 1_060)
    assert trained_before(tmp_path, to_dict(with_lr(longer, 0.02))) == "lr=0.01 before step 1,060"


def test_a_setting_that_the_code_did_not_have_is_no_change(
    tmp_path: Path, config: RunConfig
) -> None:
    settings = to_dict(config)
    del settings["gamma"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    record_settings(tmp_path, config, 40)
    assert [change.setting for change in read_changes(tmp_path)] == ["gamma"]
    assert trained_before(tmp_path, to_dict(config)) == ""


def test_entropy_that_falls_to_t_max_depends_on_it(tmp_path: Path) -> None:
    config = tiny("mappo", "topk", "t_max=100", "lr_schedule=constant")
    record_settings(tmp_path, config, 0)
    longer = dataclasses.replace(config, t_max=200)
    record_settings(tmp_path, longer, 100)
    assert trained_before(tmp_path, to_dict(longer)) == "t_max=100 before step 100"


@pytest.mark.parametrize("text", ["env_steps\n3\n", "env_steps,setting,before,after\nx,lr,1,2\n"])
def test_a_damaged_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "changes.csv").write_text(text)
    with pytest.raises(UserError, match=r"changes\.csv cannot be read .*trained before"):
        read_changes(tmp_path)


def test_an_evaluation_differs_from_an_older_run_by_its_default(tmp_path: Path) -> None:
    config = tiny("macpf", "swap")
    settings = to_dict(config)
    del settings["controller_args"]["execution"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    assert evaluated_with(tmp_path, dataclasses.replace(config, test_nepisode=9)) == ""
    asked = dataclasses.replace(config.controller_args, execution="dependent")
    config = dataclasses.replace(config, controller_args=asked)
    assert evaluated_with(tmp_path, config) == "controller_args.execution=dependent"
    del settings["gamma"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    assert evaluated_with(tmp_path, config) == ""  # what it lacks is not compared
