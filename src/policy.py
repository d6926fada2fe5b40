"""A trained policy for notebooks and scripts.

>>> from policy import load_policy
>>> policy = load_policy("results/topk/agp/agp_seed1_1")
>>> env = policy.make_env(batch_size=1000)
>>> step = env.reset()
>>> step = env.step(policy.act(step))
>>> print(step.metrics["success"].mean())
>>> policy.reset()  # before the next episode, as the environment
"""

from pathlib import Path

from torch import Tensor

from build import build_env, build_player, build_runner, build_trained_controller
from components.episode_batch import EpisodeBatch
from config.load import load_recorded
from config.plugins import as_of_today
from config.schema import RunConfig
from controllers.basic_controller import BasicController
from envs.base import EnvInfo, EnvStep
from envs.reward_aggregation import RewardAggregation
from modules.action_graph.graph import ActionGraph
from modules.action_graph.nodes import NodeLayout
from records.checkpoint import find_checkpoint, run_folder
from runners.batch_runner import Rollout
from utils.errors import UserError
from utils.seeding import torch_generator


class Policy:
    """Plays greedily; remembers what an episode needs (memory, last actions).

    Args:
        config: the run's configuration.
        controller: with trained weights.
    """

    config: RunConfig
    info: EnvInfo

    def __init__(self, config: RunConfig, controller: BasicController):
        self.config, self.info, self.controller = config, controller.info, controller
        self._player = build_player(config, controller)
        self._generator = torch_generator(config.seed, "policy", device=controller.device)
        self.reset()

    def reset(self) -> None:
        """Forget the episode: call it wherever the environment is reset."""
        self._last_actions: Tensor | None = None

    def act(self, step: EnvStep) -> Tensor:
        """Greedy actions [B, N] int64 for what B environments show.

        Raises:
            ValueError: if B is not that of the episode's earlier steps.
        """
        b, last = step.obs.shape[0], self._last_actions
        if last is not None and len(last) != b:
            raise ValueError(f"{b} environments after {len(last)}: call reset() between episodes.")
        self._last_actions = self._player.act(step, last, self._generator)
        return self._last_actions

    def make_env(self, batch_size: int, stream: str = "policy_env") -> RewardAggregation:
        """B parallel environments of the run, with a separate random stream."""
        return build_env(self.config, batch_size, stream)

    def play(self, env: RewardAggregation) -> Rollout:
        """One greedy episode in each environment; its `batch` is what `attention` takes."""
        return build_runner(self.config, env, self.controller, "policy_play").collect(0, True)

    def attention(self, batch: EpisodeBatch) -> list[Tensor]:
        """Attention of each layer of the action graph, [B, T+1, heads, P, P].

        Entry [b, t, h, p, q] says how much node p takes from node q; a row sums to 1. Steps behind
        an episode's end are padding (`batch.valid`), and so are rows of actions that are not
        available. `nodes` says which agent and action p and q are.

        Raises:
            UserError: if the method has none.
        """
        self.layout  # noqa: B018 (has it a graph?)
        layers: list[Tensor] = self.controller.attention(batch)  # type: ignore[attr-defined]
        return layers

    @property
    def layout(self) -> NodeLayout:
        """Which node of the action graph stands where.

        Raises:
            UserError: if the method has no action graph.
        """
        graph: ActionGraph | None = getattr(self.controller.agent, "graph", None)
        if graph is None or not hasattr(self.controller, "attention"):
            name = self.config.alg_name
            raise UserError(f"{name} has no attention: its policy has no action graph.")
        return graph.layout

    @property
    def nodes(self) -> list[tuple[str, str]]:
        """Names of the agent and the action (or the choice) of each of the P nodes.

        The action is its number where the environment does not name it, and empty in a graph with
        one node for each agent.

        Raises:
            UserError: if the method has no action graph.
        """
        layout, info = self.layout, self.info
        if layout.slots == 1:
            return [(info.agent_names[i], "") for i in layout.agent]
        pairs = list(zip(layout.agent, layout.action, strict=True))
        if layout.choices is not None:
            names = layout.choices.names
            return [(info.agent_names[i], names[i][a]) for i, a in pairs]
        return [(info.agent_names[i], _action_name(info, i, a)) for i, a in pairs]


def _action_name(info: EnvInfo, agent: int, action: int) -> str:
    """The environment's name of an action, else its number."""
    names = () if info.action_names is None else info.action_names[agent]
    return names[action] if action < len(names) else str(action)


def load_policy(run_dir: str | Path, device: str = "cpu") -> Policy:
    """The policy that a run has learnt.

    Args:
        run_dir: a run's folder (its latest checkpoint), or a checkpoint file in it.
        device: where to compute; need not be where it was trained.

    Raises:
        UserError: if the checkpoint is missing, damaged or does not fit the run's configuration.
    """
    config = as_of_today(load_recorded(run_folder(run_dir), [f"device={device}", "resume="]))
    return Policy(config, build_trained_controller(config, find_checkpoint(run_dir))[0])
