"""Records the scenes of an environment while it is played."""

from torch import Tensor

from envs.base import BatchedEnv, EnvStep, EnvWrapper
from envs.scene import Scene
from utils.errors import UserError
from utils.registry import ENVS


class SceneRecorder(EnvWrapper):
    """Records the scenes of the first `n` environments of a batch; everything else is passed on.

    Args:
        env: what to record; it has a method `scene` (`envs/scene.py`).
        name: its registered name.
        n: how many environments are recorded.

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
        """Reset the environment and record its first scenes."""
        step = self.env.reset()
        self.scenes = [[] for _ in range(self.n)]
        self._record()
        return step

    def step(self, actions: Tensor) -> EnvStep:
        """Play one step and record its scenes."""
        step = self.env.step(actions)
        self._record()
        return step

    def _record(self) -> None:
        for b, scenes in enumerate(self.scenes):
            scenes.append(self._scene(b))


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
