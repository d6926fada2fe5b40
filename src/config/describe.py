"""Descriptions of the settings, read from the dataclasses: for `--help`, `--list` and the docs."""

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
import types
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from config import search_path
from config.hints import nested_dataclass
from config.schema import RunConfig
from utils import plugins
from utils.errors import UserError
from utils.invocation import as_typed
from utils.registry import ALL_REGISTRIES, REGISTRIES

USAGE = """\
Usage: python src/main.py --config=<algorithm> --env-config=<environment> [with key=value ...]

  --config        a method by the name of its YAML file, or the path of any YAML file
  --env-config    a task, in the same way; docs/guide/settings.md says where names are looked for
  with            settings that replace those of both files; with dots: env_args.n_agents=8
  --mongo         record to the MongoDB server at this URL, too (docs/guide/mongodb.md)
  --sync-mongo    complete the record of a run's folder there and stop
  --sync-wandb    complete the record of a run's folder in W&B and stop (docs/guide/logging.md)
  --print-config  show the complete configuration and stop
  --check-env     check the environment against its contract and stop
  --list          show all components, algorithms and environments
  --help          show this text; --help <name> explains a setting, a component or a YAML file

Examples:
  python src/main.py --config=agp --env-config=topk
  python src/main.py --config=qmix --env-config=topk with seed=3 env_args.n_agents=8
  python src/main.py --config=qmix --env-config=topk with mixer=vdn lr=1e-3 --print-config
  python src/main.py --config=agp --env-config=topk with seed=3 resume=auto

Exit codes: 0 finished; 2 a mistake to correct; 143 after SIGTERM, 130 after SIGINT (Ctrl-C). After
both a run finishes its step and saves. `resume` continues from there (docs/guide/resuming.md).
"""


class Setting(NamedTuple):
    """One setting as it is shown to people."""

    name: str  # dotted if it belongs to a nested dataclass
    type: str
    default: str
    comment: str


def describe_settings(cls: type) -> list[Setting]:
    """Every setting of a dataclass, in the order of its fields, nested ones under dotted names.

    Comments are those at the end of the field's line in the source of the class.
    """
    return _describe(cls, None)


def configuration_markdown() -> str:
    """The reference of all settings, as a Markdown page. Imports every component."""
    parts = [
        "# Configuration",
        "Generated from the dataclasses of the settings; change the comments there.",
        "## Settings of the whole run",
    ]
    for heading, settings in run_wide():
        parts += [f"### {heading}", _table(settings)]
    for slot, registry in ALL_REGISTRIES.items():
        parts.append(f"## `{slot}`")
        for name in registry.built_in_names():
            parts += [f"### `{slot}: {name}`", registry.summary(name)]
            try:
                settings = describe_settings(registry.get(name).config)
            except UserError as error:
                parts.append(f"Settings unknown here: {error}")
                continue
            parts.append(_table(settings) if settings else "No settings.")
    return "\n\n".join(part for part in parts if part) + "\n"


def help_text() -> str:
    """Usage, examples and the run-wide settings, for the console."""
    lines = [as_typed(USAGE)]
    for heading, settings in run_wide():
        lines += [f"{heading}:", *settings_lines(settings), ""]
    lines.append(
        "`--list` shows what each slot can hold; docs/reference/configuration.md has all settings."
    )
    return "\n".join(lines)


def settings_lines(settings: list[Setting]) -> list[str]:
    """Settings for the console, one line each: name, default, meaning."""
    left = [f"{s.name} = {s.default}" for s in settings]
    width = min(max(map(len, left), default=0), 36)
    return [
        f"  {text:<{width}}  {setting.comment or setting.type}"
        for text, setting in zip(left, settings, strict=True)
    ]


def list_text(folder: str = "") -> str:
    """Every component, algorithm and environment file with one line on what it is.

    Args:
        folder: holds components outside the tree; empty: AGP_PLUGINS, or the current folder.
    """
    plugins.use_folder(folder)
    search_path.require_folders()
    lines: list[str] = []
    for slot, registry in ALL_REGISTRIES.items():
        _section(lines, slot, ((name, registry.summary(name)) for name in registry.names()))
    for folder, flag in (("algs", "--config"), ("envs", "--env-config")):
        names = search_path.available(folder)
        _section(lines, flag, ((name, first_comment(folder, name)) for name in names))
    tuned = search_path.presets()
    _section(lines, "preset", ((name, first_comment("presets", name)) for name in tuned))
    return "\n".join(lines).rstrip()


def _section(lines: list[str], heading: str, entries: Iterable[tuple[str, str]]) -> None:
    """Append a heading and its entries in two columns."""
    rows = list(entries)
    width = max((len(name) for name, _ in rows), default=0)
    lines += [f"{heading}:", *(f"  {name:<{width}}  {text}".rstrip() for name, text in rows), ""]


