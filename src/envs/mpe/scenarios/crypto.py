"""Crypto: alice sends bob a bit, encrypted with a key that eve, who receives it too, lacks.

Source: `simple_crypto_v3` of mpe2 (Lowe et al., arXiv 1706.02275). No agent moves. The message and
the key are each one of the first two of four symbols, drawn at reset and kept for the episode. All
three speak at every step; what eve and bob say is their guess. With continuous actions
a guess is a vector of strengths; it names the loudest symbol.

* observation of eve (4): alice's symbol 4
* observation of bob (8): key 4, alice's symbol 4
* observation of alice (8): message 4, key 4
* reward of eve: -e, with e = |eve's symbol - message|^2: 0 if she is right, else 2; silence costs 0
* reward of bob and alice: e - b, with b = |bob's symbol - message|^2
"""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import ADVERSARIES, GOOD, Agent, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._opponents import FrequencyDecoder
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._world import World

EVE, BOB, ALICE = 0, 1, 2
N_MESSAGES = 2


@SCENARIOS.register("crypto")
class Crypto(Scenario):
    """The crypto scenario."""

    agents = tuple(
        Agent(name, team, accel=0.0, collides=False, n_symbols=4)
        for name, team in (("eve_0", ADVERSARIES), ("bob_0", GOOD), ("alice_0", GOOD))
    )
    landmarks = (Landmark(),) * 2  # unseen; they only lend their colours to message and key
    signals: ClassVar = {"message": 4, "key": 4}
    events: ClassVar = {
        "eve_correct": "share of steps at which eve named the message",
        "bob_correct": "share of steps at which bob named the message",
    }
    learners = GOOD
    scripted = staticmethod(
        partial(FrequencyDecoder, speaker=ALICE, secret="message", n_secrets=N_MESSAGES)
    )

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        if i == ALICE:
            return [layout.signal("message"), layout.signal("key")]
        received = layout.symbol(ALICE)
        return [layout.signal("key"), received] if i == BOB else [received]

    def draw(self, world: World, generator: torch.Generator) -> None:
        """A message and a key."""
        size = (2, 1, world.batch_size)
        drawn = torch.randint(N_MESSAGES, size, generator=generator, device=world.device)
        world.signal("message").scatter_(0, drawn[0], 1.0)
        world.signal("key").scatter_(0, drawn[1], 1.0)

    @override
    def rewards(self, world: World) -> tuple[Tensor, Tensor]:
        guesses = world.symbols[:8].view(2, 4, -1)  # of eve and bob
        if world.actions.is_continuous:
            return _rewards_of_strengths(guesses, world.signal("message"))
        correct = (guesses * world.signal("message")).sum(dim=1)  # [2, B], 1 or 0
        eve, bob = correct
        good = (bob - eve) * 2
        return torch.stack((eve * 2 - 2, good, good)), correct

    def caption(self, world: World, b: int) -> str:
        """Message and key, as letters."""
        drawn = (world.signal(name)[:, b].argmax() for name in ("message", "key"))
        message, key = (chr(ord("A") + int(k)) for k in drawn)
        return f"message {message}, key {key}"

    def counted(self, events: Tensor, n_steps: int) -> Tensor:
        """As shares."""
        return events / n_steps


def _rewards_of_strengths(guesses: Tensor, message: Tensor) -> tuple[Tensor, Tensor]:
    """What `rewards` returns, of guesses [2, 4, B] that are vectors of strengths."""
    error = (guesses - message).square().sum(dim=1)  # [2, B]
    eve, bob = error * guesses.any(dim=1)
    others = guesses.masked_fill(message.bool(), -1.0).amax(dim=1)
    correct = ((guesses * message).sum(dim=1) > others).to(guesses.dtype)
    return torch.stack((-eve, eve - bob, eve - bob)), correct
