"""What a suite does after each exit code of a run's process."""

from typing import Literal

from utils.errors import LockedError, UserError

Verdict = Literal["done", "failed", "wait", "requeue", "retry"]
STOPPED = (130, 143)  # SIGINT, SIGTERM: the run was saved

VERDICTS: dict[int, Verdict] = {
    0: "done",
    UserError.exit_code: "failed",  # would fail again in the same way
    LockedError.exit_code: "wait",  # another process trains the run: ask again later
    **dict.fromkeys(STOPPED, "requeue"),  # such as a machine that was taken away
}


def verdict(code: int) -> Verdict:
    """What to do; any code that is not listed means another try, from the last checkpoint."""
    return VERDICTS.get(code, "retry")
