"""Many more random configurations than the fast tests try, new ones every time."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, seed, settings
from tests.faults.processes import new_seed
from tests.helpers.fuzz import UNHURRIED, commands, kinds, outcome
from tests.helpers.runs import TINY

pytestmark = pytest.mark.faults
PARTS, EXAMPLES = 4, 500
ODD = ("-1", "0", "3", "2147483648", "1e18", "9223372036854775808", "1e300", ".inf", ".nan", "[1]")
PAIRS = [("agp", "topk"), ("qmix", "mpe_spread"), ("dcg", "topk"), ("dicg", "topk")]
PAIRS += [("fop", "topk"), ("macpf", "topk"), ("vdn", "topk_anticoord"), ("vdn", "pettingzoo")]


@pytest.mark.parametrize(("alg", "env"), PAIRS)
def test_every_number_separately(
    alg: str, env: str, record_property: Callable[[str, object], None]
) -> None:
    outcomes = Counter[str]()
    for key, kind in kinds(alg, env).items():
        if kind in ("int", "float") and ("." in key or alg == "agp"):
            for value in ODD:
                command = [f"--config={alg}", f"--env-config={env}", "with", *TINY]
                outcomes[outcome([*command, f"{key}={value}"])] += 1
    record_property(
        "fault",
        f"odd numbers, {alg} on {env}: {outcomes['trains']} trained, "
        f"{outcomes['rejected']} were rejected with a message",
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_any_configuration_trains_or_is_a_clear_error(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    number, outcomes = new_seed(), Counter[str]()

    @seed(number + part)
    @settings(UNHURRIED, max_examples=EXAMPLES)
    @given(argv=commands())
    def fuzz(argv: list[str]) -> None:
        outcomes[outcome(argv)] += 1

    try:
        fuzz()
    finally:
        record_property(
            "fault",
            f"random configurations {part}, FAULT_SEED={number}: {outcomes['trains']} trained, "
            f"{outcomes['rejected']} were rejected with a message",
        )
