"""Draws `architecture.svg`: the rooms of `src` and who imports whom, read from the imports.

    python docs/images/draw_architecture.py               rewrites docs/images/architecture.svg
    python docs/images/draw_architecture.py --check       says whether it is out of date
    python docs/images/draw_architecture.py picture.png   writes another file matplotlib knows

A room is a folder or a file directly below `src`. Arrows that follow from others are left out. The
places of the boxes are chosen by hand so that no arrow passes behind a box.
"""

import re
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.helpers.imports import arrows, without_detours

TARGET = Path(__file__).with_name("architecture.svg")
WIDTH, HEIGHT = 1240, 860  # drawing units, y upwards
COLUMN, ROW, LEFT, BOTTOM = 155, 79, 78, 128  # distance of the boxes' centres, the first of them
BOX = (128, 54)
INK, GREY = "#24292F", "#6E7781"
KINDS = {  # fill, line
    "learning": ("#DCEBF5", "#0072B2"),
    "one run": ("#D9F0E8", "#009E73"),
    "many runs and results": ("#FBE6D9", "#D55E00"),
    "settings, files, tools": ("#F6F8FA", GREY),
}
LEARNING, RUN, RUNS, SHARED = KINDS
ROOMS = {  # column, row, kind, what is in it
    "main": (3, 8, RUN, "command line"),
    "run": (2, 7, RUN, "the loop"),
    "training": (3, 7, RUN, "a run's folder"),
    "search": (6, 7, RUNS, "searches"),
    "evaluate": (1, 6, RUN, "greedy tests"),
    "build_training": (2, 6, RUN, "what learns"),
    "suite": (6, 6, RUNS, "many runs"),
    "attention": (5, 5, RUN, "attention maps"),
    "suites": (6, 5, RUNS, "schedule"),
    "learners": (0, 4, LEARNING, "losses"),
    "film": (1, 4, RUN, "films"),
    "build": (2, 4, RUN, "what acts"),
    "policy": (3, 4, RUN, "for notebooks"),
    "report": (7, 4, RUNS, "tables, a page"),
    "rendering": (1, 3, RUN, "drawing"),
    "resume": (5, 3, RUN, "which run"),
    "analysis": (6, 3, RUNS, "statistics"),
    "runners": (2, 2, LEARNING, "episodes"),
    "engines": (7, 2, RUNS, "Ray, SLURM"),
    "controllers": (1, 1, LEARNING, "acting"),
    "config": (4, 1, SHARED, "YAML, checks"),
    "export": (5, 1, RUN, "a policy alone"),
    "records": (6, 1, SHARED, "files of a run"),
    "modules": (1, 0, LEARNING, "networks"),
    "envs": (2, 0, LEARNING, "tasks"),
    "components": (3, 0, LEARNING, "batches, buffers"),
    "utils": (0, -1, SHARED, "registry, seeding, errors, files"),
}


def drawn_arrows() -> list[tuple[str, str]]:
    """The arrows of the picture, in a fixed order."""
    found = without_detours(arrows())
    return [(here, there) for here in sorted(found) for there in sorted(found[here])]


def description() -> str:
    """The rooms and arrows as text: what the picture says to those who cannot see it."""
    found = ", ".join(f"{here} to {there}" for here, there in drawn_arrows())
    return f"Imports between the rooms of src: {found}."


def outdated() -> str:
    """What to do if the picture does not show today's imports; empty: nothing."""
    shown = TARGET.read_text(encoding="utf-8") if TARGET.is_file() else ""
    if re.sub(r"\s+", " ", description()) in re.sub(r"\s+", " ", shown):
        return ""
    return f"{TARGET.name} is out of date: run `python docs/images/{Path(__file__).name}`."


