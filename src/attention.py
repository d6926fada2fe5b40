"""Attention of a trained action graph: maps of all heads of each layer, and numbers.

python src/attention.py results/topk/agp/agp_seed1_1
python src/attention.py results/mpe_tag/agp/agp_seed1_1 --episodes 500 --format pdf
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor

from analysis.attention import FILE, FOLDER, AttentionMaps, map_role, numbers_markdown
from components.episode_batch import EpisodeBatch
from modules.action_graph.nodes import NodeLayout, NodeMap
from policy import Policy, load_policy
from records.checkpoint import find_checkpoint, run_folder
from utils.command import guarded
from utils.errors import UserError
from utils.files import reason
from utils.invocation import as_typed

FORMATS = ("png", "svg", "pdf")
AT_ONCE = 50  # episodes


def mean_attention(policy: Policy, n_episodes: int, checkpoint: str) -> AttentionMaps:
    """Attention over greedy episodes: the mean over steps at which a node's action is available.

    Args:
        policy: with an action graph.
        n_episodes: how many episodes, rounded up to full batches.
        checkpoint: name of the checkpoint's file.

    Raises:
        UserError: if the method has no action graph, or one without attention.
    """
    layout, n_played = policy.layout, 0
    total = entropy = counts = torch.zeros(())
    for batch in _episodes(policy, n_episodes):
        n_played += batch.n_episodes
        layers = policy.attention(batch)
        if not layers:
            raise UserError(f"{policy.config.alg_name} has an action graph without layers.")
        weights = torch.stack(layers)[:, :, : batch.n_steps]  # [layers, B, T, heads, P, P]
        weights = torch.cat([weights, weights.mean(dim=3, keepdim=True)], dim=3).cpu()
        counted = node_counts(batch, layout).cpu()  # [B, T, P]
        total = total + torch.einsum("lbthpq,btp->lhpq", weights, counted)
        of_rows = torch.special.entr(weights).sum(dim=5)  # [layers, B, T, heads, P]
        entropy = entropy + torch.einsum("lbthp,btp->lh", of_rows, counted)
        counts = counts + counted.sum(dim=(0, 1))
    agents, actions = zip(*policy.nodes, strict=True)
    maps = total / counts.clamp(min=1).unsqueeze(1)
    return AttentionMaps(
        maps.double().numpy(),
        (entropy / counts.sum()).double().numpy(),
        list(agents),
        list(actions),
        n_played,
        checkpoint,
    )


def node_counts(batch: EpisodeBatch, layout: NodeLayout) -> Tensor:
    """1 at each real step at which a node's action is available, else 0: [B, T, P]."""
    counts = NodeMap(layout).to(batch.avail.device).over_time(batch.avail, batch.is_active)
    return (counts[:, : batch.n_steps] & batch.valid).float()


def _episodes(policy: Policy, n_episodes: int) -> Iterator[EpisodeBatch]:
    env = policy.make_env(min(n_episodes, AT_ONCE), "attention")
    with closing(env):
        for _ in range(0, n_episodes, env.batch_size):
            yield policy.play(env).batch


def draw(found: AttentionMaps, folder: Path, form: str, title: str, banner: str = "") -> list[Path]:
    """Write the maps, those between roles where there are fewer, and the `.npz`.

    Raises:
        UserError: if a file cannot be written.
    """
    from analysis.attention_figure import draw_maps

    heads = found.head_names
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found.save(folder / FILE)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({reason(error)}). Choose --out.") from error
    written = [folder / FILE, folder / f"attention.{form}"]
    draw_maps(found.maps, found.labels, heads, written[1], title, found.agents, banner)
    labels, by_role = found.by_role()
    if 1 < len(labels) < len(found.labels):
        written.append(folder / f"attention_roles.{form}")
        roles = [map_role(agent) for agent in found.agents]
        pairs = dict.fromkeys(zip(roles, found.actions, strict=True))
        groups = [role for role, _ in pairs]
        draw_maps(by_role, labels, heads, written[2], f"{title}, by role", groups, banner)
    return written


def attention(given: argparse.Namespace) -> int:
    """Play, draw and print the numbers."""
    if given.episodes < 1:
        raise UserError(f"--episodes {given.episodes}: write 1 or more.")
    torch.set_num_threads(1)
    checkpoint = find_checkpoint(given.run)
    policy = load_policy(given.run)
    with torch.inference_mode():
        found = mean_attention(policy, given.episodes, checkpoint.name)
    config = policy.config
    title = f"{config.alg_name} on {config.env_name}, {found.n_episodes} greedy episodes"
    folder = given.out or run_folder(checkpoint) / FOLDER
    written = draw(found, folder, given.format, title, given.banner)
    print(f"{title}\n\n{numbers_markdown(found)}\n\n" + "\n".join(map(str, written)))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=as_typed(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="folder of a run, or a checkpoint file in it")
    parser.add_argument("--episodes", type=int, default=200, help="greedy episodes, default 200")
    parser.add_argument("--format", choices=FORMATS, default="png", help="of the pictures")
    parser.add_argument("--banner", default="", help="a sentence on top of the pictures")
    parser.add_argument("--out", type=Path, help="folder; by default attention/ of the run")
    given = parser.parse_args(argv)
    return guarded(lambda signals: attention(given))


if __name__ == "__main__":
    sys.exit(main())
