"""An environment that remembers what it looked like."""

from torch import Tensor

from envs.base import BatchedEnv, EnvStep, EnvWrapper
from envs.scene import Scene
from utils.errors import UserError
from utils.registry import ENVS


class Camera(EnvWrapper):
    """Films the first `n` copies of an environment and changes nothing else.

    Args:
        env: what to film; it has a method `scene` (`envs/scene.py`).
        name: its registered name.
        n: how many copies are filmed.

    Attributes:
        scenes: [n][t], since the last reset; t = 0 is the beginning.

    Raises:
        UserError: if the environment cannot be drawn.
    """

    def __init__(self, env: BatchedEnv, name: str, n: int):
        if not hasattr(env, "scene"):
            raise UserError(
                f"env '{name}' cannot be drawn: it has no method `scene`. Those that can: "
                f"{', '.join(drawable())}. Leave out render to see the table alone."
            )
        super().__init__(env)
        self.n = n
        self._scene = env.scene
        self.scenes: list[list[Scene]] = []

    def reset(self) -> EnvStep:
        """See `BatchedEnv`."""
        step = self.env.reset()
        self.scenes = [[] for _ in range(self.n)]
        self._film()
        return step

    def step(self, actions: Tensor) -> EnvStep:
        """See `BatchedEnv`."""
        step = self.env.step(actions)
        self._film()
        return step

    def _film(self) -> None:
        for copy, scenes in enumerate(self.scenes):
            scenes.append(self._scene(copy))


def drawable() -> list[str]:
    """Names of the environments that can be drawn."""
    found = []
    for name in ENVS.names():
        try:
            component = ENVS.get(name)
        except UserError:  # its package is not installed
            continue
        if hasattr(component.cls, "scene"):
            found.append(name)
    return found
