"""Statistics over few seeds and several tasks.

One task: the mean over seeds with Student's t-interval. Several tasks: interquartile mean,
probability of improvement and performance profiles of normalised scores. Their intervals are
stratified bootstraps (Agarwal et al., *Deep Reinforcement Learning at the Edge of the Statistical
Precipice*, NeurIPS 2021). `docs/guide/reports.md` says how often each interval covers the true
value.

The scores of a method are a list with one array for each task, and one number for each seed in it.
A statistic takes further axes in front, `[..., seeds]`, so that a bootstrap needs one call.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t, trim_mean

Array = NDArray[np.float64]
Scores = Sequence[Array]
LEVEL = 0.95  # of every interval
N_BOOTSTRAP = 2000  # resamples


class Interval(NamedTuple):
    """Where a true value is believed to be; both ends are NaN where nothing can be said."""

    low: float
    high: float


def t_interval(values: Array, level: float = LEVEL) -> Interval:
    """Student's t-interval of the mean; NaN with fewer than two values.

    It assumes normal values and does not know that a rate lies between 0 and 1.
    """
    n = len(values)
    if n < 2:
        return Interval(np.nan, np.nan)
    half = t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return Interval(float(values.mean() - half), float(values.mean() + half))


def welch_interval(ours: Array, theirs: Array, level: float = LEVEL) -> Interval:
    """Welch's t-interval of the difference of two means; NaN if one has fewer than two values.

    Variances may differ (Welch, Biometrika 34, 1947). It assumes normal values.
    """
    if min(len(ours), len(theirs)) < 2:
        return Interval(np.nan, np.nan)
    squares = [values.var(ddof=1) / len(values) for values in (ours, theirs)]
    total = sum(squares)
    mean = float(ours.mean() - theirs.mean())
    if total == 0:
        return Interval(mean, mean)
    sizes = (len(ours), len(theirs))
    freedom = total**2 / sum(s**2 / (n - 1) for s, n in zip(squares, sizes, strict=True))
    half = float(t.ppf((1 + level) / 2, freedom) * np.sqrt(total))
    return Interval(mean - half, mean + half)


def interquartile_mean(scores: Scores) -> Array:
    """Mean of the middle half of all scores; each run of each task counts once.

    Shapes:
        scores: one `[..., seeds]` for each task -> [...]
    """
    return np.asarray(trim_mean(np.concatenate(list(scores), axis=-1), 0.25, axis=-1))


def probability_of_improvement(ours: Scores, theirs: Scores) -> Array:
    """Probability that a run of ours scores higher than one of theirs, the mean over tasks.

    Equal scores count one half.

    Args:
        ours: scores of a method.
        theirs: scores of another method on the same tasks.

    Shapes:
        ours, theirs: one `[..., seeds]` for each task -> [...]
    """
    rates = []
    for x, y in zip(ours, theirs, strict=True):
        difference = x[..., :, None] - y[..., None, :]
        rates.append(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1)))
    return np.mean(rates, axis=0)


def performance_profile(scores: Scores, levels: Array) -> Array:
    """Share of all runs that score above each level.

    Shapes:
        scores: one `[..., seeds]` for each task;  levels: [n] -> [..., n]
    """
    return (np.concatenate(list(scores), axis=-1)[..., None, :] > levels[:, None]).mean(axis=-1)


def bootstrap_interval(
    statistic: Callable[..., Array],
    *groups: Scores,
    n_resamples: int = N_BOOTSTRAP,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[Array, Array]:
    """Percentile interval of a statistic; seeds are drawn again within each task (the strata).

    Args:
        statistic: maps the scores of each group to an array, all resamples at once: each task's
            scores are `[n_resamples, seeds]`, and the result `[n_resamples, ...]`.
        groups: scores of one or more methods, resampled independently.
        n_resamples: how many times seeds are drawn.
        level: of the interval.
        seed: of the draws, so that a report is the same each time.

    Returns:
        lower and upper end, each of the statistic's shape; NaN if no task has two seeds.
    """
    if all(len(task) < 2 for scores in groups for task in scores):
        nothing = np.full(np.shape(statistic(*groups)), np.nan)
        return nothing, nothing
    rng = np.random.default_rng(seed)
    drawn = [[rng.choice(task, (n_resamples, len(task))) for task in scores] for scores in groups]
    low, high = np.quantile(statistic(*drawn), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)
