"""Maps of attention between the nodes of an action graph, and numbers that summarise them.

A map is [P, P]: row p says how much node p takes from each node; a row sums to 1. It is the mean
over steps and episodes. No PyTorch: maps are read from what `attention.py` saved.
"""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.statistics import Array
from utils.errors import UserError
from utils.files import reason

FOLDER, FILE = "attention", "attention.npz"  # in a run's folder


@dataclass(frozen=True)
class AttentionMaps:
    """Mean attention of a policy.

    Attributes:
        maps: [L, heads + 1, P, P], for each layer its heads and, last, their mean.
        entropy: [L, heads + 1], mean entropy of a row at one step, in nats.
        agents: P names.
        actions: P names; empty ones in a graph with one node for each agent.
        n_episodes: how many greedy episodes they are the mean of.
        checkpoint: name of the checkpoint's file.
    """

    maps: Array
    entropy: Array
    agents: list[str]
    actions: list[str]
    n_episodes: int
    checkpoint: str

    @property
    def head_names(self) -> list[str]:
        """`head 1` to `head H`, `mean`."""
        return [*(f"head {h + 1}" for h in range(self.maps.shape[1] - 1)), "mean"]

    @property
    def labels(self) -> list[str]:
        """`1 act`, or `listener_0 left` where there are several roles."""
        several = len({map_role(agent) for agent in self.agents}) > 1
        names = {a: a if several else str(i + 1) for i, a in enumerate(dict.fromkeys(self.agents))}
        pairs = zip(self.agents, self.actions, strict=True)
        return [f"{names[agent]} {action}".strip() for agent, action in pairs]

    def by_role(self) -> tuple[list[str], Array]:
        """Labels [G] and maps [L, heads + 1, G, G] between groups of one role and action.

        Mean over the nodes of the group that attends, sum over those of the group attended to.
        """
        pairs = zip(self.agents, self.actions, strict=True)
        groups = [f"{map_role(agent)} {action}".strip() for agent, action in pairs]
        names = list(dict.fromkeys(groups))
        member = np.array([[group == name for name in names] for group in groups], float)  # [P, G]
        return names, (member / member.sum(axis=0)).T @ self.maps @ member

    def save(self, path: Path) -> None:
        """Write a `.npz`.

        Raises:
            OSError: if the file cannot be written.
        """
        np.savez_compressed(
            path,
            maps=self.maps.astype(np.float32),
            entropy=self.entropy,
            agents=np.array(self.agents),
            actions=np.array(self.actions),
            n_episodes=self.n_episodes,
            checkpoint=self.checkpoint,
        )


def map_role(agent: str) -> str:
    """The role of an agent: its name without the number."""
    return re.sub(r"_?\d+$", "", agent) or agent


def read_maps(run_dir: Path) -> AttentionMaps | None:
    """The maps in a run's folder; None if none were drawn.

    Raises:
        UserError: if the file is damaged.
    """
    path = run_dir / FOLDER / FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as data:
            return AttentionMaps(
                data["maps"].astype(float),
                data["entropy"],
                data["agents"].tolist(),
                data["actions"].tolist(),
                int(data["n_episodes"]),
                str(data["checkpoint"]),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"the attention in {path} cannot be read ({reason(error)}).") from error


def shares(one: Array, agents: list[str], actions: list[str]) -> dict[str, float]:
    """Shares of a map's mass, the mean over nodes; they sum to 1.

    Returns:
        `itself`; `own, other action`; `others, same action`; `others, other action`.
    """
    who, what = np.array(agents), np.array(actions)
    same_agent, same_action = who[:, None] == who, what[:, None] == what  # [P, P]
    parts = {
        "itself": same_agent & same_action,
        "own, other action": same_agent & ~same_action,
        "others, same action": ~same_agent & same_action,
        "others, other action": ~same_agent & ~same_action,
    }
    return {name: float(one[part].sum() / len(one)) for name, part in parts.items()}


def uniform(n_nodes: int) -> Array:
    """The map of a graph whose nodes attend alike to all nodes."""
    return np.full((n_nodes, n_nodes), 1 / n_nodes)


def between_actions(one: Array, agents: list[str], actions: list[str]) -> tuple[list[str], Array]:
    """How much a node of one action takes from other agents' nodes of each action.

    Returns:
        names [A] of the actions, and [A, A], the mean over nodes of the action that attends.
    """
    who, what = np.array(agents), np.array(actions)
    names = list(dict.fromkeys(actions))
    member = np.array([what == name for name in names], float).T  # [P, A]
    across = np.where(who[:, None] != who, one, 0.0)
    return names, (member / member.sum(axis=0)).T @ across @ member


def numbers_markdown(found: AttentionMaps) -> str:
    """Tables of the shares and the entropy, and of the mean attention from action to action."""
    n = len(found.agents)
    names = [*shares(uniform(n), found.agents, found.actions)]
    lines = [f"| layer | head | {' | '.join(names)} | entropy |", "|---" * (len(names) + 3) + "|"]
    rows = [
        (str(layer + 1), name, found.maps[layer, h], found.entropy[layer, h])
        for layer in range(len(found.maps))
        for h, name in enumerate(found.head_names)
    ]
    for layer, head, one, entropy in [*rows, ("-", "uniform", uniform(n), np.log(n))]:
        parts = " | ".join(f"{x:.3f}" for x in shares(one, found.agents, found.actions).values())
        lines.append(f"| {layer} | {head} | {parts} | {entropy:.2f} |")
    actions = list(dict.fromkeys(found.actions))
    if not 1 < len(actions) <= 10:
        return "\n".join(lines)
    lines += ["", f"| layer, mean of heads | from | {' | '.join(actions)} |"]
    lines.append("|---" * (len(actions) + 2) + "|")
    names = [*(str(i + 1) for i in range(len(found.maps))), "uniform"]
    for layer, one in zip(names, [*found.maps[:, -1], uniform(n)], strict=True):
        _, table = between_actions(one, found.agents, found.actions)
        for name, row in zip(actions, table, strict=True):
            lines.append(f"| {layer} | {name} | {' | '.join(f'{x:.3f}' for x in row)} |")
    return "\n".join(lines)
