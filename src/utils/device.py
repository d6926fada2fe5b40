"""The device a run computes on."""

import ctypes
import sys

import numpy as np
import torch
from torch import Tensor

from utils.errors import UserError


def upload(numbers: np.ndarray, device: torch.device) -> Tensor:
    """A tensor of `numbers` on `device`, without waiting for what the device is doing."""
    tensor = torch.from_numpy(numbers)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


# Of glibc's mallopt(3): values that turn off what returns memory to the operating system.
M_TRIM_THRESHOLD, NEVER_TRIM = -1, -1
M_MMAP_MAX, NEVER_MMAP = -4, 0


def use_cpu(threads: int, keep_memory: bool) -> None:
    """Set how operations use the CPU, for the rest of the process.

    Args:
        threads: threads within one operation.
        keep_memory: keep freed memory in the process, where the C library is glibc. It returns
            large blocks at once otherwise, and the next operation that needs one waits while the
            kernel maps and zeroes each of its pages.
    """
    torch.set_num_threads(threads)
    if keep_memory and sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_TRIM_THRESHOLD, NEVER_TRIM)
            mallopt(M_MMAP_MAX, NEVER_MMAP)


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
