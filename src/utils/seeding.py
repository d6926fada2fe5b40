"""One root seed, many independent random streams.

Every consumer of randomness has a name ("exploration", "replay", "train_env", 3, ...). Its stream
is derived from the run's seed and that name by NumPy's `SeedSequence`. So streams of different
names, and of runs with different seeds, never overlap, also in runs at the same time.
"""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_sequence(seed: int, *name: str | int) -> np.random.SeedSequence:
    """The `SeedSequence` of the stream `name` below the root seed."""
    key = tuple(part if isinstance(part, int) else zlib.crc32(part.encode()) for part in name)
    return np.random.SeedSequence(entropy=seed, spawn_key=key)


def seed_number(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream `name`, for libraries that take one number."""
    return int(seed_sequence(seed, *name).generate_state(1, np.uint64)[0] >> np.uint64(1))


def torch_generator(
    seed: int, *name: str | int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """A torch generator on `device` for the stream `name`."""
    return torch.Generator(device=device).manual_seed(seed_number(seed, *name))


def numpy_generator(seed: int, *name: str | int) -> np.random.Generator:
    """A NumPy generator for the stream `name`."""
    return np.random.default_rng(seed_sequence(seed, *name))


def seed_libraries(seed: int) -> None:
    """Seed the generators that a whole process shares.

    Nothing here draws from them; an environment of another library may.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


@contextmanager
def seeded_initialisation(seed: int, *name: str | int) -> Iterator[None]:
    """Within the block, PyTorch's layer initialisers draw from the stream `name`."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed_number(seed, *name))
        yield


def generator_state(generator: torch.Generator | np.random.Generator) -> Any:
    """State of a generator as plain data or a tensor, for a checkpoint."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return dict(generator.bit_generator.state)


def restore_generator(generator: torch.Generator | np.random.Generator, state: Any) -> None:
    """Put a generator back into a state returned by `generator_state`.

    Raises:
        ValueError: if the state is one of another kind of device.
    """
    if isinstance(generator, torch.Generator):
        if len(state) != len(generator.get_state()):
            raise ValueError(
                f"its random streams are those of another kind of device than {generator.device}; "
                f"resume it there, or start a new run from its weights with checkpoint_path=<run>"
            )
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
