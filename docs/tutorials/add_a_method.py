"""Add a method, and compare it with five baselines.

python docs/tutorials/add_a_method.py [full or tiny] [setting=value ...]
"""

# %% What is needed: the repository's `src` on Python's path
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import report
import suite

# %% The method: AGP with a mixer of ours, which weighs the agents' values. One file, one decorator.
MIXER = '''
"""Q_tot = sum_i w_i Q_i with w_i > 0, learnt, the same in every state."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from utils.registry import MIXERS


@dataclass(frozen=True)
class ScaledSumConfig:
    """Settings of `scaled_sum`."""

    start: float = 1.0  # weights at the start


@MIXERS.register("scaled_sum", config=ScaledSumConfig)
class ScaledSum(nn.Module):
    """A weighted sum. Shapes: q_taken [B, T, N]; out [B, T, 1]."""

    needs_team_reward = True

    def __init__(self, config: ScaledSumConfig, n_agents: int, state_dim: int):
        super().__init__()
        self.log_weights = nn.Parameter(torch.full((n_agents,), config.start).log())

    def forward(self, q_taken: Tensor, state: Tensor) -> Tensor:
        """The team's value."""
        return (q_taken * self.log_weights.exp()).sum(dim=2, keepdim=True)
'''
ALGORITHM = """
# AGP whose values are added up with learnt weights
controller: agp_controller
agent: agp_agent
mixer: scaled_sum
learner: q_learner
"""
# %% The comparison: our method beside five baselines, three seeds each; `tiny` tries the machinery
SUITE = """
runs:
  - algs: [agp_scaled.yaml, agp, agent_graph, vdn, qmix, iql]
    envs: [topk]
    seeds: [1, 2, 3]
    with: {t_max: 100_000, results_dir: results}
budgets:
  full:
  tiny: {seeds: [1]}
"""
# %% A project of our own, in the folder `tutorial`; components are looked for in the current folder
Path("tutorial").mkdir(exist_ok=True)
os.chdir("tutorial")
files = {"scaled_sum.py": MIXER, "agp_scaled.yaml": ALGORITHM, "compare.yaml": SUITE}
for name, text in files.items():
    Path(name).write_text(text.lstrip(), encoding="utf-8")

# %% Train: finished runs are not repeated, so this can be started again
budget, *settings = sys.argv[1:] or ["full"]
suite.main(["compare.yaml", "--budget", budget, "--parallel", "2", "with", *settings])

# %% Compare: a row for each method, and the learning curves
report.main(["results/topk", "--figure", "curves.svg"])
