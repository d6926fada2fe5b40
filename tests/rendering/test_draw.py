"""Frames show what there is: agents in their colours and places, words, steps, attention."""

import numpy as np
import pytest
import torch
from PIL import Image
from tests.envs.mpe.worlds import build, random_actions

from envs.mpe._scenario import SCENARIOS
from envs.scene import AgentShape, Scene, Shape
from rendering.draw import Frame, FrameDrawer
from rendering.draw_agents import ATTENTION, free_box
from rendering.drawing_surface import around
from rendering.layout import view_radius

RED, BLUE = (200, 40, 40), (40, 80, 200)
HEADER = "episode 1   step 3/25   return -1.5"


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture).astype(int)


def scene_with(says: int | None = None, at: tuple[float, float] = (0.5, 0.5)) -> Scene:
    agents = (
        AgentShape("one", "team", RED, 0.1, at, says),
        AgentShape("two", "team", BLUE, 0.1, (-0.5, -0.5)),
    )
    return Scene(agents, (Shape("landmark", (0.5, -0.5), 0.1, (20, 160, 60)),))


def draw(scene: Scene, header: str = HEADER, **shown: object) -> np.ndarray:
    drawer = FrameDrawer("title", scene, [agent.name for agent in scene.agents])
    return pixels(drawer.draw(Frame(scene, header, **shown), view=1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", SCENARIOS.names())
def test_every_scenario_can_be_drawn(scenario: str) -> None:
    env = build(scenario)
    luck = torch.Generator().manual_seed(2)
    scenes = [env.scene(1)]
    for _ in range(3):
        env.step(random_actions(env, luck))
        scenes.append(env.scene(1))
    view = view_radius(scenes)
    drawer = FrameDrawer("title", scenes[0], env.info.agent_names)
    frames = [drawer.draw(Frame(s, HEADER, scenes[:t]), view) for t, s in enumerate(scenes)]
    assert {frame.size for frame in frames} == {drawer.layout.size}
    assert drawer.layout.size[0] % 2 == drawer.layout.size[1] % 2 == 0
    first, last = pixels(frames[0]), pixels(frames[-1])
    assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50
    assert (first != last).any()
    for scene, shown in zip(scenes, map(pixels, frames), strict=True):
        places = drawer.layout.positions(scene, view)
        for agent, (x, y) in zip(scene.agents, places, strict=True):
            others = [place for place in places if place != (x, y)]
            if all(max(abs(x - u), abs(y - v)) > 50 for u, v in others):  # outside all labels
                assert tuple(shown[round(y), round(x)]) == agent.colour


def test_agents_are_where_the_world_has_them() -> None:
    scene = scene_with()
    shown, layout = draw(scene), FrameDrawer("", scene).layout
    for agent in scene.agents:
        assert agent.at is not None
        x, y = layout.project(agent.at, 1.0)
        assert tuple(shown[round(y), round(x)]) == agent.colour
    assert layout.project((0, 1.0), 1.0)[1] == layout.world[1]  # y points upwards


def test_what_changes_is_seen() -> None:
    before = draw(scene_with())
    assert (before == draw(scene_with())).all()
    assert (before != draw(scene_with(at=(0.6, 0.5)))).any()
    text = before != draw(scene_with(), header="episode 1   step 4/25   return -1.5")
    assert text.any()
    assert not text[40:].any()
    spoken = {says: draw(scene_with(says)) for says in (0, 1)}
    for shown in spoken.values():
        x, y = FrameDrawer("", scene_with()).layout.project((0.5, 0.5), 1.0)
        rows, columns = np.nonzero((shown != before).any(axis=2))
        assert np.abs(rows - y).max() < 80
        assert np.abs(columns - x).max() < 80
    assert (spoken[0] != spoken[1]).any()


def test_trails_lead_to_where_agents_are() -> None:
    scene, earlier = scene_with(), scene_with(at=(0.1, 0.5))
    trail = (draw(scene) != draw(scene, before=[earlier])).any(axis=2)
    x, y = (round(part) for part in FrameDrawer("", scene).layout.project((0.2, 0.5), 1.0))
    assert trail[y, x]


def test_attention_is_drawn_where_it_is() -> None:
    scene, weights = scene_with(), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    without, with_it = draw(scene), draw(scene, attention=weights)
    assert (without != with_it).any()
    none = draw(scene, attention=torch.zeros(2, 2))
    assert (none[:530] == without[:530]).all()  # above the legend

    def pink(shown: np.ndarray) -> int:
        """Pixels of the arrows' hue."""
        red, green, blue = shown[:530].transpose(2, 0, 1)
        return int(((red - green > 90) & (blue - green > 60)).sum())

    assert ATTENTION[0] - ATTENTION[1] > 90
    assert pink(without) == pink(none) == 0
    assert pink(with_it) > 300
    assert pink(draw(scene, attention=weights * 0.1)) < pink(with_it) / 2
    assert pink(draw(scene, attention=torch.eye(2))) > 50


def test_agents_without_a_place_stand_beside_the_world() -> None:
    still = AgentShape("speaker", "", RED)
    beside = FrameDrawer("", Scene((still, AgentShape("walker", "", BLUE, 0.1, (0.0, 0.0))))).layout
    (_, y), _ = beside.positions(
        Scene((still, AgentShape("walker", "", BLUE, 0.1, (0.0, 0.0)))), 1.0
    )
    assert beside.band[1] < y < beside.band[3] == beside.world[1]
    crowd = Scene(tuple(AgentShape(f"agent_{i}", "", RED) for i in range(3)))
    layout = FrameDrawer("", crowd).layout
    places = layout.positions(crowd, 1.0)
    assert layout.band[1] == layout.band[3]
    assert len({(round(x), round(y)) for x, y in places}) == 3
    assert all(layout.world[1] < y < layout.world[3] for _, y in places)


def test_an_environments_own_picture_fills_the_world() -> None:
    picture = np.full((50, 100, 3), (10, 200, 30), dtype=np.uint8)
    shown = draw(Scene(picture=picture))
    assert (shown[100:200, 100:400] == (10, 200, 30)).all()
    assert (shown[:30] < 100).any()  # the header


def test_words_keep_out_of_each_others_way() -> None:
    whole, taken = (0, 0, 100, 100), [around((50, 50), 10, 10)]
    options = [around((50, 50), 5, 5), around((97, 50), 5, 5), around((80, 50), 5, 5)]
    assert free_box(options, taken, whole) == options[2]
    assert free_box(options[:2], taken, whole) == options[1]


def test_everything_is_within_reach() -> None:
    assert view_radius([scene_with()]) == pytest.approx(1.04)
    assert view_radius([scene_with(), scene_with(at=(-2.0, 3.0))]) == pytest.approx(3.1 * 1.04)