def draw() -> Figure:
    """The whole picture."""
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    box(axes, (WIDTH / 2, HEIGHT / 2), (WIDTH - 8, HEIGHT - 8), "white", "#D0D7DE", rounding=18)
    boxes = {name: draw_room(axes, name) for name in ROOMS}
    for here, there in drawn_arrows():
        end = (centre(here)[0], centre(there)[1]) if there == "utils" else centre(there)
        axes.add_patch(
            FancyArrowPatch(
                posA=centre(here),
                posB=end,
                patchA=boxes[here],
                patchB=boxes[there],
                arrowstyle="-|>",
                mutation_scale=14,
                color=KINDS[ROOMS[here][2]][1],
                linewidth=1.6,
                shrinkA=0,
                shrinkB=1,
                zorder=3,
            )
        )
    draw_legend(axes)
    return figure


def centre(name: str) -> tuple[float, float]:
    """The centre of a room's box."""
    column, row, *_ = ROOMS[name]
    return (WIDTH / 2 if name == "utils" else LEFT + COLUMN * column, BOTTOM + ROW * row)


def draw_room(axes: Axes, name: str) -> FancyBboxPatch:
    """A room's box, with its name and what is in it."""
    _, _, kind, words = ROOMS[name]
    (x, y), (width, height) = centre(name), BOX
    if name == "utils":
        width, height = COLUMN * 7 + width, 44
        words = f"{words}: imported from everywhere"
        text(axes, x - 225, y, name, size=13, weight="bold")
        text(axes, x + 60, y, words, size=11.5)
    else:
        text(axes, x, y + 11, name, size=min(12.5, 140 / len(name)), weight="bold")
        text(axes, x, y - 12, words, size=min(11, 155 / len(words)))
    return box(axes, (x, y), (width, height), *KINDS[kind])


def draw_legend(axes: Axes) -> None:
    """What an arrow and the colours mean."""
    top = HEIGHT - 40
    axes.text(24, top, "a → b: a imports b", fontsize=12, color=INK, va="center")
    axes.text(24, top - 24, "arrows that follow", fontsize=11, color=GREY, va="center")
    axes.text(24, top - 44, "from others are left out", fontsize=11, color=GREY, va="center")
    for k, (kind, (fill, line)) in enumerate(KINDS.items()):
        y = HEIGHT - 40 - 24 * k
        box(axes, (690, y), (22, 14), fill, line, rounding=4)
        axes.text(710, y, kind, fontsize=11.5, color=INK, va="center")


def text(
    axes: Axes, x: float, y: float, words: str, *, size: float, weight: str = "normal"
) -> None:
    """Centred words."""
    axes.text(
        x, y, words, fontsize=size, color=INK, weight=weight, ha="center", va="center", zorder=6
    )


def box(
    axes: Axes,
    middle: tuple[float, float],
    size: tuple[float, float],
    fill: str,
    line: str,
    rounding: float = 10,
) -> FancyBboxPatch:
    """A rounded box around `middle`."""
    (x, y), (width, height) = middle, size
    patch = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle=f"round,pad=0,rounding_size={rounding}",
        facecolor=fill,
        edgecolor=line,
        linewidth=1.6,
        zorder=2 if middle[0] != WIDTH / 2 or height < 100 else 1,
    )
    axes.add_patch(patch)
    return patch


def main(argv: list[str]) -> int:
    """Write or check the picture; returns the exit code."""
    if argv == ["--check"]:
        print(outdated(), end="\n" if outdated() else "", file=sys.stderr)
        return 1 if outdated() else 0
    target = Path(argv[0]) if argv else TARGET
    is_svg = target.suffix == ".svg"
    with mpl.rc_context(
        {
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
            "svg.fonttype": "path",
            "svg.hashsalt": "action-graph-policies",
        }
    ):
        draw().savefig(
            target,
            transparent=True,
            dpi=150,
            metadata={
                "Title": "The rooms of src",
                "Description": description(),
                "Date": None,
                "Creator": None,
            }
            if is_svg
            else None,
        )
    if is_svg:  # matplotlib leaves blanks at the ends of lines
        lines = target.read_text(encoding="utf-8").splitlines()
        target.write_text("".join(f"{line.rstrip()}\n" for line in lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
