"""A suite's file together with the files that it includes, under the budget that is chosen."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.hints import did_you_mean, shown
from config.layers import read_file
from config.search_path import find_yaml
from config.suite_blocks import (
    GIVEN_TO_EVALUATIONS,
    Block,
    read_blocks,
    read_list,
    read_settings,
    unknown,
)
from config.suite_budgets import Budget, read_budgets
from config.suite_report import Report, merged, read_report
from utils.errors import ConfigError

SUITE_KEYS = ("include", "runs", "budgets", "evaluate", "also_evaluate", "report", "search")
ALSO_KEYS = ("envs", "with")


@dataclass(frozen=True)
class Evaluation:
    """Settings of an evaluation after each run.

    Attributes:
        settings: {dotted key: value}.
        places: {dotted key: where in the file it stands}.
    """

    settings: dict[str, Any]
    places: dict[str, str]

    def with_changes(self, other: "Evaluation") -> "Evaluation":
        """The same, where the other does not say something else."""
        return Evaluation(self.settings | other.settings, self.places | other.places)


@dataclass(frozen=True)
class Part:
    """A file and what it includes.

    Attributes:
        label: what messages call the file.
        data: what stands in the file.
        budgets: names of the file's own budgets, or of the first file that it includes.
        blocks: of the files that it includes, then its own; the budget is in their settings.
        evaluation: of each run; None: no evaluation.
        also: further evaluations of the runs on some tasks, as (tasks, what is changed).
        report: all that these files ask for; None if none of them asks.
        banner: what every figure says of these runs; empty: nothing.
    """

    label: str
    data: dict[str, Any]
    budgets: tuple[str, ...]
    blocks: list[Block]
    evaluation: Evaluation | None
    also: tuple[tuple[tuple[str, ...], Evaluation], ...]
    report: Report | None
    banner: str

    def evaluations(self, env: str) -> list[Evaluation]:
        """The evaluations of a run on a task, in their order."""
        if self.evaluation is None:
            return []
        further = [changes for envs, changes in self.also if env in envs]
        return [self.evaluation, *(self.evaluation.with_changes(changes) for changes in further)]


def read_part(name: str, budget: str | None, problems: list[str]) -> Part:
    """Read a suite's file and the files that it includes.

    Args:
        name: a suite's name, or a path to a YAML file.
        budget: the name of a budget; None: none is asked for.
        problems: receives what is wrong.

    Raises:
        ConfigError: if the file cannot be found or read.
    """
    reader = _Reader(budget, problems)
    part = reader.read(name, "suite", (), is_covered=False)
    names = ", ".join(part.budgets)
    if part.budgets and budget is None:
        problems.append(f"{part.label}: budgets: choose one of {names} by --budget.")
    elif budget is not None and not part.budgets:
        problems.append(f"--budget {budget}: {part.label} has no budgets. Leave it out.")
    elif budget is not None and reader.lacking:
        hint = "" if budget in part.budgets else did_you_mean(budget, list(part.budgets))
        lacking = ", ".join(reader.lacking)
        problems.append(f"--budget {budget}: none of this name in {lacking}.{hint} Any of {names}.")
    return part


class _Reader:
    """Reads files that include each other, each of them once.

    Args:
        budget: the name of a budget; None: none is asked for.
        problems: receives what is wrong.

    Attributes:
        lacking: labels of the files with runs for which there is no budget of that name.
    """

    def __init__(self, budget: str | None, problems: list[str]):
        self.budget, self.problems = budget, problems
        self.lacking: list[str] = []
        self.seen: set[Path] = set()

    def read(self, name: str, flag: str, above: tuple[Path, ...], is_covered: bool) -> Part:
        """A file and what it includes.

        Args:
            name: a suite's name, or a path.
            flag: what asks for it, for messages.
            above: the files whose `include` led here.
            is_covered: the budget of one of these holds for this file's runs.
        """
        problems = self.problems
        label, path = find_yaml(name, "suites", flag)
        if path.resolve() in above:
            raise ConfigError(
                [f"{flag}: {name} includes this file, so it has no end. Leave one out."]
            )
        self.seen.add(path.resolve())
        data = read_file(path, label, problems).data
        problems += unknown(data, SUITE_KEYS, label)
        budgets = read_budgets(data.get("budgets"), f"{label}: budgets", problems)
        own = budgets.get(self.budget or "")
        is_covered = is_covered or own is not None
        parts = self._included(data, label, (*above, path.resolve()), is_covered)
        blocks = [block for part in parts for block in part.blocks]
        if "runs" in data or "include" not in data:
            blocks += read_blocks(data.get("runs"), label, problems)
            self.lacking += [] if is_covered else [label]
        names = tuple(budgets) or next((part.budgets for part in parts if part.budgets), ())
        if own is not None:
            blocks = [own.apply(block, problems) for block in blocks]
        banners = " ".join(dict.fromkeys(part.banner for part in parts if part.banner))
        return Part(
            label,
            data,
            names,
            blocks,
            self._evaluation(data, label, parts, own),
            (*(also for part in parts for also in part.also), *self._also(data, label)),
            self._report(data, label, parts),
            (own and own.banner) or banners,
        )

    def _included(
        self, data: dict[str, Any], label: str, above: tuple[Path, ...], is_covered: bool
    ) -> list[Part]:
        """The files that a file includes; what is wrong with their names is noted."""
        if "include" not in data:
            return []
        parts = []
        place = f"{label}: include"
        for name in read_list(data["include"], str, place, self.problems):
            try:
                found = find_yaml(name, "suites", place)[1].resolve()
                if found in above or found not in self.seen:
                    parts.append(self.read(name, place, above, is_covered))
            except ConfigError as error:
                self.problems += error.problems
        return parts

    def _evaluation(
        self, data: dict[str, Any], label: str, parts: list[Part], budget: Budget | None
    ) -> Evaluation | None:
        """The evaluation that the file asks for, else the one on which the included agree."""
        found = parts[0].evaluation if parts else None
        if "evaluate" in data:
            found = self._own_evaluation(data["evaluate"], f"{label}: evaluate")
        elif any(_settings(part.evaluation) != _settings(found) for part in parts):
            self.problems.append(
                f"{label}: the files that it includes do not evaluate under the same settings. "
                f"Write an `evaluate` in it, which holds for all of them."
            )
        if found is None or budget is None:
            return found
        if budget.evaluation is None:
            return None
        places = dict.fromkeys(budget.evaluation, f"{budget.place}: evaluate")
        return found.with_changes(Evaluation(budget.evaluation, places))

    def _own_evaluation(self, data: Any, place: str) -> Evaluation:
        settings = read_settings(data, place, GIVEN_TO_EVALUATIONS, self.problems)
        return Evaluation(settings, dict.fromkeys(settings, place))

    def _also(
        self, data: dict[str, Any], label: str
    ) -> Iterable[tuple[tuple[str, ...], Evaluation]]:
        """The further evaluations that the file itself asks for."""
        place, entries = f"{label}: also_evaluate", data.get("also_evaluate", [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.problems.append(
                f"{place}: {shown(entries)} is not a list of mappings. Write "
                f"[{{envs: [mpe_tag], with: {{env_args.opponent: random}}}}]."
            )
            return
        if entries and "evaluate" not in data:
            self.problems.append(f"{place}: it is on top of `evaluate`, which this file lacks.")
        for number, entry in enumerate(entries, 1):
            here = f"{place}: entry {number}"
            self.problems += unknown(entry, ALSO_KEYS, here)
            envs = read_list(entry.get("envs"), str, f"{here}: envs", self.problems)
            yield envs, self._own_evaluation(entry.get("with"), f"{here}: with")

    def _report(self, data: dict[str, Any], label: str, parts: list[Part]) -> Report | None:
        """All that the included files ask for, and what the file itself asks for."""
        reports = [part.report for part in parts if part.report is not None]
        if "report" in data:
            reports.append(read_report(data["report"], f"{label}: report", self.problems))
        return merged(reports) if reports else None


def _settings(evaluation: Evaluation | None) -> dict[str, Any] | None:
    return None if evaluation is None else evaluation.settings
