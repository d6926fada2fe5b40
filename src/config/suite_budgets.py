"""The budgets of a suite's file: settings under which all of its runs take less time, or more.

A budget is chosen on the command line by its name. What it says goes before every block of the
file, and before every block of the files that this one includes.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from config.hints import shown
from config.suite_blocks import (
    GIVEN,
    GIVEN_TO_EVALUATIONS,
    Block,
    overlap,
    read_seeds,
    read_settings,
    unknown,
)

BUDGET_KEYS = ("with", "seeds", "evaluate", "banner")


@dataclass(frozen=True)
class Budget:
    """One budget of one file.

    Attributes:
        place: where it stands, such as suites/paper.yaml: budgets: tiny.
        settings: {dotted key: value}, which go before those of the blocks.
        seeds: instead of those of the blocks; empty: the blocks' own.
        evaluation: settings that go before those of `evaluate`; None: no evaluation.
        banner: what every figure of a report says of these runs; empty: nothing.
    """

    place: str
    settings: dict[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    evaluation: dict[str, Any] | None = field(default_factory=dict)
    banner: str = ""

    def apply(self, block: Block, problems: list[str]) -> Block:
        """A block under this budget."""
        place = f"{self.place}: with"
        replaced = {k for k in block.settings if any(overlap(k, own) for own in self.settings)}
        for key in replaced:
            if block.places[key].endswith(": grid"):
                problems.append(
                    f"{place}: {key}: {block.place} has it in its grid. Leave one of the two out."
                )
        kept = {key: value for key, value in block.settings.items() if key not in replaced}
        places = {key: where for key, where in block.places.items() if key not in replaced}
        return dataclasses.replace(
            block,
            seeds=self.seeds or block.seeds,
            settings=kept | self.settings,
            places=places | dict.fromkeys(self.settings, place),
        )


def read_budgets(data: Any, place: str, problems: list[str]) -> dict[str, Budget]:
    """The budgets of a file by their names; what is wrong with them is added to `problems`."""
    if data is None:
        return {}
    if not isinstance(data, dict) or not data:
        problems.append(
            f"{place}: {shown(data)} is not a mapping of names. Write "
            f"{{tiny: {{with: {{t_max: 1000}}}}, full: }}."
        )
        return {}
    return {name: _read(value, f"{place}: {name}", problems) for name, value in data.items()}


def _read(data: Any, place: str, problems: list[str]) -> Budget:
    if data is None:
        return Budget(place)
    if not isinstance(data, dict):
        problems.append(
            f"{place}: {shown(data)} is not a mapping with {', '.join(BUDGET_KEYS)}. Nothing "
            f"behind the name stands for the blocks as they are."
        )
        return Budget(place)
    problems += unknown(data, BUDGET_KEYS, place)
    seeds = read_seeds(data["seeds"], f"{place}: seeds", problems) if "seeds" in data else ()
    settings = read_settings(data.get("with"), f"{place}: with", GIVEN, problems)
    evaluation = None
    if data.get("evaluate") is not False:
        where = f"{place}: evaluate"
        evaluation = read_settings(data.get("evaluate"), where, GIVEN_TO_EVALUATIONS, problems)
    banner = data.get("banner", "")
    if not isinstance(banner, str):
        problems.append(f"{place}: banner: {shown(banner)} is not text. Put it in quotes.")
        banner = ""
    return Budget(place, settings, seeds, evaluation, banner)
