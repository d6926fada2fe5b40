"""What all tests share: SIGINT arrives, even where a shell started pytest in the background."""

import signal

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Receive SIGINT, which a shell lets its jobs in the background ignore."""
    del config
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
