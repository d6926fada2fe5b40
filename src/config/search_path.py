"""Where YAML files are found by their names: in the user's folders, then in the framework's.

Every folder has the form of `src/config`: `algs/`, `envs/`, `presets/` and `suites/`. The user's
are `configs/` in the current folder, then those of the environment variable AGP_CONFIG_PATH, in
its order. The first file of a name is the one that counts.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from config import epymarl
from config.hints import did_you_mean
from utils.errors import ConfigError
from utils.invocation import near

CONFIG_DIR = Path(__file__).resolve().parent
VARIABLE = "AGP_CONFIG_PATH"
FOLDER = "configs"  # in the current folder; need not exist


def folders() -> list[Path]:
    """The folders in which a name is looked for, in order."""
    named = filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))
    given = [Path(os.path.abspath(os.path.expanduser(text))) for text in named]
    return list(dict.fromkeys([Path.cwd() / FOLDER, *given, CONFIG_DIR]))


def require_folders() -> None:
    """Check that the folders of AGP_CONFIG_PATH exist.

    Raises:
        ConfigError: naming those that do not.
    """
    missing = [str(path) for path in folders()[1:] if not path.is_dir()]
    if missing:
        raise ConfigError(
            [f"{VARIABLE}: there is no folder '{path}'. Correct the variable." for path in missing]
        )


def find_all(kind: str, name: str) -> list[Path]:
    """The files of a name, the one that counts first.

    Args:
        kind: `algs`, `envs`, `presets` or `suites`.
        name: the file's stem; of a preset `<env>/<alg>`.
    """
    files = (folder / kind / f"{name}.yaml" for folder in folders())
    return [path for path in files if path.is_file()]


def find_yaml(name: str, kind: str, flag: str) -> tuple[str, Path]:
    """Label and path of the YAML that a flag names: a file of that name, or any path.

    Args:
        name: the file's stem, or a path that ends in .yaml or .yml.
        kind: `algs`, `envs` or `suites`.
        flag: the command-line flag, for messages.

    Raises:
        ConfigError: if there is no such file.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if not path.is_file():
            raise ConfigError([f"{flag}: there is no file '{name}'. Check the path."])
        return name, path
    found = find_all(kind, name)
    if not found:
        names = available(kind)
        answer = epymarl.answer(flag, name)
        hint = f" {answer}" if answer else did_you_mean(name, names)
        raise ConfigError(
            [
                f"{flag}: there is no {kind}/{name}.yaml.{hint} Available: {', '.join(names)}. "
                f"{_looked()}"
            ]
        )
    return label(found[0]), found[0]


def find_preset(alg: str | None, env: str | None, asked: str) -> tuple[str, Path] | None:
    """Name and path of the preset that holds; None if there is none.

    Args:
        alg: what --config names.
        env: what --env-config names.
        asked: the setting `preset`: auto, none, `<env>/<alg>` or a path to a YAML file.

    Raises:
        ConfigError: if a preset is asked for that does not exist.
    """
    if asked == "none":
        return None
    if asked == "auto":
        found = find_all("presets", f"{env}/{alg}")
        return (f"{env}/{alg}", found[0]) if found else None
    is_path = asked.endswith((".yaml", ".yml"))
    found = [Path(asked)] if is_path else find_all("presets", asked)
    if not found or not found[0].is_file():
        names = ["auto", "none", *presets()]
        raise ConfigError(
            [
                f"preset: there is no '{asked}'.{did_you_mean(asked, names)} "
                f"Available: {', '.join(names)}, or the path of a YAML file. {_looked()}"
            ]
        )
    return asked, found[0]


def presets() -> list[str]:
    """Names of the presets, `<env>/<alg>`."""
    files = [path for folder in folders() for path in folder.glob("presets/*/*.yaml")]
    return sorted({f"{path.parent.name}/{path.stem}" for path in files})


def available(kind: str) -> list[str]:
    """Names of the YAML files of a kind."""
    return sorted({path.stem for folder in folders() for path in folder.glob(f"{kind}/*.yaml")})


def hidden(paths: Iterable[Path]) -> Iterator[str]:
    """A sentence for each of these files whose name another file has, too."""
    for path in paths:
        for folder in folders():
            name = path.relative_to(folder) if path.is_relative_to(folder) else None
            others = [f / name for f in folders() if name and f != folder and (f / name).is_file()]
            if others:
                unused = ", ".join(str(near(other)) for other in others)
                yield f"{near(path)} is used, and not {unused}."


def label(path: Path) -> str:
    """The name of a file in messages: `algs/agp.yaml` in the framework, else its path."""
    return path.relative_to(CONFIG_DIR).as_posix() if _is_ours(path) else str(near(path))


def recorded(path: Path) -> str:
    """The name of a file in a run's record: as `label`, with the whole path."""
    return label(path) if _is_ours(path) else str(path.absolute())


def _is_ours(path: Path) -> bool:
    return path.is_relative_to(CONFIG_DIR)


def _looked() -> str:
    """A sentence with the folders in which a name was looked for."""
    *users, ours = folders()
    texts = [f"{near(path)}{'' if path.is_dir() else ' (no such folder)'}" for path in users]
    return f"Looked in {', '.join(texts)} and {near(ours)}."
