"""The time that a check of an environment may take, and its progress."""

import math
from collections.abc import Callable
from time import monotonic

SAY_EVERY = 5.0  # seconds between two lines about the same part


class OutOfTime(Exception):
    """The budget is spent."""


class Budget:
    """Time for one check, from now on.

    Args:
        seconds: how much.
        say: takes a line about what is being done.
        clock: seconds since a fixed moment.
    """

    def __init__(
        self,
        seconds: float = math.inf,
        say: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = monotonic,
    ):
        self.seconds, self._say, self._clock = seconds, say, clock
        self._start = self._said = clock()
        self._part = ""

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._start

    def begin(self, part: str) -> None:
        """Say that a part of the check begins.

        Raises:
            OutOfTime: if there is no time left for it.
        """
        self._part, self._said = part, self._clock()
        self.require()
        self._say(f"  {part}")

    def require(self, progress: str = "") -> None:
        """Check that there is time left; report the progress from time to time.

        Raises:
            OutOfTime: if there is none.
        """
        now = self._clock()
        if now - self._start >= self.seconds:
            raise OutOfTime(self._part)
        if now - self._said >= SAY_EVERY:
            self._said = now
            self._say(f"  {self._part}: {progress}, {now - self._start:.0f} s")
