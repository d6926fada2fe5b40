"""Any configuration gives two updates, or an error message of the framework."""

import pytest
from hypothesis import given, settings
from tests.helpers.fuzz import UNHURRIED, commands, outcome

EXAMPLES = 60


@settings(UNHURRIED, max_examples=EXAMPLES, derandomize=True)
@given(argv=commands())
def test_any_configuration_trains_or_is_a_clear_error(argv: list[str]) -> None:
    assert outcome(argv) in ("trains", "rejected")


def test_a_buffer_beyond_all_memory_is_an_error_and_not_attempted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["--config=agp", "--env-config=topk", "with", "buffer_size=1e12"]
    assert outcome(argv) == "rejected"
    assert "GiB" in capsys.readouterr().err
