"""Layers shared by agents, mixers and critics."""

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor, nn

from modules.gru_gradient import MOST_STATES, GRUSequence
from utils.seeding import seeded_initialisation

Module = TypeVar("Module", bound=nn.Module)


class SequenceGRU(nn.Module):
    """One GRU over whole sequences of every agent, shared by all agents.

    Args:
        input_dim: features in.
        hidden_dim: H, features out.
    """

    def __init__(self, input_dim: int, hidden_dim: int):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.gru = nn.GRU(input_dim, hidden_dim)

    def forward(
        self, x: Tensor, hidden: Tensor | None, resets: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run over L steps.

        Args:
            x: [B, L, N, F]
            hidden: [B, N, H], or None for zeros.
            resets: [B, L] bool, steps before which the hidden state becomes zero; None: none.

        Returns:
            out [B, L, N, H] and the hidden state after the last step [B, N, H].
        """
        b, length, n, f = x.shape
        if resets is not None:
            return self._with_resets(x, hidden, resets)
        if length == 1:
            return self._one_step(x, hidden)
        rows = x.transpose(0, 1).reshape(length, b * n, f)
        if hidden is None:
            hidden = x.new_zeros(b, n, self.hidden_dim)
        start = hidden.reshape(b * n, self.hidden_dim)
        if x.is_cpu and torch.is_grad_enabled() and start.numel() <= MOST_STATES:
            out = GRUSequence.apply(rows, start, *self.gru.all_weights[0])
        else:
            out = self.gru(rows, start.unsqueeze(0))[0]
        out = out.view(length, b, n, self.hidden_dim)
        return out.transpose(0, 1), out[-1]

    def _with_resets(
        self, x: Tensor, hidden: Tensor | None, resets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One step at a time: the sequence kernel cannot set the hidden state in between."""
        b, length, n, _ = x.shape
        if hidden is None:
            hidden = x.new_zeros(b, n, self.hidden_dim)
        outs = []
        for t in range(length):
            before = hidden.masked_fill(resets[:, t, None, None], 0.0)
            out, hidden = self._one_step(x[:, t : t + 1], before)
            outs.append(out)
        return torch.cat(outs, dim=1), hidden

    def _one_step(self, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same cell without the sequence kernel's set-up, for acting."""
        b, _, n, f = x.shape
        if hidden is None:
            hidden = x.new_zeros(b, n, self.hidden_dim)
        gru = self.gru
        new = torch.gru_cell(
            x.reshape(b * n, f),
            hidden.reshape(b * n, self.hidden_dim),
            *gru.all_weights[0],  # input and hidden weights, input and hidden biases
        ).view(b, n, self.hidden_dim)
        return new.unsqueeze(1), new


class CustomInitialisation:
    """Marks modules that draw their own initial weights; `orthogonal_weights` skips them."""


class ScaledLearningRate:
    """Marks modules whose weights are trained with `lr_factor` times the learning rate."""

    lr_factor: float


def orthogonal_linear(
    input_dim: int, output_dim: int, gain: float = 1.0, parts: int = 1, *, bias: bool = True
) -> nn.Linear:
    """A linear layer that starts orthogonal, its bias at zero, so that signals keep their size.

    Args:
        input_dim: features in.
        output_dim: features out, divisible by `parts`.
        gain: factor on the weights; sqrt(2) before a ReLU.
        parts: number of maps side by side, each orthogonal by itself.
        bias: whether to add one.
    """
    layer = nn.Linear(input_dim, output_dim, bias=bias)
    for part in layer.weight.detach().chunk(parts):
        nn.init.orthogonal_(part, gain)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


class AgentwiseLinear(nn.Module):
    """A linear layer with separate weights for each agent (or head), as one batched product.

    Args:
        n_agents: N.
        input_dim: features in.
        output_dim: features out.
        bias: whether to add one.
    """

    def __init__(self, n_agents: int, input_dim: int, output_dim: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_agents, input_dim, output_dim))
        self.bias = nn.Parameter(torch.empty(n_agents, output_dim)) if bias else None
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw each agent's weights as `nn.Linear` does."""
        for i, weight in enumerate(self.weight):
            n_in, n_out = weight.shape
            layer = nn.Linear(n_in, n_out, bias=self.bias is not None)
            weight.copy_(layer.weight.T)
            if self.bias is not None:
                self.bias[i] = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """[..., N, F] -> [..., N, F']."""
        out = torch.einsum("...nf,nfg->...ng", x, self.weight)
        return out if self.bias is None else out + self.bias


class AgentwiseGRU(nn.Module):
    """A GRU with separate weights for each agent; the loop over agents is what cuDNN leaves us.

    Args:
        n_agents: N.
        input_dim: features in.
        hidden_dim: H, features out.
    """

    def __init__(self, n_agents: int, input_dim: int, hidden_dim: int):
        super().__init__()
        self.grus = nn.ModuleList(SequenceGRU(input_dim, hidden_dim) for _ in range(n_agents))

    def forward(
        self, x: Tensor, hidden: Tensor | None, resets: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `SequenceGRU.forward`."""
        outs, lasts = [], []
        for i, gru in enumerate(self.grus):
            start = None if hidden is None else hidden[:, i : i + 1]
            out, last = gru(x[:, :, i : i + 1], start, resets)
            outs.append(out)
            lasts.append(last)
        return torch.cat(outs, dim=2), torch.cat(lasts, dim=1)


def reinitialised_copy(module: nn.Module, seed: int, name: str) -> nn.Module:
    """A copy of `module` with new initial weights; each layer draws them in `reset_parameters`.

    They are drawn on the CPU, so that a seed gives the same ones on every device.

    Args:
        module: is not changed.
        seed: the run's root seed.
        name: of the random stream of the weights.

    Raises:
        ValueError: if a layer owns parameters and has no `reset_parameters`.
    """
    twin = copy.deepcopy(module).cpu()
    with seeded_initialisation(seed, "weights", name):
        for layer in twin.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
            elif next(layer.parameters(recurse=False), None) is not None:
                raise ValueError(
                    f"{type(layer).__name__} cannot draw new weights. Give the class a method "
                    "`reset_parameters()`."
                )
    return flatten_weights(twin.to(next(module.parameters()).device))


def flatten_weights(module: Module) -> Module:
    """`module` with each GRU's weights in one block, as cuDNN wants them; a copy has lost that."""
    for layer in module.modules():
        if isinstance(layer, nn.RNNBase):
            layer.flatten_parameters()
    return module


def parameter_count(module: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def mlp(*sizes: int, n_agents: int | None = None) -> nn.Sequential:
    """Linear layers from sizes[0] to sizes[-1] features, with a ReLU between each two.

    Args:
        sizes: features of the input, of each hidden layer, of the output.
        n_agents: separate weights for so many agents, from [..., N, F] to [..., N, F'].
    """
    layers: list[nn.Module] = []
    for widths in pairwise(sizes):
        layers.append(
            nn.Linear(*widths) if n_agents is None else AgentwiseLinear(n_agents, *widths)
        )
        layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])
