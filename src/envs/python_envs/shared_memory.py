"""The arrays that a parent and its workers share: one block of memory, one slot per environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
ALIGNMENT = 64  # bytes; a cache line, and enough for every dtype
FLOATS, BYTES, FLAGS = np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.bool_)


@dataclass(frozen=True)
class Region:
    """Where an array lies in the block."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.start + int(np.prod(self.shape)) * self.dtype.itemsize


class Arrays(NamedTuple):
    """Every array of the block; the parent writes the first ones, the workers the others."""

    control: Array  # [2] int64, the command and the step's number
    failed: Array  # [W] int64, 1 where a worker has a failure to report
    busy: Array  # [W] int64, the slot that each worker is stepping
    seeds: Array  # [B] int64, for the next reset
    actions: Array  # [B, N] int64; continuous: [B, N, A] float32
    obs: Array  # [B, N, O] float32, or uint8 for images
    state: Array  # [B, S] float32; S = 0 if the state is made of the observations
    reward: Array  # [B, N] float32
    metrics: Array  # [B, M] float32
    avail: Array  # [B, N, A] bool
    is_active: Array  # [B, N] bool
    ended: Array  # [B, 2] bool: terminated, truncated


class EnvSlot(NamedTuple):
    """One environment's part of the arrays that workers write."""

    obs: Array  # [N, O]
    state: Array  # [S]
    reward: Array  # [N]
    metrics: Array  # [M]
    avail: Array  # [N, A]
    is_active: Array  # [N]
    ended: Array  # [2]


class MemoryLayout:
    """Where each array lies.

    Args:
        b, n, o, a, s, m, w: environments, agents, observation, actions, state, metrics, workers.
        is_image: observations are bytes.
        is_continuous: actions are vectors of numbers.

    Attributes:
        regions: name of each array: its region.
        n_bytes: size of the block.
    """

    def __init__(
        self,
        b: int,
        n: int,
        o: int,
        a: int,
        s: int,
        m: int,
        w: int,
        is_image: bool,
        is_continuous: bool = False,
    ):
        whole = np.dtype(np.int64)
        shapes: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {
            "control": ((2,), whole),
            "failed": ((w,), whole),
            "busy": ((w,), whole),
            "seeds": ((b,), whole),
            "actions": ((b, n, a), FLOATS) if is_continuous else ((b, n), whole),
            "obs": ((b, n, o), BYTES if is_image else FLOATS),
            "state": ((b, s), FLOATS),
            "reward": ((b, n), FLOATS),
            "metrics": ((b, m), FLOATS),
            "avail": ((b, n, a), FLAGS),
            "is_active": ((b, n), FLAGS),
            "ended": ((b, 2), FLAGS),
        }
        self.regions: dict[str, Region] = {}
        end = 0
        for name, (shape, dtype) in shapes.items():
            region = Region(-(-end // ALIGNMENT) * ALIGNMENT, shape, dtype)
            self.regions[name], end = region, region.end
        self.n_bytes = end

    def views(self, block: Array) -> Arrays:
        """The arrays in a block of bytes, [n_bytes] uint8."""
        return Arrays(
            **{
                name: block[region.start : region.end].view(region.dtype).reshape(region.shape)
                for name, region in self.regions.items()
            }
        )


def clear_slots(arrays: Arrays, slots: Array, action_counts: Sequence[int]) -> None:
    """Fill slots with zeros, every action available, as at the end of a truncated episode.

    Args:
        arrays: of all slots.
        slots: which ones, [B] bool.
        action_counts: of each agent.
    """
    for name in ("obs", "state", "reward", "metrics"):
        getattr(arrays, name)[slots] = 0
    real = np.arange(arrays.avail.shape[2]) < np.array(action_counts)[:, None]  # [N, A]
    arrays.avail[slots] = real
    arrays.is_active[slots] = True
    arrays.ended[slots] = (False, True)


def slot_of(arrays: Arrays, number: int) -> EnvSlot:
    """The slot with this number."""
    return EnvSlot(*(getattr(arrays, name)[number] for name in EnvSlot._fields))
