"""The uninterrupted runs, and a report of what the fault tests did: seeds, moments, signals."""

import pytest
from tests.faults.processes import CASES, Job


@pytest.fixture(
    scope="session", params=[pytest.param(c, marks=pytest.mark.xdist_group(c)) for c in CASES]
)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The run of a case that nothing happens to; a test that takes it is made for every case."""
    job = Job(request.param, tmp_path_factory.mktemp(request.param))
    assert job.end(job.start()) == 0, job.output
    return job


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == "fault" and report.when == "call":
                    terminalreporter.write_line(f"{outcome}: {text}")
