"""Films of greedy episodes: what `evaluate=True render=gif` adds to the table."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from build import build_test_runner
from components.episode_batch import EpisodeBatch
from config.schema import RunConfig
from controllers.agp_controller import AGPController
from controllers.basic_controller import BasicController
from envs.scene import Scene
from modules.action_graph.graph import ActionGraph
from records.checkpoint import run_folder
from rendering.agent_attention import between_agents
from rendering.draw import TRAIL, Frame, FrameDrawer
from rendering.layout import view_radius
from rendering.scene_recorder import SceneRecorder
from rendering.video_files import Format, new_file, write_file
from utils.errors import UserError


def write_film(
    config: RunConfig, controller: BasicController, checkpoint: Path, form: Format
) -> Path:
    """Film the first `render_episodes` episodes of an evaluation; returns the film's path.

    They are played by as many environments and from the same random streams as the evaluation, so
    they are the very episodes that its table begins with.

    Args:
        config: of the run, with what the film is to show.
        controller: with trained weights.
        checkpoint: whose weights they are; the film goes into its run's folder.
        form: of the file.

    Raises:
        UserError: if this cannot be filmed.
    """
    graph = _required_graph(config, controller) if config.render_attention else None
    title = f"{config.alg_name}, {config.env_name}"
    pictures: list[Image.Image] = []
    ends: list[bool] = []
    for frames in _episodes(config, controller, graph):
        if graph is not None and frames[0].scene.picture is not None:
            raise UserError(
                f"render_attention=True needs to know where the agents are, and env '{config.env}' "
                f"shows only a picture. Leave render_attention out."
            )
        view = view_radius([frame.scene for frame in frames])
        drawer = FrameDrawer(title, frames[0].scene, controller.info.agent_names)
        pictures += [drawer.draw(frame, view) for frame in frames]
        ends += [False] * (len(frames) - 1) + [True]
    path = new_file(run_folder(checkpoint) / "films", checkpoint.stem, form)
    write_file(path, form, pictures, ends)
    return path


def _episodes(
    config: RunConfig, controller: BasicController, graph: ActionGraph | None
) -> Iterator[list[Frame]]:
    """The frames of each episode, in the order of the evaluation."""
    runner = build_test_runner(config, controller, "evaluate")
    made, n = 0, config.render_episodes
    with closing(runner.env):
        recorder = SceneRecorder(runner.env.env, config.env, min(n, runner.env.batch_size))
        runner.env.env = recorder
        while made < n:
            rollout = runner.collect(0, greedy=True)
            filmed = torch.arange(min(n - made, recorder.n), device=recorder.device)
            batch = rollout.batch.select(filmed)
            attention = None
            if graph is not None:
                attention = _attention(controller, graph, batch, config.render_layer)
            for b in filmed.tolist():
                made += 1
                scenes = recorder.scenes[b][: int(rollout.lengths[b]) + 1]
                edges = None if attention is None else attention[b]
                yield _frames(made, scenes, batch.reward[b].mean(dim=1), edges)


def _frames(
    number: int, scenes: list[Scene], reward: Tensor, attention: Tensor | None
) -> list[Frame]:
    """Frames of an episode, one more than its steps. reward: [T]; attention: [T+1, N, N]."""
    returns = [0.0, *reward.cumsum(dim=0).tolist()]
    return [
        Frame(
            scene,
            f"episode {number}   step {t}/{len(scenes) - 1}   return {returns[t]:.1f}",
            scenes[max(0, t - TRAIL) : t],
            None if attention is None else attention[t],
        )
        for t, scene in enumerate(scenes)
    ]


def _attention(
    controller: BasicController, graph: ActionGraph, batch: EpisodeBatch, layer: int
) -> Tensor:
    """How much the agents attend to each other in a layer, [B, T+1, N, N]."""
    assert isinstance(controller, AGPController)
    weights = controller.attention(batch)[layer - 1]
    counts = graph.node_map.over_time(batch.avail, batch.is_active)
    return between_agents(weights, graph.layout, counts)


def _required_graph(config: RunConfig, controller: BasicController) -> ActionGraph:
    """The action graph whose attention is to be drawn."""
    graph: ActionGraph | None = getattr(controller.agent, "graph", None)
    if graph is None or not isinstance(controller, AGPController):
        raise UserError(
            f"render_attention=True needs an action graph, and {config.alg_name} has none. Leave "
            f"it out, or film a run of agp."
        )
    n = graph.n_exchanges
    if config.render_layer > n or n == 0:
        raise UserError(
            f"render_attention=True render_layer={config.render_layer} asks for attention of an "
            f"action graph that has {n} rounds of it. render_layer=0 is the last one."
        )
    return graph
