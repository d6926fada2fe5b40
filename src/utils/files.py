"""Files that are there whole or not at all, however the process ends."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".*.tmp"  # pattern of the temporary names


@contextmanager
def replacing(path: Path, keep_as: Path | None = None) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once the block has ended well and it is on the disk.

    It is written under a temporary name in the same folder; if the block fails, or the disk is
    full, that name goes and `path` stays as it was.

    Args:
        path: the file to be written.
        keep_as: another name in the same folder that the file now at `path` keeps; None: it goes.

    Raises:
        OSError: if the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if keep_as is not None and path.exists():
            os.replace(path, keep_as)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)  # gone already, unless something went wrong


def reason(error: BaseException) -> str:
    """Why something could not be read or written, on one short line.

    What the operating system said counts most, even where a library has wrapped it in another
    error.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__context__
    return str(error).split("\n")[0][:200]
