"""How the benchmarks time something: CPU milliseconds, the median over blocks of calls."""

import statistics
import time
from collections.abc import Callable

BLOCKS, BLOCK_SECONDS = 7, 0.5


def milliseconds(work: Callable[[], object]) -> float:
    """Median CPU milliseconds of one call."""
    started = time.process_time()
    work()
    n = max(1, int(BLOCK_SECONDS / max(time.process_time() - started, 1e-6)))
    blocks = []
    for _ in range(BLOCKS):
        started = time.process_time()
        for _ in range(n):
            work()
        blocks.append(1e3 * (time.process_time() - started) / n)
    return statistics.median(blocks)


def in_turns(
    works: dict[str, Callable[[], object]], turns: int = 7, seconds: float = 0.1
) -> dict[str, list[float]]:
    """CPU milliseconds of one call of each, once per turn, because machines drift."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(turns):
        for name, work in works.items():
            n_calls, started = 0, time.process_time()
            while n_calls == 0 or time.process_time() - started < seconds:
                work()
                n_calls += 1
            found[name].append(1e3 * (time.process_time() - started) / n_calls)
    return found


def median_ratio(times: dict[str, list[float]], base: str, name: str) -> float:
    """How many times as fast as `base` another is: the median of the ratios of each turn."""
    pairs = zip(times[base], times[name], strict=True)
    return statistics.median(theirs / mine for theirs, mine in pairs)
