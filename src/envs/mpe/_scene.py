"""The scene of a particle world, for films (`envs/scene.py`).

Agents that cannot move have positions too, but no agent observes them and they have no effect: such
agents are drawn beside the world. Where no agent moves, landmarks have no effect and are left out.
"""

import torch

from envs.mpe._entities import ADVERSARIES, GOOD, Landmark
from envs.mpe._scenario import Scenario
from envs.mpe._world import World
from envs.scene import AgentShape, Colour, Point, Scene, Shape

# One colour for a team, or one for each agent where there is a single team.
TEAM_COLOURS: dict[str, Colour] = {GOOD: (52, 120, 210), ADVERSARIES: (208, 62, 54)}
AGENT_COLOURS: tuple[Colour, ...] = ((236, 132, 28), (128, 84, 190), (20, 152, 150))
KIND_COLOURS: dict[str, Colour] = {
    "landmark": (120, 124, 130),
    "obstacle": (86, 90, 98),
    "food": (222, 160, 20),
    "forest": (84, 160, 92),
    "goal": (24, 26, 30),
}
RING = 0.06  # metres between a landmark and the ring around it, and between two rings


def scene_of(scenario: Scenario, world: World, b: int) -> Scene:
    """Everything in world number `b`."""
    places: list[Point] = [(x, y) for x, y in world.position[:, :, b].t().tolist()]
    agents = []
    for i, agent in enumerate(scenario.agents):
        symbols = world.symbol(i)[:, b]
        agents.append(
            AgentShape(
                name=agent.name,
                group=agent.team if len(scenario.teams) > 1 else "",
                colour=_agent_colour(world, i),
                radius=agent.radius,
                at=places[i] if agent.accel else None,
                says=int(torch.argmax(symbols)) if symbols.any() else None,
            )
        )
    shapes = _landmarks(world, places) + _goals(world, places) if world.moves else []
    return Scene(tuple(agents), tuple(shapes), scenario.caption(world, b))


def _agent_colour(world: World, i: int) -> Colour:
    scenario = world.scenario
    own = AGENT_COLOURS[i % len(AGENT_COLOURS)]
    return own if len(scenario.teams) == 1 else TEAM_COLOURS[scenario.agents[i].team]


def _landmarks(world: World, places: list[Point]) -> list[Shape]:
    scenario = world.scenario
    found = []
    for k, landmark in enumerate(scenario.landmarks):
        place = places[scenario.landmark(k)]
        found.append(Shape(landmark.kind, place, landmark.radius, _landmark_colour(landmark)))
    return sorted(found, key=lambda shape: -shape.radius)  # large ones below


def _landmark_colour(landmark: Landmark) -> Colour:
    if landmark.colour is None:
        return KIND_COLOURS[landmark.kind]
    red, green, blue = (round(255 * part) for part in landmark.colour)
    return red, green, blue


def _goals(world: World, places: list[Point]) -> list[Shape]:
    """A ring around each marker's landmark, in the colour of the one agent that is to go there."""
    scenario = world.scenario
    pairs = {tuple(sorted(pair)) for group in scenario.pairs.values() for pair in group}
    found: list[Shape] = []
    for k in range(scenario.n_markers):
        marker = scenario.marker(k)
        owners = [agent for agent, other in pairs if other == marker]
        colour = _agent_colour(world, owners[0]) if len(owners) == 1 else KIND_COLOURS["goal"]
        inner_rings = sum(ring.at == places[marker] for ring in found)
        radius = scenario.landmarks[0].radius + RING * (1 + inner_rings)
        found.append(Shape("goal", places[marker], radius, colour))
    return found
