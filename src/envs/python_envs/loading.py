"""From a name in YAML to a module, with errors that say what to install or to write."""

import importlib
import importlib.util
import pkgutil
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from utils.errors import UserError
from utils.registry import nearest

VERSION = re.compile(r"_v\d+$")  # of a PettingZoo task, such as simple_tag_v3
INSTALL = {  # module: how to install it; of no other module is the package known
    "gym": "pip install gym==0.26.2",
    "gymnasium": "pip install gymnasium",
    "lbforaging": "pip install lbforaging",
    "magent2": "pip install magent2",
    "mpe2": "pip install mpe2",
    "pettingzoo": "pip install pettingzoo",
    "pygame": "pip install pygame-ce",
    "pymunk": "pip install pymunk",
    "pyglet": 'pip install "pyglet<2"',
    "rware": "pip install rware",
    "six": "pip install six",
    "shimmy": "pip install shimmy",
    "smaclite": "pip install git+https://github.com/uoe-agents/smaclite",
    "vmas": "pip install vmas shimmy gym==0.26.2",
}


def load_module(name: str, setting: str) -> ModuleType:
    """Import the module `name`, an installed one or one in the current folder.

    Args:
        name: with dots.
        setting: what was set to it, such as `env_args.task=mpe2.simple_spread_v3`.

    Raises:
        UserError: if a package is missing or the module does not exist.
    """
    try:
        add_current_folder()
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        package = missing.split(".")[0]
        if importlib.util.find_spec(package) is not None:
            if name != missing and not name.startswith(f"{missing}."):
                raise  # a mistake inside the package, shown as it is
            raise UserError(f"{setting}: {_no_module(missing)}") from error
        raise UserError(
            f"{setting} needs the module '{package}'. {install_advice(package)}"
        ) from error


def add_current_folder() -> None:
    """Let Python find modules in the current folder, after all others."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()


def module_exists(module: str) -> bool:
    """Whether there is a module of this name, installed or in the current folder."""
    add_current_folder()
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package
        return False


def install_advice(module: str) -> str:
    """What to do about a module that is not installed."""
    if module in INSTALL:
        return f"It is not installed. Install it with `{INSTALL[module]}`."
    return (
        f"It is not installed, and the current folder {Path.cwd()} does not hold it. If it is "
        f"yours, run from the folder that holds it, or add that folder to PYTHONPATH. If it "
        f"belongs to a package, install what that package's documentation names."
    )


def _no_module(missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    names = _names_in(parent)
    listed = f" {parent} has: {', '.join(names)}." if names else ""
    return f"there is no module '{missing}'.{nearest(last, names)}{listed}"


def _names_in(package: str) -> list[str]:
    """Modules of a package that can be named: all, or those with a version if there are any."""
    path = getattr(importlib.import_module(package), "__path__", []) if package else []
    names = [m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")]
    return [name for name in names if VERSION.search(name)] or names


def load_function(task: str, default: str, setting: str) -> Any:
    """The function that `module:function` names; `default` where no function is named.

    Raises:
        UserError: if there is no such module or function.
    """
    module_name, _, function_name = task.partition(":")
    module = load_module(module_name, setting)
    function = getattr(module, function_name or default, None)
    if not callable(function):
        parent, _, last = module_name.rpartition(".")
        versions = [name for name in _names_in(parent) if name.startswith(f"{last}_v")]
        raise UserError(
            f"{setting}: the module '{module_name}' has no function '{function_name or default}'."
            f"{nearest(last, versions)} Write {setting.partition('=')[0]}=<module>:<function>, of "
            f"a function that returns an environment."
        )
    return function
