"""A record of a run elsewhere, which follows the one in its folder.

The folder is the truth. A thread updates the other record from time to time. So a server that is
slow or gone does not delay the run.
"""

import shlex
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Self

from utils.errors import UserError
from utils.invocation import main_command

FIRST_SECONDS = 1.0  # from the start to the first writing
PAUSE_SECONDS = 10.0  # between two writings
MAX_SHARE = 0.02  # of the processor that writing may take: larger records are written less often


class Follower:
    """Context manager: during a run, a record elsewhere follows the one in its folder.

    Only at the end the run waits for the last writing, and says if that has failed.

    Args:
        run_dir: the run's folder.

    Attributes:
        label: what messages call the place.
        sync_flag: of `main.py`, completes the record later.
        errors: what `write` may raise besides `UserError`.
        end_seconds: that the last writing may take.
        is_complete: whether the last writing has succeeded.
    """

    label: str
    sync_flag: str
    errors: tuple[type[Exception], ...] = ()
    end_seconds: float

    def __init__(self, run_dir: Path):
        self.run_dir = run_dir
        self.is_complete, self._is_failing = False, False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.follow, name=self.label, daemon=True)

    def write(self, is_last: bool) -> None:
        """Bring the record up to what the folder holds now."""
        raise NotImplementedError

    def explain(self, error: Exception) -> str:
        """The message for the user about one of `errors`: whole sentences, nothing secret."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(self.end_seconds)
        if not self.is_complete:
            warn(incomplete(self.label, self.sync_flag, self.run_dir))

    def follow(self) -> None:
        """Write, until the run has ended and once more."""
        pause, is_last = FIRST_SECONDS, False
        while not is_last:
            is_last = self._stop.wait(pause)
            busy_before = time.thread_time()
            self._attempt(is_last)
            pause = max(PAUSE_SECONDS, (time.thread_time() - busy_before) / MAX_SHARE)

    def _attempt(self, is_last: bool) -> None:
        """Write once; the first of several failures is reported."""
        expected: tuple[type[Exception], ...] = (UserError, *self.errors)
        try:
            self.write(is_last)
            self.is_complete = is_last
        except expected as error:
            if not self._is_failing:
                reason = str(error) if isinstance(error, UserError) else self.explain(error)
                warn(f"{reason} The run continues, and is still recorded in {self.run_dir}.")
            self._is_failing = True
        else:
            if self._is_failing:
                warn(f"{self.label} has the whole record again.")
            self._is_failing = False


def incomplete(label: str, sync_flag: str, run_dir: Path) -> str:
    """The message at a run's end if its record elsewhere is incomplete."""
    command = f"{main_command()} {sync_flag}={shlex.quote(str(run_dir))}"
    return (
        f"the record in {label} is not complete; the one in {run_dir} is. Once the server "
        f"answers: {command}"
    )


def remembered_id(run_dir: Path, file: str, label: str) -> str:
    """The id of a run's record elsewhere, made up when it is first asked for.

    Args:
        run_dir: the run's folder.
        file: the file in it that keeps the id.
        label: what messages call the place.

    Raises:
        UserError: if it cannot be kept in the run's folder.
    """
    path = run_dir / file
    try:
        try:
            with path.open("x", encoding="utf-8") as new:
                new.write(uuid.uuid4().hex)
        except FileExistsError:
            pass
        return uuid.UUID(path.read_text(encoding="utf-8")).hex
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}, which names the run's record in {label}, cannot be used "
            f"({error}). Make the folder writable, or delete a damaged file; a new record is made "
            f"then."
        ) from error


def warn(text: str) -> None:
    """Print a warning about a record elsewhere."""
    print(f"warning: {text}", file=sys.stderr, flush=True)
