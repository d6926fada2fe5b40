"""From a name in YAML to a module, with errors that say what to install or to write."""

import importlib
import importlib.util
import pkgutil
import re
from types import ModuleType
from typing import Any

from utils.errors import UserError
from utils.registry import nearest

VERSION = re.compile(r"_v\d+$")  # of a PettingZoo task, such as simple_tag_v3


def load_module(name: str, setting: str) -> ModuleType:
    """Import the module `name`.

    Args:
        name: with dots.
        setting: what was set to it, such as `env_args.task=mpe2.simple_spread_v3`.

    Raises:
        UserError: if a package is missing or the module does not exist.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        package = missing.split(".")[0]
        if importlib.util.find_spec(package) is not None:
            if name != missing and not name.startswith(f"{missing}."):
                raise  # a mistake inside the package, shown as it is
            raise UserError(f"{setting}: {_no_module(missing)}") from error
        raise UserError(
            f"{setting} needs the package '{package}', which is not installed. "
            f"Install it with `pip install {package}`."
        ) from error


def _no_module(missing: str) -> str:
    parent, _, last = missing.rpartition(".")
    names = _names_in(parent)
    listed = f" {parent} has: {', '.join(names)}." if names else ""
    return f"there is no module '{missing}'.{nearest(last, names)}{listed}"


def _names_in(package: str) -> list[str]:
    """What can be asked for in a package: its modules, or those with a version if there are any."""
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
