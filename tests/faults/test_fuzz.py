"""Many more random configurations than the fast tests try, new ones every time."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, seed, settings
from tests.faults.processes import new_seed
from tests.fuzz import commands, outcome

pytestmark = pytest.mark.faults
PARTS, EXAMPLES = 4, 500


@pytest.mark.parametrize("part", range(PARTS))
def test_any_configuration_trains_or_is_refused_in_words(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    number, outcomes = new_seed(), Counter[str]()

    @seed(number + part)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(argv=commands())
    def fuzz(argv: list[str]) -> None:
        outcomes[outcome(argv)] += 1

    try:
        fuzz()
    finally:
        record_property(
            "fault",
            f"random configurations {part}, FAULT_SEED={number}: {outcomes['trains']} trained, "
            f"{outcomes['refused']} were refused in words",
        )
