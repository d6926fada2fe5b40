"""The arrows of architecture.md, section 2, read from the imports, and a few rules of style.md."""

import ast
import re
from pathlib import Path

import pytest
from docs.images import draw_architecture
from tests.helpers.imports import FILES, SRC, arrows, imports, name, room, room_of, without_detours

LIMIT = 300
LONGER: dict[str, str] = {}  # file: why it may be longer

# Room -> rooms it may import besides itself.
LEARNING = {"utils", "components", "envs", "modules", "controllers"}
PLAY = LEARNING | {"runners", "config", "records"}  # a policy plays without its learner
TRAIN = PLAY | {"learners"}
ARROWS = {
    "__init__": set(),  # of the installed package
    "utils": set(),
    "components": {"utils"},
    "config": {"utils", "components"},
    "envs": {"utils", "components"},
    "modules": {"utils", "components"},
    "controllers": {"utils", "components", "envs", "modules"},
    "learners": LEARNING,
    "runners": LEARNING,
    "analysis": {"utils", "config", "records"},
    "records": {"utils"},
    "rendering": {"utils", "components", "envs"},
    "build": PLAY,
    "build_training": TRAIN | {"build"},
    "film": PLAY | {"build", "rendering"},
    "evaluate": PLAY | {"build", "film", "rendering"},
    "run": TRAIN | {"build", "build_training", "evaluate"},
    "policy": PLAY | {"build"},
    "attention": PLAY | {"policy", "analysis"},
    "export": {"utils", "config", "records"},
    "resume": {"utils", "config", "records"},
    "training": {"utils", "config", "run", "resume", "records"},
    "main": PLAY | {"build", "evaluate", "training", "policy"},
    "engines": {"utils"},
    # They start main.py in separate processes.
    "suites": {"utils", "analysis", "config", "records", "resume", "engines"},
    "suite": {"utils", "config", "records", "engines", "suites"},
    "search": {"utils", "analysis", "config", "records", "engines", "suites", "suite"},
    "report": {"utils", "analysis"},
}
# Single modules that a room may import although the whole room is out of its reach.
EXCEPTIONS = {"modules": {"envs.base"}}  # EnvInfo is the contract


def wrong_arrows(place: str, source: str) -> list[str]:
    """Imports that a file in the room `place` must not have."""
    rooms = set(map(room_of, FILES))
    allowed, exceptions = ARROWS[place] | {place}, EXCEPTIONS.get(place, set())
    return [
        module
        for module in imports(ast.parse(source))
        if room(module) in rooms and room(module) not in allowed and module not in exceptions
    ]


def test_every_room_is_known() -> None:
    assert set(map(room_of, FILES)) == set(ARROWS)


def test_every_room_is_a_regular_package() -> None:
    """A folder without `__init__.py` would give way to any package of its name on Python's path."""
    rooms = {path.relative_to(SRC).parts[0] for path in FILES if path.parent != SRC}
    assert [name for name in sorted(rooms) if not (SRC / name / "__init__.py").is_file()] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_run_one_way(path: Path) -> None:
    assert wrong_arrows(room_of(path), path.read_text()) == []


@pytest.mark.parametrize(
    ("place", "source", "found"),
    [
        ("utils", "from components.returns import lambda_returns", ["components.returns"]),
        ("learners", "def f():\n    import runners.batch_runner", ["runners.batch_runner"]),
        ("runners", "from learners import base", ["learners.base"]),
        ("modules", "from envs.base import EnvInfo", []),
        ("modules", "from envs.matrix_games.topk import TopK", ["envs.matrix_games.topk"]),
        ("components", "if TYPE_CHECKING:\n    from envs.base import EnvInfo", []),
        ("components", "from envs.base import EnvInfo", ["envs.base"]),
        ("envs", "from config.schema import RunConfig", ["config.schema"]),
        ("policy", "import run", ["run"]),
        ("build", "from run import Run", ["run"]),
        ("policy", "from learners.base import Learner", ["learners.base"]),
        ("evaluate", "from build_training import build_learner", ["build_training"]),
        ("training", "from run import Run", []),
        ("main", "from run import Run", ["run"]),
        ("analysis", "import numpy, envs.base", ["envs.base"]),
    ],
)
def test_a_wrong_arrow_is_found(place: str, source: str, found: list[str]) -> None:
    assert wrong_arrows(place, source) == found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_is_too_long(path: Path) -> None:
    n_lines = len(path.read_text().splitlines())
    if name(path) in LONGER:
        assert n_lines > LIMIT, "short enough now: take it off the list"
    else:
        assert n_lines <= LIMIT, f"{n_lines} lines ask to be split"


