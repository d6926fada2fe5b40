"""What methods act on: their own history, or what other agents observe or send, too."""

from collections.abc import Mapping
from typing import Any, Literal

from analysis.tables import Row

Group = Literal["own", "shared", "unknown"]
HEADINGS: dict[Group, str] = {
    "own": "Methods that act on their own history",
    "shared": "Methods that share observations or messages at execution",
    "unknown": "Methods of which it is not known what they act on",
}
SHORT: dict[Group, str] = {"own": "own history", "shared": "shared", "unknown": "-"}
SHARING = ("dcg_controller", "mat_controller")  # controllers
KNOWN = ("basic_controller", "agp_controller", "macpf_controller", *SHARING)


def group_of(config: Mapping[str, Any]) -> Group:
    """What the agents of a run act on, from its recorded settings."""
    controller, agent = config.get("controller"), config.get("agent")
    if controller not in KNOWN:
        return "unknown"
    args = config.get("controller_args") or {}
    graph = (config.get("agent_args") or {}).get("graph") or {}
    has_graph = controller == "agp_controller" and graph.get("enabled", True)
    shares = (
        controller in SHARING
        or agent == "dicg_agent"
        or args.get("obs_mode") == "joint"
        or args.get("execution") == "dependent"
        or (has_graph and graph.get("edges") != "within_agent")
    )
    return "shared" if shares else "own"


def grouped(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """The rows of each group that has some, with the group's heading."""
    found = {
        group: [row for row in rows if group_of(row.runs[0].config) == group] for group in HEADINGS
    }
    return [(HEADINGS[group], chosen) for group, chosen in found.items() if chosen]
