"""What a run writes while it goes on: `metrics.csv`, the console, TensorBoard if asked, Sacred.

`metrics.csv` is in long form: env_steps, episodes, updates, seconds, key, value. A row is written
whole and flushed, so that a killed run leaves a readable prefix; `position` lets a resumed run cut
off what came after its checkpoint.
"""

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from utils.errors import UserError
from utils.files import reason
from utils.invocation import pip_install

COLUMNS = ("env_steps", "episodes", "updates", "seconds", "key", "value")
EVALUATION_COLUMNS = (
    "checkpoint",
    "env_steps",
    "n_episodes",
    "opponent",
    "changes",
    "key",
    "value",
)
Counts = tuple[int, int, int]  # env_steps, episodes, updates

RUN_METRICS = {
    "return_mean": "mean undiscounted return of the episodes collected since the last row, "
    "averaged over agents where rewards are individual",
    "return_std": "standard deviation of those returns over episodes",
    "ep_length_mean": "mean length of those episodes in environment steps",
    "<metric>_mean": "mean of an environment's metric, such as success, over those episodes",
    "<ratio>": "mean of one metric divided by the mean of another, over those episodes",
    "test_return_mean": "as return_mean, over the episodes of a greedy test",
    "test_return_std": "as return_std, over the episodes of a greedy test",
    "test_ep_length_mean": "as ep_length_mean, over the episodes of a greedy test",
    "test_<metric>_mean": "mean of an environment's metric over the episodes of a greedy test",
    "test_<ratio>": "as <ratio>, over the episodes of a greedy test",
    "lost_episodes": "episodes lost by faults of environment workers since the last row, in no "
    "other number; only where there are some",
    "test_lost_episodes": "as lost_episodes, in a greedy test",
    "steps_per_s": "environment steps per second of wall time since the last row, with training",
    "startup_cpu_seconds": "CPU seconds from the start of the process to the first environment "
    "step, once",
    "cpu_seconds": "CPU seconds of the training process so far (all threads, without workers)",
    "time_train": "seconds spent in gradient steps since the last row",
}

# Keys that differ between two runs of the same seed.
TIMINGS = (
    "startup_cpu_seconds",
    "steps_per_s",
    "cpu_seconds",
    "time_act",
    "time_env",
    "time_store",
    "time_train",
)


