"""Registries: the name in YAML is the name of the file.

`mixer: qmix` means `src/modules/mixers/qmix.py`, which is imported only when asked for. The file
registers its class together with the dataclass of its settings::

    @MIXERS.register("qmix", config=QMixConfig)
    class QMixer(nn.Module): ...

Nothing else has to be edited to add a component. A missing optional package breaks only the runs
that need it.
"""

import ast
import difflib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from utils.errors import UserError

SOURCE = Path(__file__).resolve().parents[1]
ClassT = TypeVar("ClassT", bound=type)


@dataclass(frozen=True)
class NoSettings:
    """Settings of a component that has none."""


@dataclass(frozen=True)
class Component:
    """What a registry knows of one name.

    Attributes:
        name: the name in YAML.
        cls: the class (or factory function) to build.
        config: the frozen dataclass of its settings.
    """

    name: str
    cls: Any
    config: type


class Registry:
    """The components of one slot, found by file name in one folder, or all in one file.

    Args:
        slot: the key in YAML, such as `mixer`; its settings stand under `<slot>_args`.
        place: folder or single file below `src`, such as `modules/mixers`.
        skip: names of files (without `.py`) and folders in that folder that hold no component.
    """

    def __init__(self, slot: str, place: str, skip: tuple[str, ...] = ()):
        self.slot = slot
        self.place = SOURCE / place
        self.skip = {"__init__", *skip}
        self._known: dict[str, Component] = {}

    def register(self, name: str, config: type = NoSettings) -> Callable[[ClassT], ClassT]:
        """Class decorator: makes the class available under `name`, with settings `config`.

        Raises:
            ValueError: if the name is taken by another class.
        """

        def add(cls: ClassT) -> ClassT:
            old = self._known.get(name)
            if old is not None and (old.cls.__module__, old.cls.__qualname__) != (
                cls.__module__,
                cls.__qualname__,
            ):
                raise ValueError(f"{self.slot} '{name}' is registered twice: {old.cls} and {cls}.")
            self._known[name] = Component(name, cls, config)
            return cls

        return add

    def get(self, name: str) -> Component:
        """The component called `name`, importing its file if need be.

        Raises:
            UserError: if there is no such component, or its file needs a package that is not
                installed.
        """
        if name not in self._known:
            path = self._files().get(name)
            if path is None:
                raise UserError(self.unknown(name))
            self._import(name, path)
        if name not in self._known:
            raise UserError(
                f"{self._files()[name]} does not register the {self.slot} '{name}': the name "
                f"given to `.register(...)` must be the file's name."
            )
        return self._known[name]

    def names(self) -> list[str]:
        """Every name this slot can take, sorted, without importing a component's file."""
        return sorted(self._files())

    def summary(self, name: str) -> str:
        """First line of the docstring of the component's file (or class), without importing it."""
        path = self._files()[name]
        tree = ast.parse(path.read_text())
        node: Any = tree
        if path == self.place:
            node = next(n for n in tree.body if name in _registered_names(n))
        return (ast.get_docstring(node) or "").split("\n")[0]

    def unknown(self, name: str) -> str:
        """The sentence that says `name` does not exist, with the nearest name and all names."""
        names = self.names()
        hint = nearest(name, names)
        return f"there is no {self.slot} '{name}'.{hint} Available: {', '.join(names)}."

    def _files(self) -> dict[str, Path]:
        if self.place.with_suffix(".py").is_file():
            self.place = self.place.with_suffix(".py")
        if self.place.is_file():
            tree = ast.parse(self.place.read_text())
            return {name: self.place for node in tree.body for name in _registered_names(node)}
        return {
            path.stem: path
            for path in sorted(self.place.rglob("*.py"))
            if self.skip.isdisjoint(path.relative_to(self.place).with_suffix("").parts)
            and not path.stem.startswith("_")
        }

    def _import(self, name: str, path: Path) -> None:
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if (SOURCE / missing.split(".")[0]).exists():
                raise  # a mistake in our own imports, shown as it is
            raise UserError(
                f"{self.slot} '{name}' needs the package '{missing}', which is not installed. "
                f"Install it with `pip install {missing.split('.')[0]}`."
            ) from error


def _registered_names(node: ast.stmt) -> list[str]:
    """Names under which a class statement registers itself, read from its decorators."""
    if not isinstance(node, ast.ClassDef):
        return []
    calls = [d for d in node.decorator_list if isinstance(d, ast.Call)]
    return [
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "register"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    ]


def nearest(name: str, names: list[str]) -> str:
    """` Did you mean 'x'?` for the most similar of `names`, or nothing if none is similar."""
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" Did you mean '{found[0]}'?" if found else ""


ENVS = Registry(
    "env", "envs", skip=("base", "env_checker", "reward_aggregation", "scenarios", "scene")
)
CONTROLLERS = Registry("controller", "controllers")
AGENTS = Registry("agent", "modules/agents", skip=("base",))
MIXERS = Registry("mixer", "modules/mixers")
LEARNERS = Registry("learner", "learners", skip=("base",))
RUNNERS = Registry("runner", "runners")
SELECTORS = Registry("action_selector", "components/action_selectors")

REGISTRIES = {r.slot: r for r in (ENVS, CONTROLLERS, AGENTS, MIXERS, LEARNERS, RUNNERS, SELECTORS)}
