"""Which panels and methods Figures 2, 3 and 4 of the paper have (arXiv 2602.17009)."""

from typing import NamedTuple

BASELINES = ("iql", "vdn", "qmix", "dcg", "dicg", "macpf", "fop")


class Layout(NamedTuple):
    """One figure of the paper."""

    panels: tuple[tuple[str, str], ...]  # task and title
    columns: int
    key: str
    algs: tuple[str, ...]


SUCCESS = "test_success_mean"
GAMES = (
    ("topk", "(a) Top-K Selection"),
    ("topk_anticoord", "(b) Top-K with anti-coordination penalty"),
)
PARTICLES = (
    ("mpe_reference", "Reference"),
    ("mpe_push", "Push"),
    ("mpe_world_comm", "World-Comm"),
    ("mpe_speaker_listener", "Speaker-Listener"),
    ("mpe_crypto", "Crypto"),
    ("mpe_tag", "Tag"),
)
LAYOUTS = {
    2: Layout(GAMES, 2, SUCCESS, ("agp", *BASELINES)),
    3: Layout(GAMES, 2, SUCCESS, ("agp", "agp_within_agent", "agp_no_graph", "agp_pg")),
    4: Layout(PARTICLES, 3, "test_return_mean", ("agp", *BASELINES)),
}
