"""Components outside the tree: where they are looked for, and how their modules are imported.

They stand in one folder: the one that the setting `plugins` names, or the environment variable
AGP_PLUGINS, or else the current folder. The name of a component is that of its module, seen from
there: `mixer: my_mixer` is `my_mixer.py`, and `mixer: my_package.my_mixer` is
`my_package/my_mixer.py`. A dotted name may also belong to an installed package.
"""

import ast
import hashlib
import importlib
import importlib.util
import linecache
import os
import sys
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path

from utils.errors import UserError
from utils.invocation import SOURCE

VARIABLE = "AGP_PLUGINS"
MOST_LINES = 3  # of the user's files, in a message about an error in them
_named = ""  # the folder that the configuration names


def use_folder(named: str) -> None:
    """Look for components outside the tree in this folder from now on.

    Args:
        named: the folder; empty: that of AGP_PLUGINS, or the current folder.

    Raises:
        UserError: if there is no such folder.
    """
    global _named
    _named = named
    if not os.path.isdir(folder()):
        raise UserError(
            f"there is no folder '{folder()}'. Name the folder that holds your components."
        )


def folder() -> Path:
    """The folder that holds the components outside the tree."""
    return Path(os.path.abspath(os.path.expanduser(_named or os.environ.get(VARIABLE, ""))))


def files() -> dict[str, Path]:
    """The modules of that folder and of the packages in it that register components.

    Returns:
        Name with dots -> file.
    """
    root = folder()
    if _is_ours(root):
        return {}
    found = {}
    for path in sorted((*root.glob("*.py"), *root.glob("*/*.py"))):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        if _is_name(name) and not _is_ours(path) and os.access(path, os.R_OK):
            if b"registry" in path.read_bytes():
                found[name] = path
    return found


def syntax_tree(path: Path) -> ast.Module:
    """The statements of a Python file, read without importing it.

    Raises:
        UserError: if it is not valid Python.
    """
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError) as error:
        raise UserError(f"{path} is not valid Python: {error}. Correct it, or move it.") from error


def unreadable() -> list[str]:
    """A sentence for each module of that folder that is not valid Python."""
    found = []
    for path in files().values():
        try:
            syntax_tree(path)
        except UserError as error:
            found.append(str(error))
    return found


def file_of(name: str) -> Path | None:
    """The file of that folder that `name` means, if there is one."""
    path = folder().joinpath(*name.split(".")).with_suffix(".py")
    is_there = _is_name(name) and not _is_ours(path) and os.path.isfile(path)
    return path.resolve() if is_there else None


def import_module(name: str, slot: str) -> bool:
    """Import the module `name`, which may hold a component.

    Modules beside it can be imported, too, also in worker processes, which get Python's path.

    Args:
        name: of the module.
        slot: that of the component, for messages.

    Returns:
        False if there is no such module. A name without dots must be that of a file in the folder.

    Raises:
        UserError: if Python knows another module of that name, or the import fails.
    """
    path = file_of(name)
    if path is None and ("." not in name or not _is_name(name)):
        return False
    add_to_path()
    try:
        spec = _spec(name)
        if path is not None and (spec is None or Path(str(spec.origin)).resolve() != path):
            raise UserError(
                f"{path} cannot be imported as '{name}', because Python has another module of "
                f"that name ({spec.origin if spec else 'none'}). Rename the file."
            )
        if spec is not None:
            importlib.import_module(name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # any statement may stand in the user's files
        raise UserError(_import_failed(name, slot, error)) from error
    return spec is not None


def add_to_path() -> None:
    """Let Python find modules in the folder, after all others; worker processes do so, too."""
    if str(folder()) not in sys.path:
        sys.path.append(str(folder()))
    importlib.invalidate_caches()


def fingerprint(path: Path) -> str:
    """A short text that differs if a single byte of the file does."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def module_file(module: str) -> Path | None:
    """The file of an imported module outside the tree; None for modules of the tree."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if spec is None or spec.origin is None or _is_ours(Path(spec.origin)):
        return None
    return Path(spec.origin).resolve()


def _import_failed(name: str, slot: str, error: Exception | SystemExit) -> str:
    """What to say of an error that ended the import of a component."""
    what = file_of(name) or name
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").split(".")[0]
        if not ((SOURCE / missing).exists() or file_of(missing) or (folder() / missing).is_dir()):
            return (
                f"{what} imports '{error.name}', which is not installed, and {folder()} does not "
                f"hold it. Install the package that it belongs to, or put its file there."
            )
    lines = "".join(f"\n    {line}" for line in _own_lines(name, error))
    where = f" at the last of these lines:{lines}" if lines else "."
    raised = f"{type(error).__name__}: {error}".rstrip(" .:")
    return (
        f"the {slot} '{name}' cannot be loaded: importing {what} raised {raised}. Correct it{where}"
    )


def _own_lines(name: str, error: BaseException) -> list[str]:
    """The last lines of the user's files that led to an error, as `file:number: text`.

    Args:
        name: of the module that was imported; the lines of its whole package count.
        error: what was raised.
    """
    places = []
    for frame, number in traceback.walk_tb(error.__traceback__):
        path, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
        is_same_package = module.split(".")[0] == name.split(".")[0]
        if is_same_package or _is_in_project(Path(path)):
            places.append((path, number))
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        places.append((error.filename, error.lineno))
    for path, _ in places:
        linecache.checkcache(path)
    return [f"{path}:{n}: {linecache.getline(path, n).strip()}" for path, n in places[-MOST_LINES:]]


def _is_in_project(path: Path) -> bool:
    """Whether a file stands in the folder, and not in a virtual environment in there."""
    is_inside = path.is_relative_to(folder()) and "site-packages" not in path.parts
    return is_inside and not _is_ours(path)


def _spec(name: str) -> ModuleSpec | None:
    """Where Python would find a module; None if nowhere."""
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            return None  # its package does not exist
        raise


def _is_name(name: str) -> bool:
    """Whether a component can have this name; `_helpers` and `__init__` hold none."""
    return all(part.isidentifier() and not part.startswith("_") for part in name.split("."))


def _is_ours(path: Path) -> bool:
    """Whether a file or folder stands in the tree."""
    return path.resolve().is_relative_to(SOURCE)
