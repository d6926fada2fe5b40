"""Three forms of graph attention over nodes [R, P, d], each with `heads` heads.

* `dot`: scaled dot products (Vaswani et al., arXiv 1706.03762).
* `gat`: LeakyReLU(a . [W z_i, W z_j]) (Velickovic et al., arXiv 1710.10903). It ranks neighbours
  alike for every query, so it cannot select by query (Brody et al., arXiv 2105.14491).
* `gatv2`: a . LeakyReLU(W_l z_i + W_r z_j) (arXiv 2105.14491), which can.

`forward(z, allowed)` returns messages [R, P, d]; `weights(z, allowed)` the attention [R, heads, P,
P]. `allowed` is a bool that broadcasts to [R, P, P], or None.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.action_graph.dot_product import dot_product_attention
from modules.action_graph.edges import RELATIONS
from modules.layers import orthogonal_linear


def masked_softmax(scores: Tensor, allowed: Tensor | None) -> Tensor:
    """Softmax over the last axis of scores [R, heads, P, P], only where `allowed`."""
    if allowed is not None:
        mask = allowed if allowed.dim() == 2 else allowed.unsqueeze(1)
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1)


class DotAttention(nn.Module):
    """Multi-head scaled dot-product attention.

    Args:
        embed_dim: d, divisible by `heads`.
        heads: number of heads.
        project_values: false leaves out value and output projections: the message is the mean over
            heads of sum_j alpha_ij z_j, Eq. 14 of the AGP paper as printed.
        relations: [P, P] kinds of edges, for a learnt bias on the scores per head and kind; None:
            no bias.
    """

    def __init__(
        self, embed_dim: int, heads: int, project_values: bool, relations: Tensor | None = None
    ):
        super().__init__()
        self.heads, self.project_values = heads, project_values
        parts = 3 if project_values else 2
        self.project_in = orthogonal_linear(embed_dim, parts * embed_dim, parts=parts)
        self.project_out = orthogonal_linear(embed_dim, embed_dim) if project_values else None
        self.register_buffer("relations", relations, persistent=False)
        self.relations: Tensor | None
        self.bias = None if relations is None else nn.Parameter(torch.zeros(heads, len(RELATIONS)))

    def forward(self, z: Tensor, allowed: Tensor | None) -> Tensor:
        """Messages before the output projection; see the module's text."""
        if not self.project_values:
            return self.weights(z, allowed).mean(dim=1) @ z
        q, k, v = self._split(z)
        mask = allowed.unsqueeze(1) if allowed is not None and allowed.dim() == 3 else allowed
        if self.bias is not None:
            bias = self._bias()
            mask = bias if mask is None else torch.where(mask, bias, -torch.inf)
        out = dot_product_attention(q, k, v, mask)
        return out.transpose(1, 2).flatten(2)  # [R, P, d]

    def output(self, messages: Tensor) -> Tensor:
        """The output projection, apart so that it can follow pooling. [..., d] -> [..., d]."""
        return messages if self.project_out is None else self.project_out(messages)

    def weights(self, z: Tensor, allowed: Tensor | None) -> Tensor:
        """Attention of the nodes to each other, [R, heads, P, P]."""
        q, k = self._split(z)[:2]
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        return masked_softmax(scores if self.bias is None else scores + self._bias(), allowed)

    def _bias(self) -> Tensor:
        """Bias on the scores, [heads, P, P]."""
        assert self.bias is not None
        assert self.relations is not None
        return self.bias[:, self.relations]

    def _split(self, z: Tensor) -> tuple[Tensor, ...]:
        parts = self.project_in(z).split(z.shape[2], dim=2)  # each [R, P, d]
        return tuple(x.unflatten(2, (self.heads, -1)).transpose(1, 2) for x in parts)


class GATAttention(nn.Module):
    """`gat` and `gatv2`. Heads are concatenated, and averaged in the last layer.

    Args:
        embed_dim: d, divisible by `heads`.
        heads: number of heads.
        project_values: false sends z itself (the mean over heads) instead of W z.
        last: whether this is the last layer.
        v2: the second form.
    """

    def __init__(
        self, embed_dim: int, heads: int, project_values: bool, last: bool, v2: bool = False
    ):
        super().__init__()
        self.heads, self.v2, self.project_values, self.last = heads, v2, project_values, last
        width = embed_dim if last else embed_dim // heads
        self.width = width
        self.project = nn.Linear(embed_dim, heads * width)
        self.project_query = nn.Linear(embed_dim, heads * width) if v2 else None
        self.score = nn.Parameter(torch.empty(heads, width if v2 else 2 * width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the scores; the projections are reset separately."""
        nn.init.xavier_uniform_(self.score)

    def forward(self, z: Tensor, allowed: Tensor | None) -> Tensor:
        """Messages to each node, before `output`. [R, P, d] -> [R, P, d]."""
        alpha = self.weights(z, allowed)
        if not self.project_values:
            return alpha.mean(dim=1) @ z
        out = alpha @ self._heads(self.project(z))  # [R, heads, P, width]
        return out.mean(dim=1) if self.last else out.transpose(1, 2).flatten(2)

    def output(self, messages: Tensor) -> Tensor:
        """Nothing more to do. [..., d] -> [..., d]."""
        return messages

    def weights(self, z: Tensor, allowed: Tensor | None) -> Tensor:
        """Attention of the nodes to each other, [R, heads, P, P]."""
        keys = self._heads(self.project(z))  # [R, heads, P, width]
        if self.project_query is not None:
            queries = self._heads(self.project_query(z))
            pairs = functional.leaky_relu(queries.unsqueeze(3) + keys.unsqueeze(2), 0.2)
            scores = torch.einsum("rhpqw,hw->rhpq", pairs, self.score)
        else:
            of_query, of_key = self.score.split(self.width, dim=1)  # [heads, width] each
            query_part = torch.einsum("rhpw,hw->rhp", keys, of_query).unsqueeze(3)
            key_part = torch.einsum("rhpw,hw->rhp", keys, of_key).unsqueeze(2)
            scores = functional.leaky_relu(query_part + key_part, 0.2)
        return masked_softmax(scores, allowed)

    def _heads(self, x: Tensor) -> Tensor:
        """[R, P, heads * width] -> [R, heads, P, width]."""
        return x.unflatten(2, (self.heads, self.width)).transpose(1, 2)


def make_attention(
    form: str,
    embed_dim: int,
    heads: int,
    project_values: bool,
    last: bool,
    relations: Tensor | None = None,
) -> DotAttention | GATAttention:
    """The attention called `dot`, `gat` or `gatv2`; only `dot` knows relations."""
    if form == "dot":
        return DotAttention(embed_dim, heads, project_values, relations)
    return GATAttention(embed_dim, heads, project_values, last, v2=form == "gatv2")