class RunLog:
    """Writes metrics everywhere they are wanted.

    Args:
        run_dir: the run's folder.
        use_tensorboard: also write TensorBoard events.
        scalar: called as scalar(key, value, env_steps) for each metric, such as Sacred's
            log_scalar.
        position: where to cut an existing file before going on; None starts a new file.
        env_steps: where a run that goes on is; TensorBoard hides the events after it.

    Raises:
        UserError: if TensorBoard is asked for and not installed, or the file cannot be written.
    """

    def __init__(
        self,
        run_dir: Path,
        use_tensorboard: bool = False,
        scalar: Callable[[str, float, int], Any] | None = None,
        position: int | None = None,
        env_steps: int = 0,
    ):
        self.path = run_dir / "metrics.csv"
        self._scalar = scalar
        self._tensorboard: Any = None
        self._events = run_dir / "tensorboard"
        writer = tensorboard_writer() if use_tensorboard else None
        self._failed = False
        with self._writing(self.path):
            self._file: TextIO = self.path.open("w" if position is None else "r+", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        try:
            self._begin(position)
            if writer is not None:
                purge = None if position is None else env_steps + 1
                with self._writing(self._events):
                    self._tensorboard = writer(str(self._events), purge_step=purge)
        except UserError:
            self.close()
            raise

    def _begin(self, position: int | None) -> None:
        """Write the header, or cut the file."""
        with self._writing(self.path):
            if position is None:
                self._writer.writerow(COLUMNS)
            else:
                end = min(position, self.path.stat().st_size)  # less after a crash of the machine
                self._file.seek(end)
                self._file.truncate()
            self._file.flush()

    def write(self, counts: Counts, seconds: float, metrics: dict[str, float]) -> None:
        """One row for each metric.

        Args:
            counts: env_steps, episodes and updates so far.
            seconds: wall time of the run so far.
            metrics: {key: value}.

        Raises:
            UserError: if they cannot be written.
        """
        head = (*counts, f"{seconds:.2f}")
        with self._writing(self.path):
            self._writer.writerows((*head, key, f"{value:.9g}") for key, value in metrics.items())
            self._file.flush()
            os.stat(self.path)  # a file that was deleted takes rows all the same
        for key, value in metrics.items():
            if self._scalar is not None:
                self._scalar(key, value, counts[0])
            if self._tensorboard is not None:
                with self._writing(self._events):
                    self._tensorboard.add_scalar(key, value, counts[0])

    @property
    def position(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def secure(self) -> int:
        """Bring all rows to the disk; returns the bytes written so far.

        Raises:
            UserError: if the disk does not take them.
        """
        with self._writing(self.path):
            os.fsync(self._file.fileno())
        return self.position

    def close(self) -> None:
        """Flush and close.

        Raises:
            UserError: if something could not be written and nobody has been told yet.
        """
        already_told = self._failed
        try:
            try:
                with self._writing(self.path):
                    self._file.close()
            finally:
                if self._tensorboard is not None:
                    with self._writing(self._events):
                        self._tensorboard.close()
        except UserError:
            if not already_told:
                raise

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failed = True
            raise UserError(
                f"{path} cannot be written ({reason(error)}). Free space or make the folder "
                f"writable; from its last checkpoint the run goes on with "
                f"`with resume={self.path.parent}`."
            ) from error


def opponent_label(env_args: Mapping[str, Any]) -> str:
    """Whom the learners played against; empty if nobody.

    Read from settings that an environment with opponents has: `opponent`, with `opponent_path` for
    a trained one, `protocol` and `learners`. Results under different labels cannot be compared.
    """
    if env_args.get("protocol") == "two_team":
        return "learns too"
    name = str(env_args.get("opponent") or "none")
    if name == "none":
        return ""
    if name == "path":
        path = str(env_args["opponent_path"])
        name = path.removesuffix("/checkpoints/latest.pt").removesuffix("/")
    side = env_args.get("learners")
    return f"{name} ({side} learn)" if side else name


def append_evaluation(
    run_dir: Path,
    checkpoint: str,
    env_steps: int,
    n_episodes: int,
    opponent: str,
    changes: str,
    metrics: dict[str, float],
) -> None:
    """Add the results of one evaluation to `evaluations.csv`; an older file keeps its columns.

    Args:
        run_dir: the run's folder.
        checkpoint: the checkpoint's file name.
        env_steps: environment steps it was trained for.
        n_episodes: episodes played.
        opponent: whom they were played against, see `opponent_label`.
        changes: settings that differ from the run's own, as text.
        metrics: {key: value}.

    Raises:
        UserError: if the file cannot be written.
    """
    path = run_dir / "evaluations.csv"
    try:
        is_new = not path.exists()
        columns = EVALUATION_COLUMNS if is_new else path.read_text().split("\n")[0].split(",")
        head = {
            "checkpoint": checkpoint,
            "env_steps": env_steps,
            "n_episodes": n_episodes,
            "opponent": opponent,
            "changes": changes,
        }
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
            if is_new:
                writer.writeheader()
            for key, value in metrics.items():
                writer.writerow({**head, "key": key, "value": f"{value:.9g}"})
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from error


def tensorboard_writer() -> Any:
    """TensorBoard's `SummaryWriter`.

    Raises:
        UserError: if the package is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise UserError(
            "use_tensorboard=True needs the package 'tensorboard', which is not installed. "
            f"Install it with `{pip_install('tensorboard')}`."
        ) from error
    return SummaryWriter
