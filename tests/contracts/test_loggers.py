"""Every logger that the registry finds keeps the promises of `records/logger.py`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.runs import snapshot
from tests.records.conftest import fake

from config.load import load_config
from config.plain_data import to_dict
from records.logger import Logger, RunEnd, RunStart
from utils.errors import UserError
from utils.plugins import SOURCE
from utils.registry import LOGGERS

__all__ = ["fake"]  # so that the logger `wandb` is tried where the package is not installed
HEAVY = {"torch", "sacred", "wandb", "tensorboard", "pymongo", "matplotlib"}
SETTINGS: dict[str, Any] = to_dict(load_config("vdn", "topk", []))


def build(name: str) -> Logger:
    component = LOGGERS.get(name)
    try:
        logger: Logger = component.cls(component.config())
    except UserError as error:
        pytest.skip(str(error))
    return logger


@pytest.mark.parametrize("name", LOGGERS.names())
@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("error", [None, KeyboardInterrupt("stopped"), UserError("a mistake")])
def test_a_resumed_run(name: str, error: BaseException | None, tmp_path: Path) -> None:
    """A logger records a run that is stopped, and the same run again after it is resumed."""
    logger = build(name)
    assert isinstance(logger, Logger)
    assert snapshot(tmp_path) == {}
    position = None
    (tmp_path / "metrics.csv").touch()
    for env_steps, end in ((0, error), (8, None)):
        logger = build(name)
        logger.start(RunStart(tmp_path, "vdn-topk", SETTINGS, env_steps, position))
        logger.log((env_steps + 8, 8, 1), 1.5, {"loss": 0.5, "nothing": float("nan")})
        logger.close(RunEnd({"test_return_mean": 1.0}, end))
        position = (tmp_path / "metrics.csv").stat().st_size


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("name", LOGGERS.names())
def test_one_that_has_not_started_can_be_closed(name: str, tmp_path: Path) -> None:
    logger = build(name)
    logger.close(RunEnd({}, UserError("another logger could not start")))
    assert snapshot(tmp_path) == {}


def test_choosing_one_imports_no_large_package() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from utils.registry import LOGGERS; "
        f"[LOGGERS.get(name) for name in LOGGERS.built_in_names()]; "
        f"sys.exit(', '.join({HEAVY!r} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
