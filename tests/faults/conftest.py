"""Prints what the fault tests did: seeds, moments, signals."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == "fault":
                    terminalreporter.write_line(f"{outcome}: {text}")
