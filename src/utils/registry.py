"""Registries: the name in YAML is the name of the file.

`mixer: qmix` means `src/modules/mixers/qmix.py`, which is imported only when asked for. The file
registers its class together with the dataclass of its settings::

    @MIXERS.register("qmix", config=QMixConfig)
    class QMixer(nn.Module): ...

Nothing else has to be edited to add a component. A missing optional package breaks only the runs
that need it. Components outside the tree are found the same way (`utils/plugins.py`).
"""

import ast
import difflib
import importlib
from collections import ChainMap
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from utils import plugins
from utils.errors import UserError
from utils.invocation import ALL_PACKAGES

ClassT = TypeVar("ClassT", bound=type)


@dataclass(frozen=True)
class NoSettings:
    """Settings of a component that has none."""


@dataclass(frozen=True)
class Component:
    """The entry of one name in a registry.

    Attributes:
        name: the name in YAML.
        cls: the class (or factory function) to build.
        config: the frozen dataclass of its settings.
        outside: its file, if that stands outside the tree.
    """

    name: str
    cls: Any
    config: type
    outside: Path | None = None


class Registry:
    """The components of one slot, found by file name in one folder, or all in one file.

    Args:
        slot: the key in YAML, such as `mixer`; its settings stand under `<slot>_args`.
        place: folder or single file below `src`, such as `modules/mixers`. In a folder, the files
            that hold a component are those with the decorator `@<SLOT>S.register(...)`.
        several: a run has a list of them, not one; the settings of each stand under its name.
    """

    def __init__(self, slot: str, place: str, several: bool = False):
        self.slot = slot
        self.several = several
        self.place = plugins.SOURCE / place
        self.decorator = f"@{slot.upper()}S.register("
        self._known: dict[str, Component] = {}

    def register(self, name: str, config: type = NoSettings) -> Callable[[ClassT], ClassT]:
        """Class decorator: makes the class available under `name`, with settings `config`.

        Args:
            name: the file's name; in a package outside the tree, the package's name goes before it.
            config: the dataclass of its settings.

        Raises:
            UserError: if `config` is no frozen dataclass.
            ValueError: if the name is taken by another class.
        """
        if not (is_dataclass(config) and config.__dataclass_params__.frozen):  # type: ignore[attr-defined]
            raise UserError(
                f"the settings of {self.slot} '{name}' must be a frozen dataclass. Write "
                f"`@dataclass(frozen=True)` above the class given as `config`."
            )

        def add(cls: ClassT) -> ClassT:
            outside = plugins.module_file(cls.__module__)
            if outside is not None and outside.stem != name:
                outside = None  # registered by a test or a script
            full_name = name if outside is None else cls.__module__
            old = self._known.get(full_name)
            if old is not None and (old.cls.__module__, old.cls.__qualname__) != (
                cls.__module__,
                cls.__qualname__,
            ):
                raise ValueError(
                    f"{self.slot} '{full_name}' is registered twice: {old.cls} and {cls}."
                )
            self._known[full_name] = Component(full_name, cls, config, outside)
            return cls

        return add

    def get(self, name: str) -> Component:
        """The component called `name`, importing its file if need be.

        Raises:
            UserError: if there is no such component, its file needs a package that is not
                installed, or a file outside the tree cannot be imported.
        """
        if name not in self._known:
            path = self._files().get(name)
            if path is not None:
                self._import(name, path)
            elif not plugins.import_module(name, self.slot):
                raise UserError(self.unknown(name))
        if name not in self._known:
            raise UserError(self._unregistered(name))
        component = self._known[name]
        self._require_one(component)
        return component

    def choice(self, name: str) -> str:
        """How a component is chosen, as it is written after `with`."""
        return f"{self.slot}s=[..., {name}]" if self.several else f"{self.slot}={name}"

    def settings_path(self, name: str) -> str:
        """The setting that holds those of a component."""
        return f"{self.slot}_args.{name}" if self.several else f"{self.slot}_args"

    def built_in_names(self) -> list[str]:
        """The names of the framework's components, sorted."""
        return sorted(self._files())

    def names(self) -> list[str]:
        """Every name this slot can take, sorted, without importing a component's file."""
        return sorted({**self._files(), **self._outside()})

    def summary(self, name: str) -> str:
        """First line of the docstring of the component's file (or class), without importing it."""
        path = self._files().get(name) or self._outside()[name]
        tree = plugins.syntax_tree(path)
        node: Any = tree
        if path == self.place:
            node = next(n for n in tree.body if name in _registered_names(n))
        return (ast.get_docstring(node) or "").split("\n")[0]

    def unknown(self, name: str) -> str:
        """The sentence that says `name` does not exist, with the nearest name and all names."""
        names = self.names()
        hint = nearest(name, names)
        if any(path.stem == name for path in self.place.rglob("*.py")):
            hint = f' Its file has no class below `{self.decorator}"{name}")`.'
        yours = "" if hint else f" Yours are looked for in {plugins.folder()} (setting `plugins`)."
        return f"there is no {self.slot} '{name}'.{hint} Available: {', '.join(names)}.{yours}"

    def _unregistered(self, name: str) -> str:
        """The sentence that says why importing the file of `name` registered no such component."""
        stem = name.rpartition(".")[2]
        path = self._files().get(name) or plugins.file_of(name) or plugins.module_file(name)
        if path is not None and not any(
            _registered_names(node, self) for node in plugins.syntax_tree(path).body
        ):
            return (
                f'{path} has no class below `{self.decorator}"{stem}")`. Write it above the class.'
            )
        return (
            f"{path or name} does not register the {self.slot} '{stem}': the name given to "
            f"`.register(...)` must be the file's name."
        )

    def _files(self) -> dict[str, Path]:
        if self.place.with_suffix(".py").is_file():
            self.place = self.place.with_suffix(".py")
        if self.place.is_file():
            tree = ast.parse(self.place.read_text())
            return {name: self.place for node in tree.body for name in _registered_names(node)}
        return {
            path.stem: path
            for path in sorted(self.place.rglob("*.py"))
            if f"\n{self.decorator}" in path.read_text(encoding="utf-8")
        }

    def _outside(self) -> dict[str, Path]:
        """Name -> file of this slot's components outside the tree.

        A file that is not valid Python may have nothing to do with the run, and is left out.
        """
        found = {}
        for name, path in plugins.files().items():
            with suppress(UserError):
                if self._registers(name, path):
                    found[name] = path
        return found

    def _registers(self, name: str, path: Path) -> bool:
        """Whether a file outside the tree registers its stem here, read without importing it.

        Raises:
            UserError: if it is not valid Python.
        """
        stem = name.rpartition(".")[2]
        return any(stem in _registered_names(node, self) for node in plugins.syntax_tree(path).body)

    def _require_one(self, component: Component) -> None:
        """Check that no file outside the tree has a name that another component has.

        Raises:
            UserError: if there is one.
        """
        name, path = component.name, plugins.file_of(component.name)
        if path is not None and component.outside != path and self._registers(name, path):
            raise UserError(
                f"the {self.slot} '{name}' is loaded from {component.outside or 'the tree'}, and "
                f"{path} registers the same name. Rename that file and the name it registers."
            )

    def _import(self, name: str, path: Path) -> None:
        module = ".".join(path.relative_to(plugins.SOURCE).with_suffix("").parts)
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if (plugins.SOURCE / missing.split(".")[0]).exists():
                raise  # a mistake in our imports, shown as it is
            raise UserError(
                f"{self.slot} '{name}' needs the module '{missing}', which is not installed. "
                f"`pip install {ALL_PACKAGES}` installs what components in the tree import."
            ) from error


