"""Pictures of attention maps: a row for each layer, a column for each head and for their mean."""

from pathlib import Path

import matplotlib

from analysis.figures import save_figure
from analysis.statistics import Array

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MOST_LABELS = 64  # nodes whose labels can be read


def draw_maps(
    maps: Array,
    labels: list[str],
    columns: list[str],
    path: Path,
    title: str,
    groups: list[str],
    banner: str = "",
) -> None:
    """Draw maps; rows attend, columns are attended to.

    Args:
        maps: [L, columns, P, P].
        labels: P, of the nodes.
        columns: titles.
        path: file to write; its ending decides the format.
        title: above the figure.
        groups: P, a line is drawn between nodes of different groups, such as agents.
        banner: see `save_figure`.

    Raises:
        UserError: if the file cannot be written.
    """
    n_layers, n_columns, n = maps.shape[:3]
    size = max(2.2, 0.16 * n)  # inches of a map
    figure, axes = plt.subplots(
        n_layers,
        n_columns,
        figsize=(n_columns * size + 1.5, n_layers * size + 1.2),
        layout="constrained",
        squeeze=False,
    )
    ends = [i - 0.5 for i in range(1, n) if groups[i] != groups[i - 1]]
    for layer in range(n_layers):
        top = maps[layer].max()
        for column in range(n_columns):
            axis = axes[layer, column]
            image = axis.imshow(maps[layer, column], cmap="magma", vmin=0, vmax=top)
            for end in ends if len(ends) < n - 1 else ():
                axis.axhline(end, color="white", linewidth=0.3)
                axis.axvline(end, color="white", linewidth=0.3)
            axis.set_title(f"layer {layer + 1}, {columns[column]}", fontsize=8)
            ticks = range(n) if n <= MOST_LABELS else ()
            below = labels[: len(ticks)] if layer == n_layers - 1 else []
            axis.set_xticks(ticks if below else (), below, rotation=90, fontsize=6)
            beside = labels[: len(ticks)] if column == 0 else []
            axis.set_yticks(ticks if beside else (), beside, fontsize=6)
        figure.colorbar(image, ax=axes[layer].tolist(), fraction=0.02, pad=0.01)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel("attended to", fontsize=8)
    figure.supylabel("attends", fontsize=8)
    save_figure(figure, path, banner)
