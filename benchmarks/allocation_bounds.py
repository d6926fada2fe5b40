"""Print what can be earned in `allocation`: `python benchmarks/allocation_bounds.py`.

For each size: the expected optimum, the most that policies earn that see their own value only, an
upper bound on that, and what the same policies earn that ignore their value (all give K/N).
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from analysis import allocation_bounds as bounds

SIZES = ((6, 2, 2.0), (2, 1, 2.0), (4, 2, 2.0), (10, 3, 2.0), (10, 3, 1.1))
N_BINS, N_STEPS, WIDTH, ACCURACY = 256, 4096, 5e-3, 1e-3


def main() -> None:
    """Print the table."""
    print("| N | K | penalty | optimum | independent | upper bound | all give K/N |")
    print("|---" * 7 + "|")
    for n, k, penalty in SIZES:
        bound = bounds.best_independent(n, k, penalty, N_BINS, N_STEPS, WIDTH, ACCURACY)
        found = (bounds.optimum(n, k), bound.reached, bound.most, k / 2)
        shown = " | ".join(f"{x:.4f}" for x in found)
        print(f"| {n} | {k} | {penalty:g} | {shown} |", flush=True)
    places = np.linspace(0, N_BINS - 1, 9).astype(int)
    rule = ", ".join(f"{(p + 0.5) / N_BINS:.2f}: {bound.effort[p]:.2f}" for p in places)
    print(f"\nThe best rule of the last row, value: effort. {rule}")


if __name__ == "__main__":
    main()
