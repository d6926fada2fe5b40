"""Draws `method.svg`, the picture of Action-Graph Policies.

    python docs/images/draw_method.py                 rewrites docs/images/method.svg
    python docs/images/draw_method.py picture.png     writes any other file that matplotlib knows

Three agents choose among three actions each. The numbers are made up to tell one story: the
attention is strongest between the three actions that fit together, and these are the ones the
agents then choose. One action is unavailable, so it takes no part in the attention, in its agent's
pool or in its agent's choice.
"""

import sys
from itertools import combinations
from math import cos, radians, sin
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Curve

WIDTH, HEIGHT = 1200, 556  # drawing units, y upwards
ROWS = (390, 275, 160)  # height of each agent's row
COLOURS = ("#0072B2", "#D55E00", "#009E73")  # one per agent, distinct to colour-blind readers too
TINTS = ("#DCEBF5", "#FBE6D9", "#D9F0E8")
INK, GREY, PALE = "#24292F", "#6E7781", "#F6F8FA"

# The action graph: node (agent, action) on a circle, each agent's actions side by side.
CENTRE, RADIUS, NODE_RADIUS = (470, 275), 118, 19
ANGLES = ((144, 110, 76), (34, 0, -34), (-144, -110, -76))  # degrees
UNAVAILABLE = (2, 0)
CHOSEN = (1, 0, 2)  # each agent's action
ATTENTION = {  # strength of the edges worth seeing, of 1; every other edge is faint
    ((0, 1), (1, 0)): 1.0,
    ((1, 0), (2, 2)): 0.9,
    ((0, 1), (2, 2)): 0.8,
    ((0, 0), (2, 2)): 0.32,
    ((0, 0), (1, 1)): 0.38,
    ((1, 1), (2, 1)): 0.45,
    ((0, 0), (2, 1)): 0.25,
    ((0, 2), (1, 2)): 0.3,
    ((1, 2), (2, 2)): 0.2,
}
Q_VALUES = ((0.35, 0.95, 0.5), (0.9, 0.45, 0.3), (None, 0.5, 0.95))  # bar heights, of 1


def draw() -> Figure:
    """The whole picture, left to right."""
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT))
    axes.axis("off")
    box(axes, 4, 4, WIDTH - 8, HEIGHT - 8, fill="white", line="#D0D7DE", rounding=18)
    draw_headings(axes)
    draw_observations(axes)
    draw_graph(axes)
    for agent in range(3):
        draw_context(axes, agent)
        draw_head(axes, agent)
    draw_own_observations(axes)
    draw_captions(axes)
    return figure


def draw_headings(axes: Axes) -> None:
    """What each column is, and its formula."""
    for x, title, formula in (
        (88, "Observations", "$o_i$"),
        (222, "Encoder", r"$x_{i,a}=\phi(o_i,a)$"),
        (470, "Action graph", r"$h_{i,a}=\Sigma_{j,b}\ \alpha_{(i,a),(j,b)}\ x_{j,b}$"),
        (758, "Contexts", r"$\kappa_i=\mathrm{Pool}_a\ h_{i,a}$"),
        (934, "Q-heads", r"$Q_i(o_i,\kappa_i,a)$"),
        (1100, "Joint action", r"$a_i=\mathrm{argmax}_a\ Q_i$"),
    ):
        text(axes, x, 516, title, size=13, weight="bold")
        text(axes, x, 484, formula, size=13, colour=GREY)


def draw_observations(axes: Axes) -> None:
    """The agents' observations enter one shared encoder, and its nodes the graph."""
    box(axes, 199, 98, 46, 354, fill=PALE, line=GREY)
    text(axes, 222, 275, r"$\phi$", size=22)
    for agent, y in enumerate(ROWS):
        text(axes, 88, y + 42, f"agent {agent + 1}", size=11, colour=COLOURS[agent])
        box(axes, 54, y - 27, 68, 54, fill=TINTS[agent], line=COLOURS[agent])
        text(axes, 88, y, f"$o_{agent + 1}$", size=17)
        arrow(axes, (124, y), (197, y), COLOURS[agent])
        arrow(axes, (247, y), (298, y), COLOURS[agent])


def draw_graph(axes: Axes) -> None:
    """One node per agent and action, an edge between every two available ones."""
    box(axes, 301, 98, 338, 354, fill=PALE, line="#D0D7DE", rounding=16)
    nodes = [(agent, action) for agent in range(3) for action in range(3)]
    for agent in range(3):
        band = [on_circle(angle) for angle in range(min(ANGLES[agent]), max(ANGLES[agent]) + 1, 2)]
        x, y = zip(*band, strict=True)
        axes.plot(x, y, color=TINTS[agent], linewidth=38, solid_capstyle="round", zorder=2)
    edges = [pair for pair in combinations(nodes, 2) if UNAVAILABLE not in pair]
    for pair in sorted(edges, key=lambda pair: ATTENTION.get(pair, 0.0)):
        strength = ATTENTION.get(pair, 0.0)
        (x0, y0), (x1, y1) = (on_circle(ANGLES[agent][action]) for agent, action in pair)
        axes.plot(
            (x0, x1),
            (y0, y1),
            color="#3B3F8C" if strength else "#A9B0BA",
            alpha=0.35 + 0.65 * strength if strength else 0.6,
            linewidth=0.7 + 3.6 * strength,
            zorder=3,
        )
    for agent, action in nodes:
        missing = (agent, action) == UNAVAILABLE
        centre = on_circle(ANGLES[agent][action])
        axes.add_patch(
            Circle(
                centre,
                NODE_RADIUS,
                facecolor="white" if missing else COLOURS[agent],
                edgecolor=COLOURS[agent] if missing else "white",
                linewidth=1.6,
                linestyle=(0, (3, 2)) if missing else "solid",
                zorder=4,
            )
        )
        colour = COLOURS[agent] if missing else "white"
        text(axes, *centre, f"$u_{{{agent + 1}{{,}}{action + 1}}}$", size=12.5, colour=colour)


