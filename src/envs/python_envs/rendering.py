"""What an environment of another library draws of itself."""

import inspect
import os
import sys
from typing import Any

import numpy as np

from envs.python_envs.loading import install_advice
from utils.errors import UserError

NO_DISPLAY = (
    "Its renderer may need a display, and there is none here. Install what draws without one "
    "(Debian and Ubuntu: `apt-get install libegl1 libglu1-mesa`), or a virtual display "
    "(`apt-get install xvfb`, then put `xvfb-run -a` before the command)."
)
HAS_DISPLAY = sys.platform != "linux" or bool(os.environ.get("DISPLAY"))
if not HAS_DISPLAY:
    os.environ.setdefault("PYGLET_HEADLESS", "1")  # level-based foraging and RWARE draw by pyglet


def picture_of(env: Any) -> Any:
    """What an environment draws of itself, [height, width, 3] uint8.

    Level-based foraging, RWARE and VMAS take the mode as an argument of the unwrapped `render`.

    Raises:
        UserError: if that is no picture.
    """
    inner = getattr(env, "unwrapped", env)
    picture: Any = None
    try:
        if "mode" in inspect.signature(inner.render).parameters:
            picture = inner.render(mode="rgb_array")
        elif getattr(env, "render_mode", None) == "rgb_array":
            picture = env.render()
    except NotImplementedError:
        pass
    except ModuleNotFoundError as error:
        name = error.name or ""
        raise UserError(
            f"the environment's renderer needs the module '{name}'. {install_advice(name)}"
        ) from error
    except (Exception, SystemExit) as error:  # each graphics library raises other errors
        raise UserError(
            f"the environment could not draw itself ({type(error).__name__}: {error}). "
            f"{'' if HAS_DISPLAY else NO_DISPLAY}".strip()
        ) from error
    if np.ndim(picture) != 3:
        raise UserError(
            "the environment draws no pictures. Add env_args.kwargs.render_mode=rgb_array; if that "
            "changes nothing, it cannot be filmed."
        )
    return np.asarray(picture, dtype=np.uint8)
