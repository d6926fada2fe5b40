import itertools

import numpy as np
import pytest
import torch
from torch import nn

from utils.seeding import (
    generator_state,
    numpy_generator,
    restore_generator,
    seed_number,
    seeded_initialisation,
    torch_generator,
)


def test_a_stream_is_its_seed_and_its_name() -> None:
    # Written down, so that a change of the rule, which changes every result, does not go unseen.
    assert seed_number(1, "exploration") == 2333687166248822745
    key = (2886666931, 3)  # CRC-32 of the word, and the number itself
    expected = np.random.SeedSequence(1, spawn_key=key).generate_state(1, np.uint64)[0]
    assert seed_number(1, "exploration", 3) == int(expected >> np.uint64(1))


def test_names_seeds_and_indices_make_different_streams() -> None:
    names = [(), ("a",), ("b",), ("a", 0), ("a", 1), ("a", "b"), ("b", "a"), (0,), (1,)]
    numbers = {seed_number(s, *name) for s, name in itertools.product(range(50), names)}
    assert len(numbers) == 50 * len(names)
    assert all(0 <= number < 2**63 for number in numbers)


def test_generators_repeat_and_differ() -> None:
    a, again, other = (torch.rand(4, generator=torch_generator(1, n)) for n in ("x", "x", "y"))
    assert torch.equal(a, again)
    assert not torch.equal(a, other)
    assert numpy_generator(1, "x").random() == numpy_generator(1, "x").random()
    assert numpy_generator(1, "x").random() != numpy_generator(2, "x").random()


def test_initial_weights_come_from_their_stream_and_leave_no_trace() -> None:
    state = torch.get_rng_state()

    def weights(seed: int, name: str) -> torch.Tensor:
        with seeded_initialisation(seed, "weights", name):
            return nn.Linear(3, 3).weight.detach()

    assert torch.equal(weights(1, "agent"), weights(1, "agent"))
    assert not torch.equal(weights(1, "agent"), weights(1, "mixer"))
    assert not torch.equal(weights(1, "agent"), weights(2, "agent"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("make", [torch_generator, numpy_generator])
def test_a_restored_generator_continues_where_it_was(make: type) -> None:
    def draw(generator: torch.Generator | np.random.Generator) -> float:
        if isinstance(generator, torch.Generator):
            return torch.rand(1, generator=generator).item()
        return float(generator.random())

    generator = make(1, "x")
    draw(generator)
    state = generator_state(generator)
    expected = [draw(generator) for _ in range(3)]
    fresh = make(9, "y")
    restore_generator(fresh, state)
    assert [draw(fresh) for _ in range(3)] == expected


def test_a_state_of_another_kind_of_device_is_an_error() -> None:
    with pytest.raises(ValueError, match="another kind of device than cpu"):
        restore_generator(torch_generator(1, "x"), torch.zeros(16, dtype=torch.uint8))
