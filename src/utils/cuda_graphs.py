"""A function as one CUDA graph: its kernels are recorded once and launched together from then on.

Small networks leave a GPU waiting for launches. A graph is one launch for all of them, and the
recorded kernels are the function's own, so the ordinary code remains the only description of what
is computed. What a recorded function must keep:

* it reads nothing but tensors that stay where they are, written in place before each call; numbers
  that change (environment steps, learning rate) are such tensors too;
* what it leaves for the next call is written in place;
* it never asks the device for a value, and makes no tensor from Python numbers;
* its random numbers come from the generators that are named.
"""

import gc
import traceback
from collections.abc import Callable, Iterable
from functools import cache
from typing import Generic, TypeVar

import torch

from utils.errors import UserError

T = TypeVar("T")
WARM_UP = 3  # ordinary calls first: they create what is created once, as optimisers' moments


class Captured(Generic[T]):
    """Calls `function`: the first times as it is, then one call is recorded and replayed.

    Every call does the work of one call. What it returns is overwritten by the next one.

    Args:
        function: what to record.
        generators: sources of its random numbers.
    """

    def __init__(self, function: Callable[[], T], generators: Iterable[torch.Generator]):
        self._function, self._generators = function, tuple(generators)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._n_calls = 0
        self._result: T

    def __call__(self) -> T:
        """The function's result."""
        if self._graph is None:
            if self._n_calls < WARM_UP:
                self._n_calls += 1
                return self._ordinary()
            self._graph = self._record()
        self._graph.replay()
        return self._result

    def _ordinary(self) -> T:
        """A call on a side stream, as PyTorch asks for before a recording."""
        side, main = _side_stream(), torch.cuda.current_stream()
        side.wait_stream(main)
        with torch.cuda.stream(side):
            result = self._function()
        main.wait_stream(side)
        return result

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        for generator in self._generators:
            graph.register_generator_state(generator)
        gc.collect()
        gc.disable()  # freeing another graph would end the recording
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._result = self._function()
        except RuntimeError as error:
            raise _capture_error(error) from error
        finally:
            gc.enable()
        return graph


def _capture_error(error: BaseException) -> UserError:
    """The message about a failed recording, with the place of the first error of the chain."""
    while error.__context__ is not None:
        error = error.__context__
    at = traceback.extract_tb(error.__traceback__)[-1]
    reason = str(error).split("\n")[0]
    return UserError(
        "No CUDA graph could be made of a rollout or a gradient step: "
        f"{reason} ({at.filename}, line {at.lineno}). "
        "It must not read values of tensors, nor make tensors from Python numbers. "
        f"Use compile=none; an environment says so with EnvInfo.computes_on_host."
    )


@cache
def _side_stream() -> torch.cuda.Stream:
    """One stream for all graphs: each stream has a separate workspace for matrix products."""
    return torch.cuda.Stream()
