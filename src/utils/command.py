"""What every command does with an error or a signal: it says so in words, without a traceback."""

import os
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
            code = command(signals)
            sys.stdout.flush()
            return code
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            return stop.exit_code
        except UserError as error:
            print(error_text(error), file=sys.stderr)
            return 2
        except BrokenPipeError:  # the reader has seen enough, as in `| head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
