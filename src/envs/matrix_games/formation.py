"""Formation: agents on a small grid must stand on all K marked cells at the same time.

The paper's motivating example "exactly K" (Gupta et al., arXiv 2602.17009, section 1), with moves.
K cells of a square grid are marked, and the agents start on others. An action is a cell: action 0
is to stay, action c = 1..W^2 to move to cell c, in rows from the top left. Only free cells next to
the agent's (up, down, left, right) are available. All move at once; a cell that several agents want
stays free, and all of them stay where they are. So a cell never holds two agents, and the K marked
cells are full when exactly K agents stand on them, the others elsewhere.

A step pays half of the change in the share of marked cells that are occupied, and the other half
when all are: then the episode has succeeded and ends. It also ends after `n_steps`. The return is 1
for success and less than 1/2 otherwise. An agent knows the marked cells and its place; of the
others it sees only which cells next to it are free.

No team can be faster than `best_steps`: K agents go to different marked cells, the one with the
longest way takes as many steps as that is long, and agents are chosen for which that is least.
"""

from dataclasses import dataclass
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from envs.base import EnvStep, uniform_info
from envs.matrix_games._sizes import MOST, Size, below, draw_size, ends, largest, size_problem
from utils.errors import out_of_range, validate
from utils.registry import ENVS
from utils.seeding import generator_state, restore_generator, torch_generator

# Of the sines and cosines that encode a place, in cells: products of two places' encodings depend
# on how far apart they are, so that attention can look for cells nearby (Vaswani et al. 2017, 3.5).
PERIODS = (4, 8, 16)


@dataclass(frozen=True)
class FormationConfig:
    """Settings of `formation`."""

    n_agents: Size = 4  # N, 1 to 10,000; [low, high]: drawn for each episode
    n_marked: Size = 3  # K, at least 1, never more than the agents; or [low, high]
    width: Size = 4  # W, of the square grid, 2 to 100; [low, high]: drawn for each episode
    n_steps: int = 4  # T, after which the episode ends, 1 to 1,000,000
    measure_optimum: bool = True  # metrics that compare with the least number of steps
    place_waves: bool = False  # action features hold places as sines and cosines too

    def __post_init__(self) -> None:
        n_cells, fewest = ends(self.width)[0] ** 2, ends(self.n_agents)[0]
        needed = largest(self.n_agents) + largest(self.n_marked)
        validate(
            size_problem("n_agents", self.n_agents, 1, MOST),
            size_problem("n_marked", self.n_marked, 1, MOST),
            size_problem("width", self.width, 2, 100),
            (
                largest(self.n_marked) > fewest,
                "n_marked",
                f"{largest(self.n_marked)} cells cannot be occupied by n_agents={fewest}.",
            ),
            (
                needed > n_cells,
                "width",
                f"{self.width} gives {n_cells:g} cells, too few for {needed} agents and marked "
                f"cells apart from each other (n_agents, n_marked).",
            ),
            *out_of_range(self, 1, 1_000_000, "n_steps"),
        )


