"""Outputs of agents that know other agents' actions: MACPF's dependent actors and critics.

Source: Wang, Ye, Lu, arXiv 2209.12681. To an agent's own outputs comes a correction that reads its
features h_i and a message about the actions of its parents P(i):

    m_i = 1/N sum_(j in P(i)) ELU(W_1 [onehot(j), onehot(a_j)] + b_1)
    dependent_i = sg[independent_i] + W_2 [h_i, m_i] + b_2,   sg: without gradient

W_2 is linear, so what a_j adds to another agent's outputs is an entry of a table [N, A, A'], which
is computed once. A message is a sum of entries: the same function, without N x D features.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from components.policies import greedy_actions
from modules.agents.base import AgentInputs, HasFeatures


class DependentNetwork(nn.Module):
    """An agent network with a correction by other agents' actions.

    Args:
        agent: gives the independent outputs, `last(features)`.
        n_agents: N.
        n_actions: A.
        message_dim: D, features of a message.

    Shapes:
        inputs.x: [B, L, N, F];  hidden: [B, N, H] or None
        independent outputs: [B, L, N, A];  next hidden: [B, N, H], None without GRU
    """

    def __init__(self, agent: HasFeatures, n_agents: int, n_actions: int, message_dim: int):
        super().__init__()
        self.n_agents, self.n_actions = n_agents, n_actions
        self.agent = agent
        self.message = nn.Linear(n_agents + n_actions, message_dim)
        self.correction = nn.Linear(agent.feature_dim + message_dim, n_actions)

    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The independent outputs."""
        z, hidden = self.agent.features(inputs, hidden)
        return self.agent.last(z), hidden

    def alone(
        self, inputs: AgentInputs, hidden: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Independent outputs, dependent outputs before any message, and the next hidden state."""
        z, hidden = self.agent.features(inputs, hidden)
        independent = self.agent.last(z)  # [B, L, N, A]
        weight = self.correction.weight[:, : self.agent.feature_dim]
        own = independent.detach() + functional.linear(z, weight, self.correction.bias)
        return independent, own, hidden

    def table(self) -> Tensor:
        """The term of agent j's action a in another agent's dependent outputs, [N, A, A']."""
        of_agent, of_action = self.message.weight.T.split((self.n_agents, self.n_actions))
        features = functional.elu(of_agent.unsqueeze(1) + of_action + self.message.bias)
        return functional.linear(
            features / self.n_agents, self.correction.weight[:, self.agent.feature_dim :]
        )

    @torch.no_grad()
    def sample(
        self,
        independent: Tensor,
        own: Tensor,
        own_noise: Tensor,
        independent_noise: Tensor,
        inputs: AgentInputs,
    ) -> list[Tensor]:
        """Actions of the independent policies, then of the dependent ones in order, [B, L, N] each.

        Args:
            independent: [B, L, N, A], independent outputs.
            own: [B, L, N, A], dependent outputs before any message.
            own_noise: [B, L, N, A], Gumbel noise for the dependent ones.
            independent_noise: the same for the independent ones.
            inputs: what the network saw.
        """

        def pick(i: int, outputs: Tensor) -> Tensor:
            return greedy_actions(outputs + own_noise[:, :, i], inputs.avail[:, :, i])

        alone = greedy_actions(independent + independent_noise, inputs.avail)
        return [alone, self.in_order(own, inputs.is_active, pick)]

    def received(self, actions: Tensor, parents: Tensor, is_active: Tensor | None) -> Tensor:
        """The sum of the parents' terms in each agent's dependent outputs.

        Args:
            actions: [B, L, N] int64
            parents: [N, N], 1 where the column's agent is a parent of the row's.
            is_active: [B, L, N] bool or None; who takes no part says nothing.

        Returns:
            [B, L, N, A]
        """
        row = self.n_actions * torch.arange(self.n_agents, device=actions.device)
        said = functional.embedding(actions + row, self.table().flatten(0, 1))  # [B, L, N, A']
        if is_active is not None:
            said = torch.where(is_active.unsqueeze(3), said, 0.0)
        return (said.transpose(2, 3) @ parents.T).transpose(2, 3)

    def in_order(
        self, own: Tensor, is_active: Tensor | None, pick: Callable[[int, Tensor], Tensor]
    ) -> Tensor:
        """Actions chosen one agent after the other, each knowing those before it.

        The method needs the loop over agents: a choice needs the choices before it.

        Args:
            own: [..., N, A], dependent outputs before any message.
            is_active: [..., N] bool or None.
            pick: from an agent's index and its outputs [..., A] to its actions [...].

        Returns:
            [..., N] int64
        """
        table, heard, actions = self.table(), torch.zeros_like(own[..., 0, :]), []
        for i in range(self.n_agents):
            actions.append(pick(i, own[..., i, :] + heard))
            said = functional.embedding(actions[i], table[i])  # [..., A']
            if is_active is not None:
                said = torch.where(is_active[..., i].unsqueeze(-1), said, 0.0)
            heard = heard + said
        return torch.stack(actions, dim=-1)


def parents_mask(n_agents: int, kind: Literal["preceding", "all"], device: torch.device) -> Tensor:
    """Whose actions each agent knows, [N, N]: those of agents before it, or of all others.

    The first agent knows no actions in either case.
    """
    ones = torch.ones(n_agents, n_agents, device=device)
    preceding = ones.tril(-1)
    if kind == "preceding":
        return preceding
    everyone = preceding + preceding.T
    everyone[0] = 0
    return everyone
