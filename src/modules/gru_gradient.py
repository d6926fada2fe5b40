"""A GRU over a sequence on a CPU, with a backward pass of three calls per step.

PyTorch's backward pass on a CPU makes about 25 small calls for each step, among them one product
for the weights' gradient. Here everything that does not depend on the next step's gradient is
computed for all steps at once, before and after the loop (docs/guide/performance.md, "Recurrent
training"). Forwards it is the cell of `torch.nn.GRU`:

    r, z = sigmoid(W_i x + b_i + W_h h + b_h)
    n = tanh(W_in x + b_in + r * m),  m = W_hn h + b_hn
    h' = n + z * (h - n)
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST_STATES = 10_000  # sequences x units; with more, PyTorch's kernel is as fast or faster


class GRUSequence(torch.autograd.Function):
    """Hidden states after each of L steps: as `torch.nn.GRU` with one layer.

    Shapes:
        x: [L, R, F];  hidden: [R, H];  input_weight: [3H, F];  hidden_weight: [3H, H];
        input_bias, hidden_bias: [3H];  out: [L, R, H]
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        hidden: Tensor,
        input_weight: Tensor,
        hidden_weight: Tensor,
        input_bias: Tensor,
        hidden_bias: Tensor,
    ) -> Tensor:
        """Run over the steps; the gates are computed in place."""
        length, rows, _ = x.shape
        h = hidden.shape[1]
        bias = input_bias.clone()
        bias[: 2 * h] += hidden_bias[: 2 * h]
        gates = torch.addmm(bias, x.flatten(0, 1), input_weight.T).unflatten(0, (length, rows))
        states = x.new_empty(length + 1, rows, h)
        states[0] = hidden
        m = x.new_empty(length, rows, h)
        to_rz, to_m = hidden_weight.T.split([2 * h, h], dim=1)
        for t in range(length):
            rz, n = gates[t].split([2 * h, h], dim=1)
            rz.addmm_(states[t], to_rz).sigmoid_()
            torch.addmm(hidden_bias[2 * h :], states[t], to_m, out=m[t])
            n.addcmul_(rz[:, :h], m[t]).tanh_()
            torch.lerp(n, states[t], rz[:, h:], out=states[t + 1])
        ctx.save_for_backward(x, input_weight, hidden_weight, states, gates, m)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        """Gradients of all six inputs. grad: [L, R, H]."""
        x, input_weight, hidden_weight, states, gates, m = ctx.saved_tensors
        length, rows, h = grad.shape
        before = states[:-1]
        r, z, n = gates.unflatten(2, (3, h)).unbind(2)
        # The gradients before the gates' non-linearities are these factors times that of h'.
        factors = x.new_empty(length, rows, 3, h)  # of r, z and m
        of_n = torch.addcmul(1 - z, 1 - z, n * n, value=-1)
        torch.mul(of_n, r, out=factors[:, :, 2])
        torch.mul(factors[:, :, 2], m * (1 - r), out=factors[:, :, 0])
        torch.mul(before - n, z * (1 - z), out=factors[:, :, 1])
        d_gates = torch.empty_like(factors)
        d_states = x.new_empty(length + 1, rows, h)
        d_states[1:] = grad
        d_states[0] = 0
        for t in reversed(range(length)):
            d_state = d_states[t + 1]
            torch.mul(d_state.unsqueeze(1), factors[t], out=d_gates[t])
            d_states[t].addcmul_(d_state, z[t]).addmm_(d_gates[t].flatten(1), hidden_weight)
        d_rows = d_gates.flatten(2).flatten(0, 1)  # [L * R, 3H]
        d_hidden_weight, d_hidden_bias = d_rows.T @ before.flatten(0, 1), d_rows.sum(0)
        torch.mul(d_states[1:], of_n, out=d_gates[:, :, 2])  # n instead of m
        d_input_weight, d_input_bias = d_rows.T @ x.flatten(0, 1), d_rows.sum(0)
        d_x = (d_rows @ input_weight).view_as(x)
        return d_x, d_states[0], d_input_weight, d_hidden_weight, d_input_bias, d_hidden_bias
