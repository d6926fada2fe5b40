"""Speaker-listener: the speaker knows the goal and cannot move, the listener moves and cannot know.

Source: `simple_speaker_listener_v4` of mpe2 (Lowe et al., arXiv 1706.02275). Three landmarks.

* observation of the speaker (3): colour of the goal 3
* observation of the listener (11): velocity 2, landmarks 6, the speaker's symbol 3
* reward of both: -distance(listener, goal)^2
"""

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from envs.mpe._entities import Agent, Landmark
from envs.mpe._observation_layout import ObservationLayout, Rows
from envs.mpe._scenario import SCENARIOS, Scenario
from envs.mpe._world import World

SPEAKER, LISTENER, GOAL = 0, 1, 5
COLOURS = ((0.65, 0.15, 0.15), (0.15, 0.65, 0.15), (0.15, 0.15, 0.65))  # of the landmarks


@SCENARIOS.register("speaker_listener")
class SpeakerListener(Scenario):
    """The speaker-listener scenario."""

    agents = (
        Agent("speaker_0", radius=0.075, accel=0.0, collides=False, n_symbols=3),
        Agent("listener_0", radius=0.075, collides=False),
    )
    landmarks = tuple(Landmark(radius=0.04, colour=colour) for colour in COLOURS)
    n_markers = 1
    signals: ClassVar = {"colour": 3}  # of the goal
    pairs: ClassVar = {"goal": [(LISTENER, GOAL)]}
    results: ClassVar = {"final_distance": "distance of the listener to the goal at the end"}

    @override
    def observation(self, i: int, layout: ObservationLayout) -> list[Rows]:
        if i == SPEAKER:
            return [layout.signal("colour")]
        landmarks = [layout.relative(self.landmark(k), i) for k in range(3)]
        return [layout.velocity(i), *landmarks, layout.symbol(SPEAKER)]

    def draw(self, world: World, generator: torch.Generator) -> None:
        """One of the landmarks is the goal."""
        size = (world.batch_size,)
        goal = torch.randint(3, size, generator=generator, device=world.device)  # [B]
        world.place_marker(0, goal)
        colours = world.constant(COLOURS)
        world.signal("colour").copy_(colours[goal].t())

    @override
    def rewards(self, world: World) -> tuple[Tensor, None]:
        distance = world.distance("goal")  # [1, B]
        return -(distance * distance).expand(2, -1), None

    @override
    def final(self, world: World) -> dict[str, Tensor]:
        return {"final_distance": world.distance("goal")[0]}
