"""Writes the generated pages, tables and figures of docs/, or says which are out of date.

python docs/generate.py [--check]
"""

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS), str(DOCS.parent / "src")]

import archived_runs  # noqa: E402  # beside this file
import torch  # noqa: E402  # what follows is found in src
import yaml  # noqa: E402

from config.describe import configuration_markdown, table_cell  # noqa: E402
from config.epymarl_page import epymarl_markdown  # noqa: E402
from config.load import load_config  # noqa: E402
from config.plain_data import leaves, to_dict  # noqa: E402
from config.search_path import CONFIG_DIR, available  # noqa: E402
from envs.base import EnvInfo, make_env  # noqa: E402
from envs.python_envs.vector_env import VectorEnv  # noqa: E402
from records.metrics import COLUMNS, RUN_METRICS  # noqa: E402
from utils.errors import UserError  # noqa: E402
from utils.registry import ENVS, LEARNERS, REGISTRIES, RUNNERS, SELECTORS, Registry  # noqa: E402

NOTE = "*Generated from the code by `make docs` (`python docs/generate.py`); do not edit.*"
METRICS_INTRO = f"""\
`metrics.csv` is in long form, one row per number, with the columns
{", ".join(COLUMNS)}. Rows of
training metrics come every `log_interval` environment steps, rows of a greedy test (`test_...`)
every `test_interval`. Descriptions stand where the numbers are made: `RUN_METRICS` in
`src/records/metrics.py`, `metric_descriptions` in a component, `EnvInfo.metric_descriptions` in an
environment."""

EPYMARL_NOTE = (
    "*Generated from the code by `make docs` (`src/config/epymarl.py`); do not edit below.*"
)


def configuration_page() -> str:
    """docs/reference/configuration.md: every setting of the run and of each component."""
    title, _, rest = configuration_markdown().partition("\n")
    return f"{title}\n\n{NOTE}\n{rest}"


def metrics_page() -> str:
    """docs/reference/metrics.md: every key of `metrics.csv` and what it means."""
    parts = ["# Metrics", NOTE, METRICS_INTRO, "## Every run", _table(RUN_METRICS)]
    for registry in (LEARNERS, RUNNERS, SELECTORS):
        parts.append(f"## From the `{registry.slot}`")
        for name in registry.built_in_names():
            described = _component_metrics(registry, name)
            parts += [f"### `{registry.slot}: {name}`", described]
    parts += [
        "## From the environment",
        "An environment's metric is the result of one episode. It is logged as its mean over\n"
        "episodes: `<metric>_mean` while training, `test_<metric>_mean` in a greedy test.",
    ]
    for name in ENVS.built_in_names():
        parts += [f"### `env: {name}`", _env_metrics(name)]
        parts += _metrics_of_yamls(name)
    return "\n\n".join(parts) + "\n"


def epymarl_page() -> str:
    """docs/coming_from/epymarl.md: its own introduction, then what their words are called here."""
    page = (DOCS / "coming_from" / "epymarl.md").read_text(encoding="utf-8")
    return f"{page.partition(EPYMARL_NOTE)[0]}{EPYMARL_NOTE}\n\n{epymarl_markdown()}\n"


