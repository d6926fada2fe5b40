"""Counts what would make the host wait for a GPU, on any device.

On a GPU `torch.cuda.set_sync_debug_mode("error")` finds it. On a CPU nothing waits, so operations
are counted. They are values and copies asked of tensors, results whose size depends on values, and
tensors made from Python numbers (on a GPU an upload that is waited for).
"""

import traceback
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

ASKED = {Tensor.cpu, Tensor.numpy, Tensor.tolist, Tensor.item}
MADE = {torch.tensor, torch.as_tensor}
SIZED_BY_VALUES = ("nonzero", "masked_select", "unique", "_local_scalar_dense", "repeat_interleave")


class _Calls(TorchFunctionMode):
    def __init__(self, found: Counter[str]):
        self.found = found

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in ASKED or (func in MADE and kwargs.get("device") != "cpu"):
            self.found[f"{func.__name__} at {_place()}"] += 1
        if func is functional.one_hot:  # reads values on a CPU, to check them, but not on a GPU
            with _disable_current_modes():
                return func(*args, **kwargs)
        return func(*args, **kwargs)


class _Operations(TorchDispatchMode):
    def __init__(self, found: Counter[str]):
        super().__init__()
        self.found = found

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        if name.startswith(SIZED_BY_VALUES) or (name == "index" and _has_mask(args)):
            self.found[f"{name} at {_place()}"] += 1
        return func(*args, **(kwargs or {}))


def _has_mask(args: Any) -> bool:
    return any(x is not None and x.dtype == torch.bool for x in args[1])


def _place() -> str:
    """The innermost line of `src` that is being run."""
    for frame in reversed(traceback.extract_stack()):
        if "/src/" in frame.filename:
            return f"{frame.filename.rpartition('/src/')[2]}:{frame.lineno}"
    return "a test"


class HostReads:
    """Within the block, `found` counts such operations by name and place."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self._modes = (_Calls(self.found), _Operations(self.found))

    def __enter__(self) -> "HostReads":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(kind, error, trace)


def host_reads(function: Callable[[], object]) -> dict[str, int]:
    """What `function` asked of the device."""
    with HostReads() as reads:
        function()
    return dict(reads.found)
