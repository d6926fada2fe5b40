"""How often 95 % intervals of a mean over few seeds contain the true mean.

    python benchmarks/interval_coverage.py [--repeats 20000]

For 3, 5 and 10 seeds: the t-interval and the percentile bootstrap (2000 resamples), for values from
a normal distribution and from a skewed one (success rates near their upper end: Beta(8, 1)).
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from scipy.stats import t

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from analysis.statistics import LEVEL, N_BOOTSTRAP, Array

BLOCK = 500  # samples at the same time


def coverage(name: str, n_seeds: int, repeats: int, rng: np.random.Generator) -> Array:
    """Share of t-intervals and of percentile bootstraps that contain the true mean."""
    covered = []
    for _ in range(repeats // BLOCK):
        shape = (BLOCK, n_seeds)
        values = rng.normal(size=shape) if name == "normal" else rng.beta(8, 1, shape)
        truth = 0 if name == "normal" else 8 / 9
        quantile = t.ppf((1 + LEVEL) / 2, n_seeds - 1)
        half = quantile * values.std(axis=1, ddof=1) / np.sqrt(n_seeds)
        by_t = np.abs(values.mean(axis=1) - truth) <= half
        drawn = rng.integers(n_seeds, size=(N_BOOTSTRAP, n_seeds))
        means = values[:, drawn].mean(axis=2)  # [BLOCK, N_BOOTSTRAP]
        low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
        covered.append([by_t.mean(), ((low <= truth) & (truth <= high)).mean()])
    share: Array = np.mean(covered, axis=0)
    return share


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20000, help="samples of seeds, in 500s")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    print("| values | seeds | t-interval | percentile bootstrap |\n|---|---|---|---|")
    for name in ("normal", "skewed"):
        for n_seeds in (3, 5, 10):
            by_t, by_bootstrap = coverage(name, n_seeds, given.repeats, rng)
            print(f"| {name} | {n_seeds} | {by_t:.1%} | {by_bootstrap:.1%} |")


if __name__ == "__main__":
    main()
