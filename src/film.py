"""Films of greedy episodes: what `evaluate=True render=gif` adds to the table."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from build import build_test_runner
from components.episode_batch import EpisodeBatch
from config.schema import RunConfig
from controllers.agp_controller import AGPController
from controllers.basic_controller import BasicController
from modules.action_graph.graph import ActionGraph
from rendering.attention import between_agents
from rendering.camera import Camera
from rendering.files import new_file, write_film
from rendering.packages import Format
from rendering.painter import TRAIL, Frame, Painter
from rendering.stage import reach
from utils.checkpoint import run_folder
from utils.errors import UserError


class Film:
    """The first `render_episodes` episodes of an evaluation.

    They are played again, by as many copies and from the same random streams, so they are the very
    episodes that the evaluation's table begins with.

    Args:
        config: whose `render` is `form`.
        controller: with trained weights.
        form: of the file.

    Raises:
        UserError: if this cannot be filmed; nothing has been played then.
    """

    def __init__(self, config: RunConfig, controller: BasicController, form: Format):
        self.config, self.controller, self.form = config, controller, form
        if config.render_attention:
            _require_attention(config, controller)
        self.runner = build_test_runner(config, controller, "evaluate")
        copies = min(config.render_episodes, self.runner.env.batch_size)
        self.camera = Camera(self.runner.env.env, config.env, copies)
        self.runner.env.env = self.camera

    def write(self, checkpoint: Path) -> Path:
        """Play the episodes, paint them, and return the film's path in the run's folder."""
        title = f"{self.config.alg_name}, {self.config.env_name}"
        names = self.camera.info.agent_names
        pictures, ends = [], []
        with closing(self.runner.env):
            for frames in self._episodes():
                view = reach([frame.scene for frame in frames])
                painter = Painter(title, frames[0].scene, names)
                pictures += [painter.paint(frame, view) for frame in frames]
                ends += [False] * (len(frames) - 1) + [True]
        path = new_file(run_folder(checkpoint) / "films", checkpoint.stem, self.form)
        write_film(path, self.form, pictures, ends)
        return path

    def _episodes(self) -> Iterator[list[Frame]]:
        """The frames of each episode, in the order of the evaluation."""
        made, n = 0, self.config.render_episodes
        while made < n:
            rollout = self.runner.collect(0, greedy=True)
            filmed = torch.arange(min(n - made, self.camera.n), device=self.camera.device)
            batch = rollout.batch.select(filmed)
            attention = self._attention(batch) if self.config.render_attention else None
            for b in filmed.tolist():
                made += 1
                length = int(rollout.lengths[b])
                edges = None if attention is None else attention[b]
                yield self._frames(made, b, length, batch.reward[b].mean(dim=1), edges)

    def _frames(
        self, number: int, b: int, length: int, reward: Tensor, attention: Tensor | None
    ) -> list[Frame]:
        """Frames 0 to `length` of copy `b`. reward: [T]; attention: [T+1, N, N] or None."""
        returns = [0.0, *reward.cumsum(dim=0).tolist()]
        scenes = self.camera.scenes[b]
        return [
            Frame(
                scenes[t],
                f"episode {number}   step {t}/{length}   return {returns[t]:.1f}",
                scenes[max(0, t - TRAIL) : t],
                None if attention is None else attention[t],
            )
            for t in range(length + 1)
        ]

    def _attention(self, batch: EpisodeBatch) -> Tensor:
        """How much the agents attend to each other in the chosen layer, [B, T+1, N, N]."""
        assert isinstance(self.controller, AGPController)
        weights = self.controller.attention(batch)[self.config.render_layer - 1]
        graph = _graph(self.controller)
        assert graph is not None
        return between_agents(weights, graph.layout, batch.avail, batch.is_active)


def _require_attention(config: RunConfig, controller: BasicController) -> None:
    """Refuse to draw attention that is not there."""
    graph = _graph(controller)
    if graph is None:
        raise UserError(
            f"render_attention=True needs an action graph, and {config.alg_name} has none. Leave "
            f"it out, or film a run of agp."
        )
    n = len(graph.layers)
    if config.render_layer > n or n == 0:
        raise UserError(
            f"render_attention=True render_layer={config.render_layer} asks for attention of an "
            f"action graph that has {n} layers. render_layer=0 is the last one."
        )


def _graph(controller: BasicController) -> ActionGraph | None:
    """The action graph whose attention the controller can tell, if there is one."""
    graph = getattr(controller.agent, "graph", None)
    return graph if isinstance(controller, AGPController) and graph is not None else None
