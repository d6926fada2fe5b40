"""A logger: one of the places that a run writes its record to.

`loggers: [csv, sacred, wandb]` chooses them. Each is a file in `records/loggers/` that registers a
class built on `Logger` together with its settings.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import reason
from utils.invocation import pip_install

Counts = tuple[int, int, int]  # env_steps, episodes, updates


@dataclass(frozen=True)
class RunStart:
    """Facts for a logger when a run starts or is resumed.

    Attributes:
        run_dir: the run's folder, which exists.
        name: method and task, such as `agp-topk`.
        settings: the complete configuration as plain data.
        env_steps: environment steps done before; what was logged after them is trained again.
        position: bytes of `metrics.csv` to keep; None for a new run.
        changes: settings that changed at resumptions: env_steps, setting, before, after.
    """

    run_dir: Path
    name: str
    settings: dict[str, Any]
    env_steps: int = 0
    position: int | None = None
    changes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class RunEnd:
    """How training ended.

    Attributes:
        result: metrics of the last greedy test of this process.
        error: what ended the run early, such as a `KeyboardInterrupt`; None if it finished.
    """

    result: dict[str, float]
    error: BaseException | None = None


class Logger:
    """Writes a run's metrics somewhere.

    Building one writes nothing, imports no large package and raises a `UserError` if it cannot
    work here. A `UserError` from the other methods stops the run.

    Args:
        settings: its settings dataclass.
    """

    def __init__(self, settings: Any):
        self.settings = settings

    def start(self, run: RunStart) -> None:
        """Begin the record, or continue the one that exists."""

    def log(self, counts: Counts, seconds: float, metrics: dict[str, float]) -> None:
        """Record metrics.

        Args:
            counts: env_steps, episodes and updates so far.
            seconds: wall time of the run so far.
            metrics: {key: value}.
        """

    def close(self, end: RunEnd) -> None:
        """End the record; called once, after `start` has been called, even if that has failed."""


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error of a run that can no longer write a file or folder in its run folder."""
    return UserError(
        f"{path} cannot be written ({reason(error)}). Free space or make the folder writable; from "
        f"its last checkpoint the run continues with `with resume={path.parent}`."
    )


def require_package(name: str) -> None:
    """Check that the optional package of a logger is installed, without importing it.

    Args:
        name: the logger's and the package's name.

    Raises:
        UserError: if it is not.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # a folder of that name is no package
        raise UserError(
            f"the logger '{name}' needs the package '{name}', which is not installed. Install it "
            f"with `{pip_install(name)}`, or leave '{name}' out of loggers."
        )
