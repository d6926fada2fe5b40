"""The Multi-Agent Transformer's parts: attention between agents, with and without an order.

Source: Wen et al., arXiv 2205.14953, section 4, and the authors' code. Norms follow the residual
sums, hidden layers are as wide as the embedding, and small orthogonal weights (gain 0.01) begin
every branch that is added to a residual path. R is any number of teams.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.layers import CustomInitialisation, orthogonal_linear

BRANCH_GAIN = 0.01  # of layers whose outputs are added to something, and of the last ones
HIDDEN_GAIN = sqrt(2)  # of layers with a GELU behind them

Memory = tuple[Tensor, Tensor]  # keys and values of a block's two attentions, [2, R, heads, K, w]


def hidden_layer(input_dim: int, embed_dim: int) -> nn.Sequential:
    """A linear layer and a GELU."""
    return nn.Sequential(orthogonal_linear(input_dim, embed_dim, HIDDEN_GAIN), nn.GELU())


def two_layers(embed_dim: int, output_dim: int, norm: bool) -> nn.Sequential:
    """Linear-GELU-Linear; with `norm` a LayerNorm follows the GELU, as in the output heads."""
    norms = [nn.LayerNorm(embed_dim)] if norm else []
    last = orthogonal_linear(embed_dim, output_dim, BRANCH_GAIN)
    return nn.Sequential(*hidden_layer(embed_dim, embed_dim), *norms, last)


class Attention(nn.Module):
    """Scaled dot-product attention with `heads` heads.

    Args:
        embed_dim: d, divisible by `heads`.
        heads: number of heads.
    """

    def __init__(self, embed_dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = orthogonal_linear(embed_dim, embed_dim, BRANCH_GAIN)
        self.source = orthogonal_linear(embed_dim, 2 * embed_dim, BRANCH_GAIN, parts=2)
        self.out = orthogonal_linear(embed_dim, embed_dim, BRANCH_GAIN)

    def keys_and_values(self, x: Tensor) -> Tensor:
        """Keys and values of what may be attended to. [R, K, d] -> [2, R, heads, K, w]."""
        return self.source(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, x: Tensor, keys_and_values: Tensor, allowed: Tensor | None) -> Tensor:
        """Messages to Q queries.

        Args:
            x: [R, Q, d]
            keys_and_values: [2, R, heads, K, w]
            allowed: bool that broadcasts to [R, heads, Q, K], or None for all.

        Returns:
            [R, Q, d]
        """
        queries = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        keys, values = keys_and_values
        found = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
        return self.out(found.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """z = LN(x + attention(x)), LN(z + MLP(z)). [R, N, d] -> [R, N, d]."""

    def __init__(self, embed_dim: int, heads: int):
        super().__init__()
        self.attention = Attention(embed_dim, heads)
        self.mlp = two_layers(embed_dim, embed_dim, norm=False)
        self.norm_1, self.norm_2 = nn.LayerNorm(embed_dim), nn.LayerNorm(embed_dim)

    def forward(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        """The agents' features after one exchange."""
        x = self.norm_1(x + self.attention(x, self.attention.keys_and_values(x), allowed))
        return self.norm_2(x + self.mlp(x))


class DecoderBlock(nn.Module):
    """z = LN(x + attention(x)), y = LN(e + attention(e to z)), LN(y + MLP(y)).

    x is the stream of actions, e the encoded observations; the output is the next block's x.
    """

    def __init__(self, embed_dim: int, heads: int):
        super().__init__()
        self.of_actions = Attention(embed_dim, heads)
        self.of_observations = Attention(embed_dim, heads)
        self.mlp = two_layers(embed_dim, embed_dim, norm=False)
        norms = (nn.LayerNorm(embed_dim) for _ in range(3))
        self.norm_1, self.norm_2, self.norm_3 = norms

    def forward(
        self, x: Tensor, encoded: Tensor, allowed: Tensor | None, before: Memory | None
    ) -> tuple[Tensor, Memory]:
        """The streams of Q agents, which follow those in `before`.

        Args:
            x: [R, Q, d]
            encoded: [R, Q, d]
            allowed: bool that broadcasts to [R, heads, Q, K], K agents including those before.
            before: what this block returned for the agents before; None: none are.

        Returns:
            [R, Q, d], and the memory of all K agents.
        """
        first = self._joined(self.of_actions.keys_and_values(x), before, 0)
        x = self.norm_1(x + self.of_actions(x, first, allowed))
        second = self._joined(self.of_observations.keys_and_values(x), before, 1)
        x = self.norm_2(encoded + self.of_observations(encoded, second, allowed))
        return self.norm_3(x + self.mlp(x)), (first, second)

    @staticmethod
    def _joined(new: Tensor, before: Memory | None, which: int) -> Tensor:
        return new if before is None else torch.cat([before[which], new], dim=3)


class Encoder(CustomInitialisation, nn.Module):
    """From what each agent sees to features that know what all agents see.

    Args:
        input_dim: F.
        embed_dim: d.
        heads: of each attention.
        blocks: how often the agents exchange features.
        normalise_inputs: whether a LayerNorm over its F features precedes an agent's first layer.
    """

    def __init__(
        self, input_dim: int, embed_dim: int, heads: int, blocks: int, normalise_inputs: bool
    ):
        super().__init__()
        norms = [nn.LayerNorm(input_dim)] if normalise_inputs else []
        self.embed = nn.Sequential(
            *norms, *hidden_layer(input_dim, embed_dim), nn.LayerNorm(embed_dim)
        )
        self.blocks = nn.ModuleList(EncoderBlock(embed_dim, heads) for _ in range(blocks))

    def forward(self, x: Tensor, allowed: Tensor | None) -> Tensor:
        """[R, N, F], and which agent (row) may attend to which [R, 1, N, N] -> [R, N, d]."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x, allowed)
        return x


class Decoder(CustomInitialisation, nn.Module):
    """From encoded observations and the actions before an agent's to the agent's logits.

    Args:
        n_actions: A.
        embed_dim: d.
        heads: of each attention.
        blocks: how many.
    """

    def __init__(self, n_actions: int, embed_dim: int, heads: int, blocks: int):
        super().__init__()
        self.embed = orthogonal_linear(n_actions + 1, embed_dim, HIDDEN_GAIN, bias=False)
        self.norm = nn.LayerNorm(embed_dim)
        self.blocks = nn.ModuleList(DecoderBlock(embed_dim, heads) for _ in range(blocks))
        self.head = two_layers(embed_dim, n_actions, norm=True)

    def forward(
        self,
        tokens: Tensor,
        encoded: Tensor,
        allowed: Tensor | None,
        before: list[Memory] | None = None,
    ) -> tuple[Tensor, list[Memory]]:
        """Logits of Q agents, which follow those in `before`.

        Args:
            tokens: [R, Q] int64, 1 + the action of the agent before each; 0 where none is.
            encoded: [R, Q, d]
            allowed: as `DecoderBlock`.
            before: what an earlier call returned, for the agents before; None: none are.

        Returns:
            logits [R, Q, A], and the memories of all agents so far.
        """
        x = self.norm(functional.gelu(functional.embedding(tokens, self.embed.weight.T)))
        memories = []
        for k, block in enumerate(self.blocks):
            x, memory = block(x, encoded, allowed, None if before is None else before[k])
            memories.append(memory)
        return self.head(x), memories
