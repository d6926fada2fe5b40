"""Who imports whom in `src`, read from the files without running them."""

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"
FILES = sorted(SRC.rglob("*.py"))


def name(path: Path) -> str:
    """A file's path below `src`."""
    return path.relative_to(SRC).as_posix()


def room(module: str) -> str:
    """The folder or file directly below `src` that a module belongs to."""
    return module.split(".")[0]


def room_of(path: Path) -> str:
    """The room that a file belongs to."""
    return room(name(path).removesuffix(".py").replace("/", "."))


def imports(tree: ast.AST) -> Iterator[str]:
    """Modules imported anywhere in a file, in functions too, save for types only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from (module for other in node.orelse for module in imports(other))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write the import from src downwards, without leading dots"
            assert node.module is not None
            if (SRC / node.module.replace(".", "/")).is_dir():
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module
        else:
            yield from imports(node)


def arrows() -> dict[str, set[str]]:
    """Room -> the other rooms that its files import."""
    found: dict[str, set[str]] = {room_of(path): set() for path in FILES if path.parent != SRC}
    found |= {room_of(path): set() for path in FILES if path.name != "__init__.py"}
    for path in FILES:
        if (here := room_of(path)) in found:
            imported = {room(module) for module in imports(ast.parse(path.read_text()))}
            found[here] |= imported & found.keys() - {here}
    return found


def without_detours(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others: a -> c goes if there are a -> b and b -> c."""
    reach: dict[str, set[str]] = {}

    def reached(here: str) -> set[str]:
        if here not in reach:
            reach[here] = found[here].union(*map(reached, found[here]))
        return reach[here]

    return {
        here: {there for there in to if not any(there in reached(other) for other in to)}
        for here, to in found.items()
    }
