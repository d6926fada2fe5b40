"""Sacred's record on the disk, with every file written whole or not at all."""

import os
import threading
from pathlib import Path
from typing import Any

from sacred.observers import FileStorageObserver


class WholeFileObserver(FileStorageObserver):
    """Sacred's own, save that a reader or the end of the process never meets half a file."""

    def save_json(self, obj: Any, filename: str) -> None:
        """Write a file of the record."""
        folder, part = Path(str(self.dir)), f".{filename}.{threading.get_ident()}.part"
        super().save_json(obj, part)
        os.replace(folder / part, folder / filename)
