"""Events of TensorBoard in the run's folder, `tensorboard/`; look with `tensorboard --logdir`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from records.logger import Counts, Logger, RunEnd, RunStart, cannot_write, require_package
from utils.registry import LOGGERS


@LOGGERS.register("tensorboard")
class TensorBoardLogger(Logger):
    """Writes each metric as a scalar over environment steps."""

    _events: Path
    _writer: Any = None

    def __init__(self, settings: Any):
        super().__init__(settings)
        require_package("tensorboard")

    def start(self, run: RunStart) -> None:
        """Open the events; those after `env_steps` of a resumed run are hidden."""
        from torch.utils.tensorboard import SummaryWriter

        self._events = run.run_dir / "tensorboard"
        purge = None if run.position is None else run.env_steps + 1
        with self._writing():
            self._writer = SummaryWriter(str(self._events), purge_step=purge)

    def log(self, counts: Counts, seconds: float, metrics: dict[str, float]) -> None:
        """Write a scalar for each metric."""
        with self._writing():
            for key, value in metrics.items():
                self._writer.add_scalar(key, value, counts[0])

    def close(self, end: RunEnd) -> None:
        """Flush and close."""
        if self._writer is not None:
            with self._writing():
                self._writer.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise cannot_write(self._events, error) from error
