"""Small components and YAML files, so that tests of the loader pin its texts and nothing else's."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from config import search_path
from utils.errors import validate
from utils.registry import REGISTRIES, NoSettings, Registry


@dataclass(frozen=True)
class GraphConfig:
    """Nested settings."""

    layers: int = 2  # attention layers
    heads: int = 4
    edges: Literal["full", "topk"] = "full"  # which edges

    def __post_init__(self) -> None:
        validate((self.layers < 1, "layers", f"{self.layers} must be at least 1."))


@dataclass(frozen=True)
class AgpConfig:
    """Settings with a nested group whose defaults differ from the group's own."""

    hidden_dim: int = 64  # H, units
    graph: GraphConfig = field(default_factory=lambda: GraphConfig(layers=3))  # the graph
    sizes: tuple[int, ...] = (1, 2)  # a list


@dataclass(frozen=True)
class QmixConfig:
    """Settings of a mixer."""

    embed_dim: int = 32  # E
    hypernet_embed: int = 64

    def __post_init__(self) -> None:
        validate((self.embed_dim < 1, "embed_dim", f"{self.embed_dim} must be at least 1."))


@dataclass(frozen=True)
class TopkConfig:
    """Settings of an environment, with a relation between two of them."""

    n_agents: int = 6
    k: int = 2

    def __post_init__(self) -> None:
        validate((self.k > self.n_agents, "k", f"{self.k} is more than n_agents={self.n_agents}."))


@dataclass(frozen=True)
class EpsilonConfig:
    """Settings of an action selector."""

    epsilon_start: float = 1.0
    epsilon_finish: float = 0.05


@dataclass(frozen=True)
class MazeConfig:
    """Settings of an environment, with a mapping whose keys are free."""

    kwargs: dict[str, Any] = field(default_factory=dict)


COMPONENTS: dict[str, dict[str, type]] = {
    "env": {"topk": TopkConfig, "parity": NoSettings, "maze": MazeConfig},
    "controller": {"basic_controller": NoSettings},
    "agent": {"rnn_agent": NoSettings, "agp_agent": AgpConfig},
    "mixer": {"none": NoSettings, "vdn": NoSettings, "qmix": QmixConfig},
    "learner": {"q_learner": NoSettings},
    "runner": {"batch_runner": NoSettings},
    "action_selector": {"epsilon_greedy": EpsilonConfig},
}

FILES = {
    "default.yaml": "t_max: 1000\n",
    "envs/topk.yaml": "# Top-K selection\nenv: topk\nenv_args: {n_agents: 8}\ngamma: 0.9\n",
    "envs/parity.yaml": "# Parity\nenv: parity\n",
    "algs/qmix.yaml": "# QMIX\nmixer: qmix\nmixer_args: {embed_dim: 16}\ngamma: 0.95\n",
    "algs/vdn.yaml": "# VDN\nmixer: vdn\n",
    "algs/agp.yaml": "# AGP\nagent: agp_agent\nmixer: qmix\nagent_args:\n  graph: {heads: 8}\n",
}


class FakeRegistry(Registry):
    """A registry of names that have no files."""

    def _files(self) -> dict[str, Path]:
        return {name: Path(name) for name in self._known}


def install(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Replace the registries and the folder of YAML files by small ones; returns that folder."""
    for slot, components in COMPONENTS.items():
        registry = FakeRegistry(slot, slot)
        for name, settings in components.items():
            registry.register(name, config=settings)(type(name, (), {}))
        monkeypatch.setitem(REGISTRIES, slot, registry)
    for name, text in FILES.items():
        write(folder, name, text)
    monkeypatch.setattr(search_path, "CONFIG_DIR", folder)
    return folder


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file below a folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path
