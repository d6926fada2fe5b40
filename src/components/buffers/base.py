"""Base class of buffers: a ring of whole episodes, allocated once on the training device."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from components.episode_batch import EpisodeBatch
from components.settings import ExperienceSettings
from utils.errors import UserError
from utils.seeding import generator_state, restore_generator


class EpisodeBuffer:
    """Keeps the newest `capacity` episodes.

    Args:
        config: settings of the component.
        storage: an empty batch of `capacity` episodes (`EpisodeBatch.zeros`), used as the ring
            itself.
        generator: source of random draws.
        fixed_length: every episode fills all T steps, so that lengths need not be looked at.
    """

    gives: ClassVar[str]  # what a learner gets from it, see `Learner.learns_from`
    capacity_setting: ClassVar[str]  # the run's setting that says how many episodes it keeps

    def __init__(
        self,
        config: Any,
        storage: EpisodeBatch,
        generator: np.random.Generator,
        fixed_length: bool,
    ):
        del config
        self._storage = storage
        self._generator = generator
        self._fixed_length = fixed_length
        self._lengths = np.zeros(storage.n_episodes, np.int64)
        self._head = 0
        self.n_episodes = 0

    @staticmethod
    def problems(settings: ExperienceSettings) -> Iterable[str]:
        """Conflicts between the run's settings and such a buffer, with remedies."""
        return ()

    @property
    def capacity(self) -> int:
        """Largest number of episodes kept."""
        return self._storage.n_episodes

    @property
    def n_bytes(self) -> int:
        """Memory of the ring in bytes."""
        return self._storage.n_bytes

    def add(self, batch: EpisodeBatch) -> None:
        """Copy a batch of at most `capacity` episodes into the ring, over the oldest ones."""
        n, start = batch.n_episodes, self._head
        first = min(n, self.capacity - start)
        for name, stored in self._storage.items():
            new = getattr(batch, name)
            stored[start : start + first].copy_(new[:first])
            if first < n:
                stored[: n - first].copy_(new[first:])
        if not self._fixed_length:
            lengths = batch.valid.sum(dim=(1, 2)).cpu().numpy()
            self._lengths[np.arange(start, start + n) % self.capacity] = lengths
        self._head = (start + n) % self.capacity
        self.n_episodes = min(self.n_episodes + n, self.capacity)

    def empty_batch(self, n: int) -> EpisodeBatch:
        """Unset memory for `n` episodes."""
        return self._storage.empty(n)

    def state_dict(self, with_episodes: bool = True) -> dict[str, Any]:
        """Everything `load_state_dict` needs; without the episodes only the stream of draws."""
        state: dict[str, Any] = {"generator": generator_state(self._generator)}
        if with_episodes:
            state |= {
                "head": self._head,
                "lengths": torch.from_numpy(self._lengths[: self.n_episodes].copy()),
                "episodes": {  # in the host's memory: a GPU that is full of them has no room
                    name: stored[: self.n_episodes].to("cpu", copy=True)
                    for name, stored in self._storage.items()
                },
            }
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved buffer; one saved without its episodes starts empty.

        Raises:
            ValueError: if it holds more episodes than this one can.
        """
        restore_generator(self._generator, state["generator"])
        self.n_episodes = self._head = 0
        if "episodes" in state:
            head, lengths, episodes = state["head"], state["lengths"], state["episodes"]
            n = len(lengths)
            if n > self.capacity:
                limit = f"{self.capacity_setting}={self.capacity}"
                raise ValueError(f"{n} saved episodes exceed {limit}")
            if n < self.capacity and head != n:  # from a full, smaller ring: oldest first
                lengths = lengths.roll(-head)
                episodes = {name: saved.roll(-head, 0) for name, saved in episodes.items()}
                head = n
            self._head, self.n_episodes = head, n
            self._lengths[:n] = lengths.numpy()
            for name, stored in self._storage.items():
                stored[:n].copy_(episodes[name])


def require_memory(n_bytes: int, device: torch.device, what: str, setting: str) -> None:
    """Check that the device can hold an allocation.

    Raises:
        UserError: if `n_bytes` is more than the device's free memory.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _free_host_memory()
    if free is not None and n_bytes > free:
        raise UserError(
            f"{what} needs {n_bytes / 2**30:.2f} GiB, but {device} has {free / 2**30:.2f} GiB "
            f"free. Lower {setting}, or choose another device."
        )


def _free_host_memory() -> int | None:
    """Bytes the operating system can give; None where that is unknown (other than Linux)."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines)}
    return int(sizes["MemAvailable"]) * 1024 if "MemAvailable" in sizes else None