@ENVS.register("formation", config=FormationConfig)
class Formation:
    """B grids of C = W^2 cells."""

    # Of the cell that an action leads to: whether it is marked, whether the agent stands there, row
    # and column; whether the action is available, and whether it is to stay; steps left; how far
    # the cell is below and to the right of the agent. Waves of row and column come behind these.
    feature_dim = 9

    def __init__(
        self,
        config: FormationConfig,
        batch_size: int,
        device: torch.device,
        seed: int,
        stream: str,
    ):
        self.config, self.batch_size, self.device = config, batch_size, device
        self.generator = torch_generator(seed, stream, device=device)
        width, n, low = largest(config.width), largest(config.n_agents), ends(config.n_agents)[0]
        n_actions = 1 + width**2
        obs_dim = 3 * n_actions + 2
        cell = torch.arange(width**2, device=device)
        self._place = torch.stack([cell // width, cell % width], dim=1).float()  # [C, 2]
        periods = torch.tensor(PERIODS if config.place_waves else (), device=device)
        angle = 2 * torch.pi * self._place.unsqueeze(2) / periods
        self._waves = torch.cat([angle.sin(), angle.cos()], dim=2).flatten(1)  # [C, w]
        names = ("stay", *(f"to {c // width},{c % width}" for c in range(width**2)))
        metrics = {
            "success": "1 if all marked cells were occupied at the same time",
            "blocked": "moves that several agents made to one cell, summed over steps",
        }
        if config.measure_optimum:
            metrics["best_steps"] = "steps that no team could do without, at most n_steps"
        self.info = uniform_info(
            n,
            n_actions,
            obs_dim,
            n * obs_dim,
            config.n_steps,
            metric_descriptions=metrics,
            action_names=(names,) * n,
            metric_ratios={"speed_ratio": ("best_steps", "ep_length")}
            if config.measure_optimum
            else {},
            action_feature_dim=self.feature_dim + self._waves.shape[1],
            varying_team=low < n,
            truncates=False,
            computes_on_host=config.measure_optimum,
            state_is_obs=True,
        )
        self._distance = torch.cdist(self._place, self._place, p=1).round()  # [C, C]

    def reset(self) -> EnvStep:
        """Draw a new grid, marked cells and start positions."""
        config, b = self.config, self.batch_size
        given = (b, self.generator, self.device)
        n, k, self._width = (
            draw_size(size, *given) for size in (config.n_agents, config.n_marked, config.width)
        )
        self._present = below(n, self.info.n_agents)  # [B, N]
        self._on_grid = (self._place < self._width.view(-1, 1, 1)).all(dim=2)  # [B, C]
        uniform = torch.rand(b, len(self._place), generator=self.generator, device=self.device)
        order = torch.where(self._on_grid, uniform, -1.0).argsort(dim=1, descending=True)  # [B, C]
        cells = functional.one_hot(order, len(self._place)).bool()  # [B, C, C], in random order
        most = largest(config.n_marked)
        self._marked = (cells[:, :most] & below(k, most).unsqueeze(2)).any(dim=1)  # [B, C]
        starts = cells[:, most : most + self.info.n_agents]  # [B, N, C]
        self._at = starts & self._present.unsqueeze(2)  # [B, N, C], where each agent is
        self._t = 0
        self._ended = torch.zeros(b, dtype=torch.bool, device=self.device)
        self._results = {key: torch.zeros(b, device=self.device) for key in ("success", "blocked")}
        if config.measure_optimum:
            self._results["best_steps"] = self.best_steps().clamp(max=config.n_steps)
        return self._show(torch.zeros(b, device=self.device), {})

    def step(self, actions: Tensor) -> EnvStep:
        """Move all agents at once."""
        self._t += 1
        alive, before = ~self._ended, self._share_occupied()
        moves = functional.one_hot(actions, self.info.n_actions)[..., 1:].bool()  # [B, N, C]
        moves &= alive[:, None, None]
        blocked = (moves & (moves.sum(dim=1, keepdim=True) > 1)).any(dim=2)  # [B, N]
        goes = moves.any(dim=2) & ~blocked
        self._at = torch.where(goes.unsqueeze(2), moves, self._at)
        share = self._share_occupied()
        success = (share == 1).float()  # [B]; it lasts, because no agent moves after the end
        reward = 0.5 * (share - before) + 0.5 * success * alive
        self._ended = self._ended | (success == 1) | (self._t >= self.config.n_steps)
        n_blocked = self._results["blocked"] + blocked.sum(dim=1)
        self._results = {**self._results, "success": success, "blocked": n_blocked}
        return self._show(reward, self._results)

    def best_steps(self) -> Tensor:
        """The least steps that any team needs from here on, [B].

        Matchings of least sum of (K + 1)^distance have the least longest way, since one longer way
        weighs more than K shorter ones. One small problem after the other, on the CPU.
        """
        ways = (self._at.float() @ self._distance).cpu().numpy()  # [B, N, C]
        present, marked = self._present.cpu().numpy(), self._marked.cpu().numpy()
        longest = []
        for b in range(self.batch_size):
            way = ways[b][present[b]][:, marked[b]].astype(float)  # [n, K]
            longest.append(way[linear_sum_assignment((way.shape[1] + 1) ** way)].max())
        return torch.tensor(longest, dtype=torch.float32, device=self.device)

    def _share_occupied(self) -> Tensor:
        """Share of the marked cells on which an agent stands, [B]."""
        occupied = self._at.any(dim=1) & self._marked
        return occupied.sum(dim=1) / self._marked.sum(dim=1)

    def _show(self, reward: Tensor, metrics: dict[str, Tensor]) -> EnvStep:
        n, never = self.info.n_agents, torch.zeros_like(self._ended)
        near = self._at.float() @ (self._distance == 1).float() > 0  # [B, N, C]
        free = self._on_grid & ~self._at.any(dim=1)  # [B, C]
        avail = functional.pad(near & free.unsqueeze(1), (1, 0), value=True)  # [B, N, A]
        features = self._features(avail)  # [B, N, A, F]
        seen = features[..., [0, 1, 4]].flatten(2)  # [B, N, 3 A]
        size = (self._width / largest(self.config.width)).view(-1, 1, 1).expand(-1, n, 1)
        left = features[:, :, 0, 6:7]
        obs = torch.where(self._present.unsqueeze(2), torch.cat([seen, left, size], dim=2), 0.0)
        return EnvStep(
            obs=obs,
            state=obs.flatten(1),
            avail=avail,
            reward=torch.where(self._present, reward.unsqueeze(1), 0.0),
            terminated=self._ended,
            truncated=never,
            metrics=metrics,
            action_features=features,
            is_active=self._present if self.info.varying_team else None,
        )

    def _features(self, avail: Tensor) -> Tensor:
        """Action features [B, N, A, F] (`feature_dim`); zero outside the grid."""
        row, column = (self._place.T.unsqueeze(1) / (self._width - 1).unsqueeze(1)).unbind(0)
        waves = self._waves.expand(self.batch_size, -1, -1)
        places = torch.stack([self._marked.float(), row, column], dim=2)
        of_cells = torch.cat([places, waves], dim=2)  # [B, C, 3 + w]
        of_own = self._at.float() @ of_cells  # [B, N, 3 + w]
        n = self.info.n_agents
        led_to = torch.cat(
            [of_own.unsqueeze(2), of_cells.unsqueeze(1).expand(-1, n, -1, -1)], dim=2
        )  # [B, N, A, 3 + w]
        marked, row, column = led_to[..., :3].unbind(3)  # [B, N, A] each
        mine = functional.pad(self._at.float(), (1, 0), value=1.0)
        stay = torch.zeros_like(mine)
        stay[..., 0] = 1
        left = torch.full_like(mine, max(0.0, 1 - self._t / self.config.n_steps))
        down, right = row - row[..., :1], column - column[..., :1]
        numbers = [marked, mine, row, column, avail.float(), stay, left, down, right]
        shown = torch.cat([torch.stack(numbers, dim=3), led_to[..., 3:]], dim=3)
        on_grid = functional.pad(self._on_grid, (1, 0), value=True)  # [B, A]
        real = on_grid.unsqueeze(1) & self._present.unsqueeze(2)
        return torch.where(real.unsqueeze(3), shown, 0.0)

    def state_dict(self) -> dict[str, Any]:
        """The random stream."""
        return {"generator": generator_state(self.generator)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the random stream."""
        restore_generator(self.generator, state["generator"])

    def close(self) -> None:
        """Nothing to release."""
