"""The device a run computes on."""

import numpy as np
import torch
from torch import Tensor

from utils.errors import UserError


def upload(numbers: np.ndarray, device: torch.device) -> Tensor:
    """A tensor of `numbers` on `device`, without waiting for what the device is doing."""
    tensor = torch.from_numpy(numbers)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def use_device(device: torch.device) -> None:
    """Let streams, events and graphs be those of `device`."""
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)


def resolve_device(name: str) -> torch.device:
    """The torch device called `name`.

    Raises:
        UserError: if the name is not a device, or the machine does not have it.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(
            f"device '{name}' is not a device. Use cpu, cuda or cuda:<index>."
        ) from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UserError(f"device '{name}' is not supported. Use cpu, cuda or cuda:<index>.")
    if not torch.cuda.is_available():
        raise UserError(
            f"device '{name}' was asked for, but PyTorch sees no CUDA device on this machine. "
            f"Use `with device=cpu`, or install a CUDA build of PyTorch and a driver."
        )
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise UserError(
            f"device '{name}' was asked for; there are {torch.cuda.device_count()} CUDA devices."
        )
    return device
