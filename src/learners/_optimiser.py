"""The optimiser of a learner's modules, with learning rates that scale together."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from components.settings import TrainingSettings
from modules.layers import ScaledLearningRate

Groups = list[dict[str, Any]]


def parameter_groups(online: nn.ModuleDict, lr: float, others: Mapping[str, float]) -> Groups:
    """Parameters that are trained, grouped by the learning rate that they have at the start.

    Parts marked `ScaledLearningRate` have their factor of it.

    Args:
        online: the modules that are trained.
        lr: learning rate of every module but `others`.
        others: name of a module in `online` -> its learning rate.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    factors = {
        p: part.lr_factor
        for part in online.modules()
        if isinstance(part, ScaledLearningRate)
        for p in part.parameters()
    }
    seen: set[nn.Parameter] = set()  # modules may share some
    for name, module in online.items():
        for p in module.parameters():
            if p.requires_grad and p not in seen:
                rate = others.get(name, lr) * factors.get(p, 1.0)
                groups.setdefault(rate, []).append(p)
                seen.add(p)
    return [{"params": own, "lr": rate, "initial_lr": rate} for rate, own in groups.items()]


def make_optimizer(
    settings: TrainingSettings, groups: Groups, device: torch.device
) -> torch.optim.Optimizer:
    """Adam or RMSprop; on a GPU a CUDA graph can hold its steps."""
    on_gpu = device.type == "cuda"
    for group in groups if on_gpu else []:  # a graph reads the learning rate from the device
        group["lr"] = torch.tensor(group["lr"], device=device)
    if settings.optimizer == "adam":
        return torch.optim.Adam(groups, eps=settings.optim_eps, fused=True, capturable=on_gpu)
    return torch.optim.RMSprop(
        groups,
        alpha=settings.optim_alpha,
        eps=settings.optim_eps,
        foreach=True,
        capturable=on_gpu,
    )


def clip_gradient(parameters: list[nn.Parameter], largest: float) -> Tensor:
    """Shorten the gradient of `parameters` to the norm `largest`; returns its norm before.

    As `nn.utils.clip_grad_norm_`, without the search for devices and types, half of its time.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:  # a step of the other groups only
        return parameters[0].new_zeros(())
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))
    return norm


def scale_learning_rates(optimizer: torch.optim.Optimizer, fraction: float) -> None:
    """Set each group's learning rate to a fraction of what it was at the start."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(group["initial_lr"] * fraction)
        else:
            group["lr"] = group["initial_lr"] * fraction


def optimizer_state(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, fraction: float
) -> dict[str, Any]:
    """State of an optimiser, for `load_optimizer`.

    Args:
        optimizer: the optimiser.
        settings: what it was made from.
        fraction: the learning rates' fraction of what they were at the start.
    """
    return {"name": settings.optimizer, "lr_fraction": fraction, **optimizer.state_dict()}


def load_optimizer(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any], settings: TrainingSettings
) -> float:
    """Restore the moments; learning rates and constants are those of the settings.

    Returns:
        The learning rates' fraction of what they are at the start.

    Raises:
        ValueError: if the state belongs to another optimiser, or to other groups.
    """
    if saved["name"] != settings.optimizer:
        raise ValueError(f"it was trained with optimizer={saved['name']}, not {settings.optimizer}")
    now, before = (
        [len(group["params"]) for group in groups]
        for groups in (optimizer.param_groups, saved["param_groups"])
    )
    if now != before:
        raise ValueError(
            "it was trained with other groups of learning rates; critic_lr and lr_factor must stay "
            "equal to lr, or differ from it, as they did"
        )
    groups = [
        {**group, "params": old["params"]}
        for group, old in zip(optimizer.param_groups, saved["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})
    if settings.lr_schedule == "constant":
        return 1.0
    fraction = float(saved["lr_fraction"])  # of the last update
    scale_learning_rates(optimizer, fraction)
    return fraction
