"""Building, clipping and restoring for the optimiser, which only `base.py` steps."""

from typing import Any

import torch
from torch import Tensor, nn

from components.settings import TrainingSettings


def build_optimizer(
    settings: TrainingSettings, parameters: list[nn.Parameter], lr: float
) -> torch.optim.Optimizer:
    """The optimiser that the settings name; on a GPU its learning rate is a tensor for CUDA graphs.

    Args:
        settings: which one, and its constants.
        parameters: what it moves, all on one device.
        lr: learning rate.
    """
    device, eps = parameters[0].device, settings.optim_eps
    on_gpu = device.type == "cuda"
    rate = torch.tensor(lr, device=device) if on_gpu else lr
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, eps=eps, fused=True, capturable=on_gpu)
    alpha = settings.optim_alpha
    return torch.optim.RMSprop(
        parameters, lr=rate, alpha=alpha, eps=eps, foreach=True, capturable=on_gpu
    )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Change the learning rate, in place where it is a tensor."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def load_moments(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Restore what the optimiser has averaged; its constants stay those it was built with."""
    groups = [
        {**group, "params": old["params"]}
        for group, old in zip(optimizer.param_groups, saved["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})


def clip_gradient(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Shorten the gradient of `parameters` to the norm `largest`; returns its norm before.

    As `nn.utils.clip_grad_norm_`, without the search for devices and types, half of its time.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))
    return norm
