"""Sacred's record on the disk: each file whole or not at all, and no error overlooked."""

import json
from pathlib import Path
from typing import Any

from sacred.observers import FileStorageObserver
from sacred.serializer import flatten

from utils.errors import UserError
from utils.files import reason, replacing


class DiskRecord(FileStorageObserver):
    """Sacred's observer of the disk, which remembers that something could not be written.

    Attributes:
        failure: why the record is incomplete, None while it is not.
    """

    failure: UserError | None = None

    def started_event(self, *args: Any, **kwargs: Any) -> Any:
        """Begin the record."""
        try:
            return super().started_event(*args, **kwargs)
        except OSError as error:
            raise self._failed(error) from error

    def save_json(self, obj: Any, filename: str) -> None:
        """Write a file of the record."""
        try:
            with replacing(Path(str(self.dir), filename)) as file:
                file.write(json.dumps(flatten(obj), sort_keys=True, indent=2).encode())
        except OSError as error:
            self._failed(error)

    def save_cout(self) -> None:
        """Write what the run printed."""
        try:
            super().save_cout()
        except OSError as error:
            self._failed(error)

    def require_complete(self) -> None:
        """Stop the run if its record cannot be written.

        Raises:
            UserError: if so.
        """
        if self.failure is not None:
            raise self.failure

    def _failed(self, error: OSError) -> UserError:
        self.failure = UserError(
            f"Sacred's record {self.dir or self.basedir} cannot be written ({reason(error)}). Free "
            f"space or make the folder writable; from its last checkpoint the run continues with "
            f"`with resume={Path(self.basedir).parent}`."
        )
        return self.failure