def draw_context(axes: Axes, agent: int) -> None:
    """A pool over the agent's available nodes makes its context."""
    y = ROWS[agent]
    right_end = max(on_circle(angle)[0] for angle in ANGLES[agent]) + 29  # of the agent's band
    arrow(axes, (right_end, y), (717, y), COLOURS[agent], width=2.6)
    axes.add_patch(
        Circle((758, y), 38, facecolor=TINTS[agent], edgecolor=COLOURS[agent], linewidth=1.8)
    )
    text(axes, 758, y, rf"$\kappa_{agent + 1}$", size=18)
    arrow(axes, (799, y), (865, y), COLOURS[agent], width=2.6)


def draw_head(axes: Axes, agent: int) -> None:
    """The agent's action values as bars, and the action it takes."""
    y, colour = ROWS[agent], COLOURS[agent]
    box(axes, 868, y - 44, 132, 88, fill="white", line=colour)
    for action, value in enumerate(Q_VALUES[agent]):
        x = 893 + 41 * action
        text(axes, x, y - 32, f"{action + 1}", size=10, colour=GREY)
        if value is None:
            text(axes, x, y - 10, r"$\times$", size=15, colour=GREY)
            continue
        chosen = action == CHOSEN[agent]
        axes.add_patch(
            Rectangle(
                (x - 11, y - 20), 22, 54 * value, facecolor=colour if chosen else TINTS[agent]
            )
        )
    arrow(axes, (1002, y), (1052, y), colour)
    box(axes, 1055, y - 27, 90, 54, fill=colour, line=colour)
    text(axes, 1100, y, f"$a_{agent + 1}={CHOSEN[agent] + 1}$", size=15, colour="white")


def draw_own_observations(axes: Axes) -> None:
    """Each head also reads its own agent's observation: one line stands for all three."""
    points = [(88, 128), (88, 74), (934, 74), (934, 111)]
    codes = [Curve.MOVETO, Curve.LINETO, Curve.LINETO, Curve.LINETO]
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(points, codes),
            arrowstyle="-|>",
            mutation_scale=13,
            color=GREY,
            linewidth=1.4,
            joinstyle="round",
        )
    )
    text(axes, 758, 74, "each head also reads its own $o_i$", size=11, colour=GREY, fill="white")


def draw_captions(axes: Axes) -> None:
    """The small print."""
    text(axes, 470, 433, "one node per agent and action", size=11, colour=GREY)
    text(axes, 470, 117, "dashed: unavailable, masked", size=11, colour=GREY)
    text(axes, 679, 300, "masked\npool", size=11, colour=GREY)
    text(axes, 1100, 102, "all at once", size=11, colour=GREY)
    text(
        axes,
        WIDTH / 2,
        34,
        "Thicker edges carry more attention. All agents share encoder, attention layers and heads, "
        "trained end to end by one TD loss.",
        size=11.5,
    )


def on_circle(angle: float) -> tuple[float, float]:
    """The point of the graph's circle at `angle` degrees."""
    return CENTRE[0] + RADIUS * cos(radians(angle)), CENTRE[1] + RADIUS * sin(radians(angle))


def text(
    axes: Axes,
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    colour: str = INK,
    weight: str = "normal",
    fill: str = "none",
) -> None:
    """Centred words."""
    axes.text(
        x,
        y,
        words,
        fontsize=size,
        color=colour,
        weight=weight,
        ha="center",
        va="center",
        zorder=6,
        bbox={"facecolor": fill, "edgecolor": "none", "pad": 5} if fill != "none" else None,
    )


def box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    *,
    fill: str,
    line: str,
    rounding: float = 10,
) -> None:
    """A rounded box with its lower left corner at (x, y)."""
    style = f"round,pad=0,rounding_size={rounding}"
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, height, boxstyle=style, facecolor=fill, edgecolor=line, linewidth=1.6
        )
    )


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    *,
    width: float = 1.8,
) -> None:
    """A straight arrow."""
    axes.add_patch(
        FancyArrowPatch(
            posA=start,
            posB=end,
            arrowstyle="-|>",
            mutation_scale=15,
            color=colour,
            linewidth=width,
            shrinkA=0,
            shrinkB=0,
            zorder=5,
        )
    )


def main() -> None:
    """Write the picture to the path on the command line, or next to this file."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("method.svg"))
    is_svg = target.suffix == ".svg"
    with mpl.rc_context(
        {
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
            "mathtext.fontset": "cm",
            "svg.fonttype": "path",
            "svg.hashsalt": "action-graph-policies",
        }
    ):
        draw().savefig(
            target,
            transparent=True,
            dpi=150,
            metadata={"Title": "Action-Graph Policies", "Date": None, "Creator": None}
            if is_svg
            else None,
        )
    if is_svg:  # matplotlib leaves blanks at the ends of lines
        lines = target.read_text(encoding="utf-8").splitlines()
        target.write_text("".join(f"{line.rstrip()}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
