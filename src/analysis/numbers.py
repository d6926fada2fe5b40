"""Numbers in tables: those of a column have equally many decimals."""

import math

import numpy as np

from analysis.statistics import Array


def decimals(*values: Array, of_rates: int = 4) -> int:
    """How many decimals a column has: `of_rates` if all values are below 2 in size, else one."""
    sizes = np.abs(np.concatenate([np.ravel(v) for v in values])) if values else np.zeros(0)
    return of_rates if (sizes[np.isfinite(sizes)] < 2).all() else 1


def number(x: float, digits: int) -> str:
    """A number; a dash for what is not known."""
    return "-" if math.isnan(x) else f"{x:,.{digits}f}"


def span(low: float, high: float, digits: int) -> str:
    """An interval; a dash if there is none."""
    return "-" if math.isnan(low) else f"{low:,.{digits}f} to {high:,.{digits}f}"