def test_only_the_base_learner_steps_an_optimiser() -> None:
    steps = [
        name(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "step"
        and "optim" in ast.unparse(node.func.value)
    ]
    assert steps == ["learners/base.py"]


GLOBAL_RANDOM = ("random.", "np.random.", "numpy.random.")
WITHOUT_STATE = {"default_rng", "SeedSequence", "Generator", "PCG64"}
TORCH_RANDOM = {"rand", "randn", "randint", "randperm", "multinomial", "normal", "bernoulli"}
TORCH_GLOBAL = {"manual_seed", "seed", "initial_seed", "set_rng_state"}
TORCH_GLOBAL |= {f"torch.{function}" for function in TORCH_GLOBAL}
DISTRIBUTIONS = {"sample", "rsample"}  # torch.distributions draws from the global generator


def global_draws(source: str) -> list[str]:
    """Calls that read or seed a random generator shared by the whole process."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last, given = called.split(".")[-1], {keyword.arg for keyword in node.keywords}
        if called.startswith(GLOBAL_RANDOM):
            wrong = last not in WITHOUT_STATE
        elif called.startswith("torch."):
            draws = last.removesuffix("_like") in TORCH_RANDOM and "generator" not in given
            wrong = draws or called.removeprefix("torch.random.") in TORCH_GLOBAL
        else:
            wrong = "distributions" in called and last in DISTRIBUTIONS
        if wrong:
            found.append(called)
    return found


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_global_random_numbers(path: Path) -> None:
    if name(path) != "utils/seeding.py":
        assert global_draws(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("torch.manual_seed(0)", ["torch.manual_seed"]),
        ("torch.random.seed()", ["torch.random.seed"]),
        ("torch.Generator().manual_seed(0)", []),
        ("torch.rand(3)", ["torch.rand"]),
        ("torch.rand(3, generator=g)", []),
        ("np.random.seed(1)", ["np.random.seed"]),
        ("np.random.default_rng(1)", []),
        ("random.choice(x)", ["random.choice"]),
        ("self.random.choice(x)", []),
    ],
)
def test_a_global_draw_is_found(source: str, found: list[str]) -> None:
    assert global_draws(source) == found


def circles(room: str) -> list[set[str]]:
    """Sets of files of a room that import each other, directly or not, types included."""
    modules = {
        ".".join(p.relative_to(SRC).with_suffix("").parts): p for p in (SRC / room).rglob("*.py")
    }
    reach = {
        module: {
            node.module
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module in modules
        }
        for module, path in modules.items()
    }
    for middle in modules:  # Warshall's closure
        for found in reach.values():
            if middle in found:
                found |= reach[middle]
    found = [{b for b in reach[a] if a in reach[b]} for a in modules]
    return [circle for k, circle in enumerate(found) if circle and circle not in found[:k]]


# engines/engine.py imports the chosen engine when it is asked for, which imports its base class.
ROOMS = {path.relative_to(SRC).parts[0] for path in FILES if path.parent != SRC} - {"engines"}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_no_files_of_a_room_import_each_other(room: str) -> None:
    assert circles(room) == []


def test_detours_are_left_out_of_the_picture() -> None:
    found = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": {"c"}}
    assert without_detours(found) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": {"c"}}


def test_the_picture_shows_these_rooms_and_arrows() -> None:
    assert draw_architecture.ROOMS.keys() == arrows().keys()
    assert draw_architecture.outdated() == ""


PAGE = (SRC.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_page_names_paths_that_exist() -> None:
    paths = re.findall(r"`((?:src|tests)/[\w./]*)`", PAGE)
    assert [path for path in paths if not (SRC.parent / path).exists()] == []
    rooms = {path.split("/")[1].removesuffix(".py") for path in paths if path.startswith("src/")}
    assert rooms == arrows().keys()


def test_the_page_counts_the_files_that_values_pass_through() -> None:
    for part in PAGE.split("\n### ")[1:]:
        title, *lines = part.splitlines()
        files = {line.split("`")[1] for line in lines if line[:1].isdigit()}
        assert f"({len(files)} files)" in title
