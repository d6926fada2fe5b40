"""What every command does with an error or a signal: it says so in words, without a traceback."""

import sys
from collections.abc import Callable

from utils.errors import UserError, error_text
from utils.interruption import Interrupted, StopSignals


def guarded(command: Callable[[StopSignals], int]) -> int:
    """The exit code of a command: its own, 2 for a user's error, 128 plus the number of a signal.

    Args:
        command: receives the signals that stop it.
    """
    with StopSignals() as signals:
        try:
            return command(signals)
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            return stop.exit_code
        except UserError as error:
            print(error_text(error), file=sys.stderr)
            return 2
