"""How a method looks in every figure, and what axes are called.

A method's colour and line depend on its name alone, never on the other methods in a figure. The
colours are those of Okabe and Ito ("Color universal design", 2008) and others that are far from
them. Colour-blind readers can distinguish them all. Ablations and controls of one method share its
colour and differ in the line; so do runs of one method under other settings.
"""

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

SOLID, DASHED, DOTTED, DASH_DOT = "-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))
LINES = (SOLID, DASHED, DOTTED, DASH_DOT, (0, (6, 2, 1, 2, 1, 2)), (0, (10, 3)))
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X")

VERMILION, PURPLE, GREEN, BLUE = "#D55E00", "#CC79A7", "#009E73", "#0072B2"
SKY, ORANGE, BLACK = "#56B4E9", "#E69F00", "#000000"
BROWN, INDIGO, YELLOW = "#7F0000", "#3D1C6E", "#E3D100"
CRIMSON, VIOLET, LIME = "#DD0044", "#9900FF", "#AACC77"
TURQUOISE = "#11EEAA"
PLUM, LAVENDER, ULTRAMARINE = "#663355", "#9977FF", "#3333AA"
FOREST = "#006633"

METHODS: dict[str, tuple[str, Any]] = {
    "agp": (VERMILION, SOLID),
    "agp_literal": (VERMILION, DASHED),
    "agp_within_agent": (VERMILION, DOTTED),
    "agp_no_graph": (VERMILION, DASH_DOT),
    "agp_structured": (PURPLE, SOLID),
    "agent_graph": (GREEN, SOLID),
    "iql": (BLUE, SOLID),
    "iql_joint": (BLUE, DASHED),
    "vdn": (SKY, SOLID),
    "vdn_joint": (SKY, DASHED),
    "qmix": (ORANGE, SOLID),
    "qmix_joint": (ORANGE, DASHED),
    "cw_qmix": (ORANGE, DOTTED),
    "ow_qmix": (ORANGE, DASH_DOT),
    "qplex": (PLUM, SOLID),
    "qtran": (LAVENDER, SOLID),
    "dcg": (BLACK, SOLID),
    "dcg_damped": (BLACK, DASHED),
    "dcg_exact": (BLACK, DOTTED),
    "dicg": (INDIGO, SOLID),
    "dicg_ce": (INDIGO, DASHED),
    "dicg_de": (INDIGO, DOTTED),
    "fop": (BROWN, SOLID),
    "macpf": (YELLOW, SOLID),
    "agp_pg": (CRIMSON, SOLID),
    "agp_pg_a2c": (CRIMSON, DASHED),
    "agp_pg_within_agent": (CRIMSON, DOTTED),
    "agp_pg_no_graph": (CRIMSON, DASH_DOT),
    "mappo": (VIOLET, SOLID),
    "mappo_joint": (VIOLET, DASHED),
    "maa2c": (VIOLET, DOTTED),
    "ippo": (LIME, SOLID),
    "ia2c": (LIME, DASHED),
    "coma": (ULTRAMARINE, SOLID),
    "mat": (FOREST, SOLID),
    "maddpg": (TURQUOISE, SOLID),
}
# For methods of users; their marker comes from the name, too.
OTHERS = ("#B0B0B0", "#117733", "#AA4499", "#999933", "#44AA99", "#B8A9E0")

AXES = {
    "test_return_mean": "return of greedy tests",
    "test_success_mean": "success rate of greedy tests",
    "test_value_ratio": "share of the optimum in greedy tests",
    "return_mean": "return of training episodes",
    "success_mean": "success rate of training episodes",
}


class Look(NamedTuple):
    """How one row of a table is drawn."""

    colour: str
    line: Any  # matplotlib's linestyle
    marker: str  # matplotlib's marker; empty: none


def looks(algs: list[str]) -> list[Look]:
    """A look for each row of a figure; the first row of a method has the look of the method.

    Args:
        algs: the algorithm's name of each row.
    """
    own = {alg: _own_look(alg) for alg in algs}
    taken = set(own.values())
    seen: set[str] = set()
    chosen = []
    for alg in algs:
        look = own[alg]
        if alg in seen:
            look = next((look for look in _variants(look) if look not in taken), look)
            taken.add(look)
        seen.add(alg)
        chosen.append(look)
    return chosen


def axis_label(key: str) -> str:
    """The label of a metric on an axis, in words."""
    if key in AXES:
        return AXES[key]
    where = " in greedy tests" if key.startswith("test_") else ""
    return key.removeprefix("test_").removesuffix("_mean").replace("_", " ") + where


def _variants(look: Look) -> Iterable[Look]:
    """Other looks of the same colour."""
    for marker in dict.fromkeys((look.marker, *MARKERS)):
        for line in LINES:
            yield Look(look.colour, line, marker)


def _own_look(alg: str) -> Look:
    """The look of a method's first row, which its name decides."""
    if alg in METHODS:
        return Look(*METHODS[alg], "")
    number = zlib.crc32(alg.encode())
    marker = MARKERS[1 + number // len(OTHERS) % (len(MARKERS) - 1)]
    return Look(OTHERS[number % len(OTHERS)], SOLID, marker)
