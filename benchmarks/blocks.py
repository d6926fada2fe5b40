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
