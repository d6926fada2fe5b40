"""Commands end with an exit code, not a traceback, after an error, a signal or a closed pipe."""

import sys
from collections.abc import Callable

from utils.errors import UserError, error_text
from utils.interruption import Interrupted, StopSignals
from utils.pipes import tolerate_closed_pipe


def guarded(command: Callable[[StopSignals], int]) -> int:
    """The exit code of a command, of a user's error, or 128 plus the number of a signal.

    Args:
        command: receives the signals that stop it.
    """
    with StopSignals() as signals:
        return tolerate_closed_pipe(lambda: _in_words(command, signals))


def settings_after_with(words: list[str], example: str) -> list[str]:
    """The settings on a command line.

    Args:
        words: what follows the other arguments.
        example: a command with settings, for the message.

    Raises:
        UserError: if the first word is not `with`.
    """
    if words and words[0] != "with":
        raise UserError(f"'{words[0]}' is not understood. Settings come after `with`: `{example}`.")
    return words[1:]


def _in_words(command: Callable[[StopSignals], int], signals: StopSignals) -> int:
    try:
        return command(signals)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return stop.exit_code
    except UserError as error:
        print(error_text(error), file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:  # nothing of ours calls sys.exit while a command runs
        print(
            f"error: an environment or another component called sys.exit({stop.code!r}), which "
            f"would have ended the program without a message. It must raise an error instead.",
            file=sys.stderr,
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error).split("\n")[0][:200] or "MemoryError"
        print(
            f"error: there is not enough memory ({reason}). Lower batch_size_run, "
            f"test_batch_size_run, batch_size or buffer_size, or choose another device.",
            file=sys.stderr,
        )
    return 2


def is_out_of_memory(error: Exception) -> bool:
    """Whether an allocation failed, on the host or on the device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    texts = ("can't allocate memory", "Storage size calculation overflowed")
    return any(text in str(error) for text in texts)
