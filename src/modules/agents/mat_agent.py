"""Multi-Agent Transformer: agents choose in order, each knowing the actions of those before it.

Source: Wen et al., arXiv 2205.14953, and the authors' code. With x_i what agent i sees,

    e_1..e_N = encoder(x_1..x_N)                              every agent attends to every agent
    logits_i = decoder(e_1..e_i; a_1..a_(i-1))                causal attention, in the order of ids

so that pi(a | x) = prod_i pi_i(a_i | x, a_1..a_(i-1)). Where the actions are known, as in training,
all agents are one pass under a causal mask. Acting takes a pass per agent, because a choice needs
the choices before it, and keeps keys and values of the agents before.

Departures: an agent that takes no part is neither attended to nor counted in the order, as if the
team were smaller. Embeddings of actions are looked up, which is the authors' product with one-hot
vectors. The norm of the inputs is off by default: it erases mean and scale of an observation, and
everything if that is one number. As in the authors' code the network has no memory of earlier
steps, and an action's embedding does not say whose action it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.agents.base import AgentInputs, AgentSizes
from modules.transformer import Decoder, Encoder
from utils.errors import LARGEST_LAYER, UserError, out_of_range, validate
from utils.registry import AGENTS
from utils.shapes import check


@dataclass(frozen=True)
class MATAgentConfig:
    """Settings of `mat_agent`."""

    embed_dim: int = 64  # d, features of an agent in encoder and decoder, divisible by heads
    heads: int = 1  # of each attention
    blocks: int = 1  # of the encoder and of the decoder
    normalise_inputs: bool = False  # a LayerNorm over an agent's inputs, as in the authors' code

    def __post_init__(self) -> None:
        validate(
            *out_of_range(self, 1, LARGEST_LAYER, "embed_dim"),
            *out_of_range(self, 1, 100, "blocks", "heads"),
            (
                self.heads > 0 and self.embed_dim % self.heads != 0,
                "heads",
                f"{self.heads} heads do not divide embed_dim={self.embed_dim}.",
            ),
        )


@AGENTS.register("mat_agent", config=MATAgentConfig)
class MATAgent(nn.Module):
    """Encoder of observations, decoder of actions; all weights are shared by the agents.

    Shapes:
        inputs.x: [B, L, N, F];  inputs.actions: [B, L, N] int64
        logits: [B, L, N, A], of agent i given the actions of the agents before it

    Raises:
        UserError: if the norm of the inputs would erase them.
    """

    in_order: ClassVar[bool] = True
    has_memory: ClassVar[bool] = False

    def __init__(self, config: MATAgentConfig, sizes: AgentSizes):
        super().__init__()
        if config.normalise_inputs and sizes.input_dim == 1:
            raise UserError(
                "agent_args.normalise_inputs=true makes every input of one feature zero, and here "
                "agents see one number. Use agent_args.normalise_inputs=false."
            )
        d, shape = config.embed_dim, (config.embed_dim, config.heads, config.blocks)
        self.encoded_dim = d
        self.encoder = Encoder(sizes.input_dim, *shape, config.normalise_inputs)
        self.decoder = Decoder(sizes.n_actions, *shape)
        everyone = torch.ones(sizes.n_agents, sizes.n_agents, dtype=torch.bool)
        self.register_buffer("up_to_own", everyone.tril(), persistent=False)
        self.up_to_own: Tensor  # [N, N], row i: agents that do not come after agent i

    def forward(self, inputs: AgentInputs, hidden: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Logits given `inputs.actions`, all agents at once."""
        assert inputs.actions is not None, "the order needs actions: use mat_controller"
        check(inputs.actions, "B L N", check(inputs.x, "B L N F"))
        tokens = self._tokens(inputs.actions, inputs.is_active).flatten(0, 1)
        encoded = self.encode(inputs) if inputs.encoded is None else inputs.encoded
        logits, _ = self.decoder(tokens, encoded.flatten(0, 1), self._causal(inputs.is_active))
        return logits.unflatten(0, inputs.x.shape[:2]), hidden

    def encode(self, inputs: AgentInputs) -> Tensor:
        """The encoder's features of all observations, [B, L, N, d]."""
        allowed = self._present(inputs.is_active)
        encoded: Tensor = self.encoder(inputs.x.flatten(0, 1), allowed)
        return encoded.unflatten(0, inputs.x.shape[:2])

    def choose(self, inputs: AgentInputs, pick: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Actions chosen one agent after the other.

        Args:
            inputs: of one step, L=1.
            pick: from an agent's index and its logits [B, A] to its actions [B].

        Returns:
            [B, N] int64
        """
        encoded = self.encode(inputs).squeeze(1)  # [B, N, d]
        allowed = self._causal(inputs.is_active)  # [B or 1, 1, N, N]
        token = torch.zeros_like(encoded[:, 0, 0], dtype=torch.int64)  # [B]
        actions: list[Tensor] = []
        before = None
        for i in range(encoded.shape[1]):
            so_far = allowed[:, :, i : i + 1, : i + 1]
            logits, before = self.decoder(token.unsqueeze(1), encoded[:, i : i + 1], so_far, before)
            action = pick(i, logits.squeeze(1))
            actions.append(action)
            heard = action + 1
            if inputs.is_active is not None:
                heard = torch.where(inputs.is_active[:, 0, i], heard, token)
            token = heard
        return torch.stack(actions, dim=1)

    def _causal(self, is_active: Tensor | None) -> Tensor:
        """Which agent (row) attends to which in the decoder, [R or 1, 1, N, N] bool."""
        present = self._present(is_active)
        return self.up_to_own[None, None] if present is None else present & self.up_to_own

    @staticmethod
    def _present(is_active: Tensor | None) -> Tensor | None:
        """The same in the encoder, None: all to all; an absent agent attends to itself, too."""
        if is_active is None:
            return None
        itself = torch.eye(is_active.shape[2], dtype=torch.bool, device=is_active.device)
        return is_active.flatten(0, 1)[:, None, None] | itself

    @staticmethod
    def _tokens(actions: Tensor, is_active: Tensor | None) -> Tensor:
        """1 + the action of the last present agent before each, 0 without one, [B, L, N]."""
        said = functional.pad(actions + 1, (1, 0))  # [B, L, 1 + N], 0 before the first agent
        if is_active is None:
            return said[..., :-1]
        places = torch.arange(1, is_active.shape[2] + 1, device=actions.device)
        last = torch.where(is_active, places, 0).cummax(dim=2).values  # up to and with each agent
        return said.gather(2, functional.pad(last, (1, 0))[..., :-1])
