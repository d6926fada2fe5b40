"""The controller of deep coordination graphs: the agents agree on the best joint action.

Source: Boehmer, Kurin & Whiteson, *Deep Coordination Graphs*, ICML 2020, arXiv 1910.00091,
algorithm 3. Utilities and pay-offs are in `modules/coordination_graph/factors.py`, message passing
is in `inference.py` beside it. Each agent's output marks its part of the greedy joint action (1
there, 0 elsewhere), as in the authors' code. So an epsilon-greedy selector replaces each agent's
action independently.

At execution agent i sends its features h_i to its neighbours once. Then `msg_iterations` messages
of A numbers go along each edge in both directions. Comparing the values of the iterations takes one
sum over the team each. Departures: the optional damping and exact inference (see `inference.py`).
Normalisation and the anytime extension are always on, as in the authors' settings.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from components.episode_batch import EpisodeBatch
from components.settings import AgentSettings
from controllers.basic_controller import BasicController, BasicControllerConfig
from envs.base import EnvInfo, EnvStep
from modules.agents.base import HasFeatures
from modules.coordination_graph.factors import CoordinationGraph, Factors, PairPayoffs
from modules.coordination_graph.inference import Enumeration, MaxSum
from modules.coordination_graph.topology import Topology, edge_list, longest_path
from utils.errors import LARGEST_LAYER, out_of_range, unread, validate
from utils.registry import CONTROLLERS
from utils.seeding import numpy_generator, seeded_initialisation


@dataclass(frozen=True)
class DCGControllerConfig(BasicControllerConfig):
    """Settings of `dcg_controller`."""

    edges: Topology = "full"  # who shares a pay-off; a number: so many random ones; or a list
    payoff_rank: int = 0  # K of low-rank pay-offs; 0: a whole table per edge
    payoff_hidden_dim: int = 0  # units of a hidden layer of the pay-offs; 0: none
    dueling: bool = False  # add V(s), which only training sees
    dueling_hidden_dim: int = 32  # hidden units of V
    inference: Literal["maxsum", "exact"] = "maxsum"  # exact: by enumeration, small teams only
    msg_iterations: int = 8  # k, rounds of messages
    msg_damping: float = 0.0  # rho, part of the old message that stays, in [0, 1); paper: 0

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 0, LARGEST_LAYER, "payoff_rank", "payoff_hidden_dim"),
            *out_of_range(self, 1, LARGEST_LAYER, "dueling_hidden_dim"),
            *out_of_range(self, 0, 10_000, "msg_iterations"),
            (
                not 0 <= self.msg_damping < 1,
                "msg_damping",
                f"{self.msg_damping} must lie in [0, 1).",
            ),
            *unread(self, self.dueling, "dueling=true", "dueling_hidden_dim"),
            *unread(
                self,
                self.inference == "maxsum",
                "inference=maxsum",
                "msg_iterations",
                "msg_damping",
            ),
        )


@CONTROLLERS.register("dcg_controller", config=DCGControllerConfig)
class DCGController(BasicController):
    """`BasicController` whose agents choose the best joint action of a coordination graph.

    Raises:
        UserError: if the edges do not fit the number of agents, or there are too many joint actions
            for exact inference.
    """

    config: DCGControllerConfig
    gives: ClassVar[str] = "a joint action"
    needs_features: ClassVar[bool] = True

    def __init__(
        self,
        config: DCGControllerConfig,
        shared: AgentSettings,
        info: EnvInfo,
        agent: tuple[str, Any],
        device: torch.device,
        seed: int,
    ):
        super().__init__(config, shared, info, agent, device, seed)
        pairs = edge_list(config.edges, info.n_agents, numpy_generator(seed, "edges"))
        edges = torch.tensor(pairs, dtype=torch.int64, device=device).reshape(-1, 2).T  # [2, E]
        with seeded_initialisation(seed, "weights", "coordination_graph"):
            self.agent = self._graph(cast(HasFeatures, self.agent), edges).to(device)
        self.greedy: MaxSum | Enumeration  # factors, avail [B, L, N, A] -> actions [B, L, N]
        if config.inference == "exact":
            self.greedy = Enumeration(info.action_counts, info.n_actions, edges)
        else:
            iterations, longest = config.msg_iterations, longest_path(pairs, info.n_agents)
            if longest is not None and config.msg_damping == 0:
                iterations = min(iterations, longest)
            self.greedy = MaxSum(iterations, config.msg_damping)

    def _graph(self, agent: HasFeatures, edges: Tensor) -> CoordinationGraph:
        config, info = self.config, self.info
        payoffs, value, h = None, None, config.dueling_hidden_dim
        if edges.shape[1]:
            payoffs = PairPayoffs(
                agent.feature_dim,
                info.n_actions,
                edges,
                config.payoff_rank,
                config.payoff_hidden_dim,
            )
        if config.dueling:
            value = nn.Sequential(nn.Linear(info.state_dim, h), nn.ReLU(), nn.Linear(h, 1))
        return CoordinationGraph(agent, payoffs, value)

    def act(
        self,
        step: EnvStep,
        last_actions: Tensor | None,
        noise: Tensor | None,
        hidden: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `BasicController.act`; outputs are 1 at the greedy joint action, 0 elsewhere."""
        factors, hidden = self.agent(self.step_inputs(step, last_actions, noise), hidden)
        actions = self.greedy(factors, step.avail.unsqueeze(1))  # [B, 1, N]
        return self._one_hot(actions.squeeze(1)), hidden

    def outputs(self, batch: EpisodeBatch, n_steps: int, agent: nn.Module | None = None) -> Tensor:
        """As `BasicController.outputs`; 1 at the greedy joint action, 0 elsewhere."""
        factors = self.factors(batch, n_steps, agent)
        return self._one_hot(self.greedy(factors, batch.avail[:, :n_steps]))

    def factors(self, batch: EpisodeBatch, n_steps: int, agent: nn.Module | None = None) -> Factors:
        """The terms of the joint value of the first L = `n_steps` steps of whole episodes.

        Args:
            batch: B episodes.
            n_steps: L, at most T+1.
            agent: another network of the same form, such as the target network.
        """
        graph: Any = agent or self.agent
        factors: Factors = graph(self.agent_inputs(batch, n_steps), None)[0]
        if graph.state_value is not None:
            factors.bias = graph.state_value(batch.state[:, :n_steps])  # [B, L, 1]
        return factors
