"""Every registered environment, and every environment YAML, keeps the contract of envs/base.py."""

import pytest

from config.layers import available
from config.load import load_config
from envs.env_checker import report
from utils.errors import UserError
from utils.registry import ENVS


def assert_passes(name: str, settings) -> None:
    try:
        text = report(name, settings)
    except UserError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))  # its task needs an optional package
    assert text.startswith(f"{name} passes all checks."), text


@pytest.mark.parametrize("name", ENVS.names())
def test_default_settings(name):
    try:
        component = ENVS.get(name)
    except UserError as error:
        pytest.skip(str(error))  # needs an optional package
    assert_passes(name, component.config())


@pytest.mark.parametrize("name", available("envs"))
def test_yaml(name):
    if name in ENVS.names():
        try:
            ENVS.get(name)
        except UserError as error:
            pytest.skip(str(error))
    config = load_config(None, name, [])
    assert_passes(config.env, config.env_args)
