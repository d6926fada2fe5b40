"""Shape checks in one line: `check(q, "B T N A", sizes)`.

The letters are the axes of the whole code base:

    B  episodes in a batch, or parallel environments    T  steps (L: T or T+1)
    N  agents                                           A  actions
    O  observation features                             S  state features
    H  hidden features                                  F  input or action features
    P  nodes of an action graph                         R  rewards per step: 1 (team) or N
    K  noise features                                   E  edges of a coordination graph
"""

from functools import cache

from torch import Tensor


class ShapeError(ValueError):
    """A tensor whose shape is not what its axes' letters say."""


@cache
def _axes(spec: str) -> tuple[str | int, ...]:
    return tuple(int(letter) if letter.isdigit() else letter for letter in spec.split())


def check(tensor: Tensor, spec: str, sizes: dict[str, int] | None = None) -> dict[str, int]:
    """Check a tensor's axes; a letter means the same size wherever it appears.

    Args:
        tensor: any tensor.
        spec: letters or numbers separated by spaces, such as `"B T N 1"`.
        sizes: sizes found so far; new letters are added to it.

    Returns:
        `sizes`, so that the next check can use it.

    Raises:
        ShapeError: if the number of axes, or an axis' size, is wrong; prints both shapes.
    """
    axes = _axes(spec)
    sizes = {} if sizes is None else sizes
    shape = tensor.shape
    wrong = len(shape) != len(axes)
    if not wrong:
        for axis, size in zip(axes, shape, strict=True):
            known = axis if isinstance(axis, int) else sizes.setdefault(axis, size)
            if known != size:
                wrong = True
    if wrong:
        expected = ", ".join(
            f"{axis}={sizes[axis]}" if axis in sizes else str(axis) for axis in axes
        )
        raise ShapeError(f"expected shape [{expected}] ({spec}), got {list(shape)}.")
    return sizes
