"""Initial weights for policy gradients: orthogonal, with policies that begin almost uniform.

Source: Engstrom et al., arXiv 2005.12729 (implementation matters: orthogonal weights, small last
layers); Andrychowicz et al., arXiv 2006.05990.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import nn

from modules.layers import AgentwiseLinear, CustomInitialisation, orthogonal_linear

RELU_GAIN = 2**0.5


def orthogonal_mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths with ReLUs between them, orthogonal, without bias at first."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers += [orthogonal_linear(fan_in, fan_out, RELU_GAIN), nn.ReLU()]
    return nn.Sequential(*layers, orthogonal_linear(*widths[-2:]))


@torch.no_grad()
def orthogonal_weights(network: nn.Module, last_gain: float) -> None:
    """Draw a policy network's weights orthogonal, in place; biases become zero.

    Modules marked `CustomInitialisation` are left as they are.

    Args:
        network: the policy network.
        last_gain: factor on the weights of layers that are called `last`.
    """
    for name, layer in _layers(network):
        gain = last_gain if name == "last" else RELU_GAIN
        if isinstance(layer, nn.GRU):
            for weight_name, weight in layer.named_parameters():
                if weight_name.startswith("weight"):
                    for gate in weight.chunk(3):
                        nn.init.orthogonal_(gate)
                else:
                    nn.init.zeros_(weight)
        elif isinstance(layer, nn.Linear | AgentwiseLinear):
            per_agent = isinstance(layer, AgentwiseLinear)
            for matrix in layer.weight if per_agent else [layer.weight]:
                nn.init.orthogonal_(matrix, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _layers(network: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """All layers and the names their parents give them, without `CustomInitialisation` ones."""
    yield name, network
    for child_name, child in network.named_children():
        if not isinstance(child, CustomInitialisation):
            yield from _layers(child, child_name)
