"""Numbers in tables."""

import numpy as np

from analysis.numbers import decimals, number, span


def test_a_column_of_rates_has_more_decimals_than_one_of_returns() -> None:
    assert decimals(np.array([0.5, -1.9]), np.array([np.nan])) == 4
    assert decimals(np.array([0.5]), np.array([-7.8]), of_rates=3) == 1
    assert decimals(np.array([0.5]), of_rates=3) == 3
    assert decimals(np.array([])) == decimals() == 4


def test_what_is_not_known_is_a_dash() -> None:
    assert (number(0.5, 4), number(-1234.56, 1), number(np.nan, 1)) == ("0.5000", "-1,234.6", "-")
    assert (span(0, 1.25, 2), span(np.nan, np.nan, 4)) == ("0.00 to 1.25", "-")