# In a method's page: between these two comments stands what its YAML files say.
SETTINGS = re.compile(r"(<!-- settings: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
REFERENCE = "../reference/configuration.md"
SETTINGS_NOTE = (
    f"*Generated from the code by `make docs` (`src/config/algs`); [all settings]({REFERENCE}).*"
)


def method_page(name: str) -> str:
    """docs/methods/<name>.md with the settings of its methods."""
    page = (DOCS / "methods" / name).read_text(encoding="utf-8")
    return SETTINGS.sub(lambda m: f"{m[1]}\n{_method_settings(m[2].split())}\n\n{m[3]}", page)


def _method_settings(methods: list[str]) -> str:
    """A table with a row for each setting that one of the YAML files gives."""
    resolved = [dict(leaves(to_dict(load_config(name, None, [])))) for name in methods]
    files = [(CONFIG_DIR / "algs" / f"{name}.yaml").read_text("utf-8") for name in methods]
    keys = dict.fromkeys(key for text in files for key, _ in leaves(yaml.safe_load(text)))
    head = ["setting", *(f"`{name}`" for name in methods)]
    rows = [head, ["---"] * len(head)]
    rows += [[f"`{key}`", *(_cell(key, config) for config in resolved)] for key in keys]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{SETTINGS_NOTE}\n\n{table}"


def _cell(key: str, config: dict[str, Any]) -> str:
    """A setting's value; a component's name leads to its settings."""
    if key not in config:
        return ""
    if key in REGISTRIES:
        return f"[`{config[key]}`]({REFERENCE}#{key}-{config[key]})"
    return f"`{yaml.safe_dump(config[key]).partition(chr(10))[0]}`"


def results_page(name: str) -> str:
    """docs/results/<name>.md with the tables of its archived runs."""
    return archived_runs.filled((DOCS / "results" / name).read_text(encoding="utf-8"))


def _pages_with(place: re.Pattern[str], folder: str) -> list[str]:
    """Names of the pages of a folder that have a place to fill."""
    paths = sorted((DOCS / folder).glob("*.md"))
    return [path.name for path in paths if place.search(path.read_text(encoding="utf-8"))]


PAGES = {
    "reference/configuration.md": configuration_page,
    "reference/metrics.md": metrics_page,
    "coming_from/epymarl.md": epymarl_page,
}
PAGES |= {f"methods/{n}": partial(method_page, n) for n in _pages_with(SETTINGS, "methods")}
PAGES |= {
    f"results/{n}": partial(results_page, n) for n in _pages_with(archived_runs.PLACE, "results")
}
for _path in sorted((DOCS / "results").glob("*.md")):
    PAGES |= archived_runs.files(_path.read_text(encoding="utf-8"))


def _component_metrics(registry: Registry, name: str) -> str:
    try:
        return _table(registry.get(name).cls.metric_descriptions)
    except UserError as error:
        return f"Metrics unknown here: {error}"


def _env_metrics(name: str) -> str:
    """The metrics of an environment with its default settings."""
    try:
        component = ENVS.get(name)
    except UserError as error:
        return f"Metrics unknown here: {error}"
    if issubclass(component.cls, VectorEnv):  # the page depends on no package of its default task
        return "Those that `env_args.metrics` names: entries of the info at an episode's end."
    env = make_env(name, component.config(), 1, torch.device("cpu"), 0, "docs")
    try:
        return _table(_described(env.info))
    finally:
        env.close()


def _described(info: EnvInfo) -> dict[str, str]:
    """Keys of an environment's metrics and their ratios, and what they mean."""
    means = {f"{key}_mean": text for key, text in info.metric_descriptions.items()}
    ratios = info.metric_ratios.items()
    return means | {key: f"`{a}_mean` divided by `{b}_mean`" for key, (a, b) in ratios}


def _metrics_of_yamls(name: str) -> list[str]:
    """The metrics of every YAML of an environment that has several, since settings decide.

    Environments of other libraries need packages that may be missing, and name theirs in the YAML.
    """
    if issubclass(ENVS.get(name).cls, VectorEnv):
        return []
    configs = [load_config(None, yaml, []) for yaml in available("envs")]
    mine = [config for config in configs if config.env == name]
    parts = []
    for config in mine if len(mine) > 1 else []:
        env = make_env(name, config.env_args, 1, torch.device("cpu"), 0, "docs")
        parts += [f"#### `--env-config={config.env_name}`", _table(_described(env.info))]
        env.close()
    return parts


def _table(descriptions: dict[str, str]) -> str:
    if not descriptions:
        return "None."
    rows = [f"| `{key}` | {table_cell(text)} |" for key, text in descriptions.items()]
    return "\n".join(["| key | meaning |", "|---|---|", *rows])


def is_outdated(name: str) -> bool:
    """Whether a page differs from what the code and the archived runs say now."""
    path = DOCS / name
    return not path.is_file() or path.read_text(encoding="utf-8") != PAGES[name]()


def main(argv: list[str]) -> int:
    """Write or check the pages; returns the exit code."""
    if argv not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    if not argv:
        for name, page in PAGES.items():
            (DOCS / name).write_text(page(), encoding="utf-8")
        return 0
    names = [name for name in PAGES if is_outdated(name)]
    for name in names:
        print(f"docs/{name} is out of date: run `make docs`, commit the result.", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
