"""The environment files of optional packages, where those are installed."""

from typing import Any

import pytest

from config.load import load_config
from envs.checker.budget import Budget
from envs.checker.report import report
from utils.errors import UserError

pytestmark = pytest.mark.optional_env
SHORT = {"lbf": 12, "rware": 12, "smaclite": 6, "vmas": 6}


@pytest.mark.parametrize("name", SHORT)
def test_an_environment_file_keeps_the_contract(name: str) -> None:
    config: Any = load_config("vdn", name, [f"env_args.time_limit={SHORT[name]}"])
    budget = Budget()
    try:
        text, passes = report(config.env, config.env_args, budget=budget)
    except UserError as error:
        if "is not installed" not in str(error):
            raise
        pytest.skip(str(error))
    assert passes, text
    assert "may be truncated" in text
    assert "Warning" not in text
