"""How long each phase of a run takes: by the clock of the host, or on a GPU by events."""

from time import perf_counter

import torch

MOST_PENDING = 4096  # intervals whose length is not asked of the device yet


class Phases:
    """Adds up the seconds of named phases.

    On a CUDA device commands are only queued, so that events in the queue measure, and are read
    when the seconds are asked for. Inside a CUDA graph nothing is measured.

    Args:
        names: of the phases.
        device: what the phases wait for.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device):
        self._totals = dict.fromkeys(names, 0.0)
        self._on_gpu = device.type == "cuda"
        self._pending: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
        self._last: float | torch.cuda.Event = 0.0

    def start(self) -> None:
        """Do not count the time since the last split."""
        self._last = self._now()

    def split(self, name: str) -> None:
        """Add the time since the last split, or start, to this phase."""
        if self._on_gpu and torch.cuda.is_current_stream_capturing():
            return
        before, self._last = self._last, self._now()
        if isinstance(before, float) and isinstance(self._last, float):
            self._totals[name] += self._last - before
        elif isinstance(before, torch.cuda.Event) and isinstance(self._last, torch.cuda.Event):
            self._pending.append((name, before, self._last))
            if len(self._pending) == MOST_PENDING:
                self._read()

    def seconds(self) -> dict[str, float]:
        """Seconds of each phase since the last `reset`."""
        self._read()
        return dict(self._totals)

    def reset(self) -> None:
        """Begin at zero."""
        self._read()
        self._totals = dict.fromkeys(self._totals, 0.0)

    def _now(self) -> "float | torch.cuda.Event":
        if not self._on_gpu:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _read(self) -> None:
        for name, before, after in self._pending:
            after.synchronize()
            self._totals[name] += before.elapsed_time(after) / 1e3
        self._pending = []