def _registered_names(node: ast.stmt, registry: Registry | None = None) -> list[str]:
    """Names under which a class statement registers itself, read from its decorators.

    Args:
        node: the statement.
        registry: count only what is registered there; None: anywhere.
    """
    if not isinstance(node, ast.ClassDef):
        return []
    calls = [d for d in node.decorator_list if isinstance(d, ast.Call)]
    return [
        call.args[0].value
        for call in calls
        if call.args
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "register"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
        and registry in (None, globals().get(ast.unparse(call.func.value).split(".")[-1]))
    ]


def nearest(name: str, names: list[str]) -> str:
    """` Did you mean 'x'?` for the most similar of `names`, or nothing if none is similar."""
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f" Did you mean '{found[0]}'?" if found else ""


if __name__ != "utils.registry":
    raise ImportError(
        f"Components register themselves in `utils.registry`; {__name__} would be a second copy, "
        f"which no run reads. Write `from utils.registry import ...`."
    )

ENVS = Registry("env", "envs")
CONTROLLERS = Registry("controller", "controllers")
AGENTS = Registry("agent", "modules/agents")
MIXERS = Registry("mixer", "modules/mixers")
CRITICS = Registry("critic", "modules/critics")
LEARNERS = Registry("learner", "learners")
BUFFERS = Registry("buffer", "components/buffers")
RUNNERS = Registry("runner", "runners")
SELECTORS = Registry("action_selector", "components/action_selectors")
LOGGERS = Registry("logger", "records/loggers", several=True)

REGISTRIES = {
    r.slot: r
    for r in (
        ENVS,
        CONTROLLERS,
        AGENTS,
        MIXERS,
        CRITICS,
        LEARNERS,
        BUFFERS,
        RUNNERS,
        SELECTORS,
    )
}  # of the slots: a run has one component of each
ALL_REGISTRIES = ChainMap({LOGGERS.slot: LOGGERS}, REGISTRIES)
