"""Output whose reader may go away, such as `python src/main.py --help | head`."""

import os
import sys
from collections.abc import Callable

READER_GONE = 128 + 13  # exit code of a program that SIGPIPE (13) ends


def tolerate_closed_pipe(command: Callable[[], int | None]) -> int:
    """Run a command; returns its exit code, or 141 if its output has no reader any more.

    A command that continues without a reader, such as a training run, keeps its exit code.
    """
    try:
        return command() or 0
    except BrokenPipeError:
        return READER_GONE
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes once more at exit; what is left must go somewhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError:
            pass  # a full disk: Python reports it at exit
