"""The processes of this machine; they share the group of this one, so Ctrl-C reaches them."""

import os

from engines.process import Process


class Local:
    """Starts each command at once."""

    def start(self, argv: list[str]) -> Process:
        """Start a command in the current folder."""
        return Process(argv, os.getcwd())

    def close(self) -> None:
        """Nothing is held."""
