"""Traces: all that an environment returns while it is played, and where two traces differ."""

from torch import Tensor

from envs.base import EnvStep
from envs.checker.rules import FIELDS

Trace = list[tuple[str, dict[str, Tensor]]]  # (where, {field: tensor}) of every reset and step


def tensors(step: EnvStep, clone: bool = False) -> dict[str, Tensor]:
    """All tensors of a step by name, metrics included."""
    fields = {name: getattr(step, name) for name in FIELDS}
    fields |= {f"metric '{name}'": value for name, value in step.metrics.items()}
    found = {name: x for name, x in fields.items() if isinstance(x, Tensor)}
    return {name: x.clone() for name, x in found.items()} if clone else found


def same(a: Tensor, b: Tensor) -> bool:
    """Equal in shape and entries; NaN equals NaN, because another rule reports it."""
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def difference(left: Trace, right: Trace) -> str | None:
    """Where two traces first differ, None if they are equal."""
    for (where, a), (_, b) in zip(left, right, strict=False):
        for name in a:
            if name not in b or not same(a[name], b[name]):
                return f"{name} {where}"
    return None if len(left) == len(right) else "the length of an episode"


def choose(avail: Tensor, uniform: Tensor) -> Tensor:
    """Of each agent's n available actions the one at place floor(uniform * n); 0 if there is none.

    Args:
        avail: [B, N, A] bool
        uniform: [B or 1, N], in [0, 1)
    """
    place = (uniform * avail.sum(dim=2)).floor().unsqueeze(2)  # [B, N, 1]
    chosen = avail & (avail.cumsum(dim=2) == place + 1)
    return chosen.int().argmax(dim=2)  # [B, N]


def episodes(trace: Trace) -> list[Trace]:
    """A trace cut at its resets."""
    resets = [i for i, (where, _) in enumerate(trace) if "reset" in where]
    return [trace[a:b] for a, b in zip(resets, [*resets[1:], None], strict=True)]


def slots_differ(trace: Trace) -> bool:
    """Whether any environment of the batch differs from the first one."""
    return any(not same(x, x[:1].expand_as(x)) for _, shown in trace for x in shown.values())


def changed(kept: list[tuple[str, EnvStep, dict[str, Tensor]]]) -> list[tuple[str, str]]:
    """(field, where) of tensors that were changed after they had been returned.

    Args:
        kept: (where, what was returned, copies of its tensors made then).
    """
    return [
        (name, where)
        for where, step, then in kept
        for name, tensor in tensors(step).items()
        if not same(tensor, then[name])
    ]