def first_comment(folder: str, name: str) -> str:
    """The line that says what a YAML file of that kind and name is for."""
    text = search_path.find_all(folder, name)[0].read_text(encoding="utf-8")
    comments = (line.lstrip("# ").rstrip() for line in text.splitlines() if line.startswith("#"))
    return next(comments, "")


def run_wide() -> list[tuple[str, list[Setting]]]:
    """The run-wide settings, grouped as their source groups them; the slots are left out."""
    groups: dict[str, list[Setting]] = {}
    headings = _headings(RunConfig)
    for setting in describe_settings(RunConfig):
        if setting.name.removesuffix("_args") not in REGISTRIES or setting.name in REGISTRIES:
            groups.setdefault(headings[setting.name.split(".")[0]], []).append(setting)
    return list(groups.items())


def _headings(cls: type) -> dict[str, str]:
    """Field -> heading: the comment line above its group, or what its class is about."""
    headings: dict[str, str] = {}
    for owner in reversed([c for c in cls.__mro__ if dataclasses.is_dataclass(c)]):
        source, node = _source(owner)
        heading = (ast.get_docstring(node) or owner.__name__).split("\n")[0].rstrip(".")
        comments = {line: text for line, (column, text) in _comments(source).items() if column == 4}
        for field in _field_nodes(node):
            above = [text for line, text in comments.items() if line < field.lineno]
            headings[_name(field)] = above[-1] if above else heading
    return headings


def _describe(cls: type, instance: Any) -> list[Setting]:
    kinds, comments = get_type_hints(cls), _field_comments(cls)
    settings = []
    for field in dataclasses.fields(cls):
        default = _default(field) if instance is None else getattr(instance, field.name)
        inner = nested_dataclass(kinds[field.name])
        if inner is None or default is None:
            shown = "required" if default is dataclasses.MISSING else _value_text(default)
            comment = comments.get(field.name, "")
            settings.append(Setting(field.name, _type_text(kinds[field.name]), shown, comment))
        if inner is not None:
            known = default if isinstance(default, inner) else None
            settings += [s._replace(name=f"{field.name}.{s.name}") for s in _describe(inner, known)]
    return settings


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _field_comments(cls: type) -> dict[str, str]:
    """Field -> the comment at the end of its line (or lines), inherited fields included."""
    found: dict[str, str] = {}
    for owner in reversed([c for c in cls.__mro__ if dataclasses.is_dataclass(c)]):
        source, node = _source(owner)
        comments = _comments(source)
        for field in _field_nodes(node):
            lines = range(field.lineno, (field.end_lineno or field.lineno) + 1)
            found[_name(field)] = " ".join(comments[line][1] for line in lines if line in comments)
    return found


def _source(cls: Any) -> tuple[str, ast.ClassDef]:
    source = textwrap.dedent(inspect.getsource(cls))
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.ClassDef)
    return source, node


def _field_nodes(node: ast.ClassDef) -> list[ast.AnnAssign]:
    return [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]


def _name(field: ast.AnnAssign) -> str:
    return ast.unparse(field.target)


def _comments(source: str) -> dict[int, tuple[int, str]]:
    """Line -> (column, text) of every comment in a source text."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: (token.start[1], token.string.lstrip("# "))
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _type_text(kind: Any) -> str:
    """An annotation in words that fit YAML."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(
            option if isinstance(option, str) else _value_text(option) for option in args
        )
    if origin in (Union, types.UnionType):
        return " or ".join("null" if a is type(None) else _type_text(a) for a in args)
    if origin is tuple and args[-1] is Ellipsis:
        return f"list of {_type_text(args[0])}"
    if origin is tuple:
        return f"[{', '.join(map(_type_text, args))}]"
    if origin is dict or dataclasses.is_dataclass(kind):
        return "mapping"
    return {str: "text", Any: "any"}.get(kind) or str(getattr(kind, "__name__", kind))


def _value_text(value: Any) -> str:
    """A default as it would stand in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value_text, value))}]"
    if dataclasses.is_dataclass(value):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return "{" + ", ".join(f"{name}: {_value_text(entry)}" for name, entry in pairs) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_value_text(v)}" for k, v in value.items()) + "}"
    return '""' if value == "" else str(value)


def _table(settings: list[Setting]) -> str:
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for s in settings:
        rows.append(f"| `{s.name}` | {s.type} | `{s.default}` | {table_cell(s.comment)} |")
    return "\n".join(rows)


def table_cell(text: str) -> str:
    """A text that a Markdown table shows as it is; what is in backticks is code already."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(p if i % 2 else p.replace("<", "&lt;") for i, p in enumerate(parts))
