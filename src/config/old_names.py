"""Settings that `loggers` has replaced. They still work, and a note says what to write now."""

from collections.abc import Sequence
from typing import Any

OLD_FLAGS = {"use_tensorboard": "tensorboard", "use_wandb": "wandb"}  # flag -> its logger


def translate(data: dict[str, Any], loggers: Any) -> list[str]:
    """Write the old flags of one layer as its list of loggers.

    A flag that is not true or false stays where it is, to be found later.

    Args:
        data: the layer's settings, which are changed.
        loggers: the list that holds where the layer gives none.

    Returns:
        A sentence for each flag.
    """
    notes = []
    for flag, name in OLD_FLAGS.items():
        names = data.get("loggers", loggers)
        is_on = {"true": True, "false": False}.get(str(data.get(flag)).lower())
        if is_on is None or isinstance(names, str) or not isinstance(names, Sequence):
            continue
        others = [other for other in names if other != name]
        data["loggers"] = [*others, name] if is_on else others
        listed = ", ".join(map(str, data["loggers"]))
        notes.append(f"{flag}={data.pop(flag)} is now written as loggers=[{listed}].")
    return notes
