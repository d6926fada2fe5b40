"""Loss and gradient norm of each update; they stay on the device until a row of metrics is due."""

import math

import torch
from torch import Tensor

from utils.errors import NumericalError

MOST_UNREAD = 1024  # updates whose loss stays on the device before it is read
NAMES = ("loss", "grad_norm")


class UpdateRecord:
    """Remembers updates, sums them, and says if one was not finite."""

    def __init__(self) -> None:
        self._unread: list[tuple[int, int, Tensor]] = []  # update, env_steps, `NAMES` [2]
        self._sums = dict.fromkeys(("n", *NAMES), 0.0)

    def add(self, update: int, env_steps: int, outcome: Tensor) -> None:
        """Remember an update.

        Args:
            update: its number, from 1.
            env_steps: environment steps at that time.
            outcome: loss and gradient norm, [2] on the device.

        Raises:
            NumericalError: as `require_finite`, which is called after `MOST_UNREAD` updates.
        """
        self._unread.append((update, env_steps, outcome))
        if len(self._unread) == MOST_UNREAD:
            self.require_finite()

    def require_finite(self) -> None:
        """Read the updates since the last call.

        Raises:
            NumericalError: if a number is infinite or NaN.
        """
        if not self._unread:
            return
        rows = torch.stack([outcome for *_, outcome in self._unread]).tolist()
        for (update, env_steps, _), row in zip(self._unread, rows, strict=True):
            for name, value in zip(NAMES, row, strict=True):
                _require_finite(name.replace("grad_", "gradient "), value, update, env_steps)
                self._sums[name] += value
            self._sums["n"] += 1
        self._unread = []

    def means(self) -> dict[str, float]:
        """Means over the updates since the last call; empty if there were none."""
        self.require_finite()
        sums, self._sums = self._sums, dict.fromkeys(self._sums, 0.0)
        return {name: sums[name] / sums["n"] for name in NAMES} if sums["n"] else {}

    def state_dict(self) -> dict[str, float]:
        """The sums since the last `means`."""
        self.require_finite()
        return dict(self._sums)

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Restore the sums."""
        self._sums = dict(state)


def _require_finite(name: str, value: float, update: int, env_steps: int) -> None:
    """Raise `NumericalError` if `value` is infinite or NaN."""
    if not math.isfinite(value):
        raise NumericalError(
            f"The {name} is {value} at update {update} (environment step {env_steps}). Training "
            f"stopped; the last checkpoint holds finite weights. Lower lr or grad_norm_clip, or "
            f"look at the environment's rewards."
        )
