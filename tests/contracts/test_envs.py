"""Every registered environment, and every environment YAML, keeps the contract of envs/base.py."""

import dataclasses

import pytest

from config.load import load_config
from config.search_path import available
from envs.checker.budget import Budget
from envs.checker.report import report
from utils.errors import UserError
from utils.registry import ENVS


def assert_passes(name: str, settings) -> None:
    try:
        text, _ = report(name, settings, budget=Budget())
    except UserError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))  # its task needs an optional package
    assert text.startswith(f"{name} passes all checks."), text
    assert "state_is_obs" not in text  # no state is stored twice


@pytest.mark.parametrize("name", ENVS.names())
def test_default_settings(name):
    try:
        component = ENVS.get(name)
    except UserError as error:
        pytest.skip(str(error))  # needs an optional package
    assert_passes(name, component.config())


def has_two_kinds(name):
    """Whether an environment's YAML can ask for actions that are numbers, too."""
    try:
        settings = load_config(None, name, []).env_args
    except UserError:
        return False  # needs an optional package
    return any(field.name == "continuous_actions" for field in dataclasses.fields(settings))


CONTINUOUS = {
    **{name: "continuous_actions" for name in available("envs") if has_two_kinds(name)},
    "pettingzoo": "kwargs.continuous_actions",
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_actions(name):
    config = load_config(None, name, [f"env_args.{CONTINUOUS[name]}=true"])
    assert_passes(config.env, config.env_args)


VARYING = {  # every size that may differ from episode to episode does
    "assignment": ["n_agents=[1, 4]", "n_resources=[1, 4]", "availability=[0.1, 1.0]"],
    "capacity": ["n_agents=[1, 4]", "n_levels=[1, 4]", "budget=[0.1, 1.0]"],
    "formation": ["n_agents=[2, 4]", "n_marked=[1, 2]", "width=[3, 4]"],
}


@pytest.mark.parametrize("name", VARYING)
def test_sizes_that_vary(name):
    config = load_config(None, name, [f"env_args.{setting}" for setting in VARYING[name]])
    assert_passes(config.env, config.env_args)


@pytest.mark.parametrize("name", available("envs"))
def test_yaml(name):
    if name in ENVS.names():
        try:
            ENVS.get(name)
        except UserError as error:
            pytest.skip(str(error))
    config = load_config(None, name, [])
    assert_passes(config.env, config.env_args)
