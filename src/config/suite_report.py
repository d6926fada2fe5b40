"""The `report` of a suite's file: what is drawn and written once its runs are done."""

from dataclasses import dataclass
from typing import Any

from config.coerce import BAD, Problem, coerce
from config.hints import did_you_mean, shown
from config.suite_blocks import read_list, unknown

REPORT_KEYS = ("figures", "paper_figures", "attention", "differences", "page", "groups", "format")
FIGURES = ("curves", "dots", "costs", "profiles")
PAPER_FIGURES = ("2", "3", "4")
FORMATS = ("svg", "png", "pdf")


@dataclass(frozen=True)
class Report:
    """What a suite's report holds, beside its tables.

    Attributes:
        figures: some of `FIGURES`, each with a file for each task.
        paper_figures: some of `PAPER_FIGURES`.
        attention: methods and tasks whose first run's attention is drawn.
        differences: names, each with the two rows whose difference a table shows.
        page: whether to write a page.
        groups: whether to split each table by what the methods act on.
        format: of the figures; empty: the first of `FORMATS`.
    """

    figures: tuple[str, ...] = ()
    paper_figures: tuple[str, ...] = ()
    attention: tuple[tuple[str, str], ...] = ()
    differences: tuple[tuple[str, str, str], ...] = ()
    page: bool = False
    groups: bool = False
    format: str = ""


def read_report(data: Any, place: str, problems: list[str]) -> Report:
    """The report that a file asks for; what is wrong with it is added to `problems`."""
    if data is None:
        return Report()
    if not isinstance(data, dict):
        problems.append(f"{place}: {shown(data)} is not a mapping. Write {{page: true}}.")
        return Report()
    problems += unknown(data, REPORT_KEYS, place)
    form = data.get("format", "")
    if "format" in data and form not in FORMATS:
        problems.append(f"{place}: format: {shown(form)} is none of {', '.join(FORMATS)}.")
    return Report(
        _names(data, "figures", FIGURES, place, problems),
        _names(data, "paper_figures", PAPER_FIGURES, place, problems),
        _attention(data.get("attention"), f"{place}: attention", problems),
        _differences(data.get("differences"), f"{place}: differences", problems),
        _flag(data, "page", place, problems),
        _flag(data, "groups", place, problems),
        str(form),
    )


def merged(reports: list[Report]) -> Report:
    """One report with all that several files ask for; the last format counts."""
    return Report(
        tuple(dict.fromkeys(name for report in reports for name in report.figures)),
        tuple(dict.fromkeys(name for report in reports for name in report.paper_figures)),
        tuple(dict.fromkeys(pair for report in reports for pair in report.attention)),
        tuple(dict.fromkeys(triple for report in reports for triple in report.differences)),
        any(report.page for report in reports),
        any(report.groups for report in reports),
        next((report.format for report in reversed(reports) if report.format), ""),
    )


def _names(
    data: dict[str, Any], key: str, known: tuple[str, ...], place: str, problems: list[str]
) -> tuple[str, ...]:
    """A list of some of the known names."""
    value = data.get(key, [])
    if not isinstance(value, list):
        problems.append(f"{place}: {key}: {shown(value)} is not a list. Write [{known[0]}].")
        return ()
    names = [str(name) for name in value]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, list(known))
            problems.append(
                f"{place}: {key}: there is no '{name}'.{hint} Any of {', '.join(known)}."
            )
    return tuple(name for name in names if name in known)


def _attention(data: Any, place: str, problems: list[str]) -> tuple[tuple[str, str], ...]:
    """Each method on each task."""
    if data is None:
        return ()
    if not isinstance(data, dict):
        problems.append(
            f"{place}: {shown(data)} is not a mapping. Write {{algs: [agp], envs: [topk]}}."
        )
        return ()
    problems += unknown(data, ("algs", "envs"), place)
    algs, envs = (read_list(data.get(k), str, f"{place}: {k}", problems) for k in ("algs", "envs"))
    return tuple((alg, env) for alg in algs for env in envs)


def _differences(data: Any, place: str, problems: list[str]) -> tuple[tuple[str, str, str], ...]:
    """Names, each with two rows."""
    if data is None:
        return ()
    if not isinstance(data, dict):
        problems.append(
            f"{place}: {shown(data)} is not a mapping. Write {{graph: [agp, vdn_joint]}}."
        )
        return ()
    found = []
    for name, pair in data.items():
        if not (isinstance(pair, list) and len(pair) == 2):
            problems.append(
                f"{place}: {name}: {shown(pair)} is not a list of two methods. "
                f"Write [agp, vdn_joint]."
            )
            continue
        found.append((str(name), str(pair[0]), str(pair[1])))
    return tuple(found)


def _flag(data: dict[str, Any], key: str, place: str, problems: list[str]) -> bool:
    found: list[Problem] = []
    value = coerce(data.get(key, False), bool, key, found)
    problems += [f"{place}: {problem.path}: {problem.text}" for problem in found]
    return value is not BAD and bool(value)
