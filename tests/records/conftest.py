import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.records import fake_wandb

from records import follower


class Fake:
    """The calls of the stand-in for `wandb`, and what it shall do."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._calls, self._monkeypatch = folder / "calls.jsonl", monkeypatch
        monkeypatch.setenv(fake_wandb.CALLS, str(self._calls))

    def calls(self, name: str) -> list[list[Any]]:
        """The arguments of each call of that name so far."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [call[1:] for call in map(json.loads, lines) if call[0] == name]

    def fault(self, name: str) -> None:
        """What fails from now on; empty: nothing."""
        self._monkeypatch.setenv(fake_wandb.FAULT, name)


@pytest.fixture
def fake(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fake]:
    """A stand-in for the package `wandb`, for this process and those that it starts."""
    folder = tmp_path_factory.mktemp("fake")
    package = folder / "site" / "wandb"
    package.mkdir(parents=True)
    shutil.copy(fake_wandb.__file__, package / "__init__.py")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    importlib.invalidate_caches()
    yield Fake(folder, monkeypatch)
    sys.modules.pop("wandb", None)


@pytest.fixture
def quick_follower(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write often."""
    monkeypatch.setattr(follower, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(follower, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(follower, "MAX_SHARE", 1.0)
