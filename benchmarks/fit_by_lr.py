"""How fast a method's network fits a known function, for several learning rates.

    python benchmarks/fit_by_lr.py agp vdn_joint
    python benchmarks/fit_by_lr.py agp with agent_args.graph.lr_factor=0.25 --lr 1e-3 4e-3

States of Speaker-Listener. The listener's values shall be, for each move, how far it points to the
goal, less half the squared distance to the goal, which only the speaker sees. A step has 200 states
and the value of one drawn move each, with noise of variance 1; Adam. Nothing is played: this is
learning without exploration and without moving targets. Printed is the share of the values'
variance on fresh states that is not explained, after so many gradient steps.
"""

import argparse
import sys
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from build import build_controller, build_env
from config.load import load_config
from config.schema import RunConfig
from learners._optimiser import clip_gradient, make_optimizer, parameter_groups
from modules.agents.base import AgentInputs

TASK = ("mpe_speaker_listener", ["use_rnn=false"])
MOVES = ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0))
SPEAKER, LISTENER = 0, 1
BATCH = 200


class Fit:
    """A method's network, and states with the values that it shall learn."""

    def __init__(self, config: RunConfig):
        self.config = config
        with closing(build_env(config, BATCH, "fit")) as env:
            self.env = env
            self.controller = build_controller(config, env.info)
        online = nn.ModuleDict({"agent": self.controller.agent})
        self.parameters = list(online.parameters())
        groups = parameter_groups(online, config.lr, {})
        self.optimizer = make_optimizer(config, groups, self.controller.device)
        self.generator = torch.Generator().manual_seed(config.seed)

    def states(self) -> tuple[AgentInputs, Tensor]:
        """Drawn states, and the values of the listener's moves in them, [B, 5]."""
        step = self.env.reset()
        goal = step.obs[:, SPEAKER, :3].argmax(dim=1)  # [B], the brightest colour
        landmarks = step.obs[:, LISTENER, 2:8].unflatten(1, (3, 2))  # [B, 3, 2]
        to_goal = landmarks[torch.arange(len(goal)), goal]  # [B, 2]
        value = to_goal @ torch.tensor(MOVES).T - to_goal.square().sum(dim=1, keepdim=True) / 2
        return self.controller.step_inputs(step, None, None), value

    def estimate(self, inputs: AgentInputs) -> Tensor:
        """The network's values of the listener's moves, [B, 5]."""
        outputs: Tensor = self.controller.agent(inputs, None)[0]
        return outputs[:, 0, LISTENER, : len(MOVES)]

    def train(self) -> None:
        """One gradient step."""
        inputs, value = self.states()
        move = torch.randint(len(MOVES), (BATCH, 1), generator=self.generator)
        noise = torch.randn(BATCH, 1, generator=self.generator)
        error = (self.estimate(inputs) - value).gather(1, move) - noise
        self.optimizer.zero_grad(set_to_none=True)
        error.square().mean().backward()
        clip_gradient(self.parameters, self.config.grad_norm_clip)
        self.optimizer.step()

    @torch.no_grad()
    def unexplained(self) -> float:
        """Share of the values' variance that the network does not explain."""
        drawn = [self.states() for _ in range(20)]
        estimate = torch.cat([self.estimate(inputs) for inputs, _ in drawn])
        value = torch.cat([value for _, value in drawn])
        return float((estimate - value).square().mean() / value.var())


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("algs", nargs="+", help="methods, then settings as in: with key=value")
    parser.add_argument("--lr", nargs="+", default=["2.5e-4", "1e-3", "2e-3", "4e-3"])
    parser.add_argument("--steps", type=int, nargs="+", default=[150, 300, 600, 1500])
    given = parser.parse_intermixed_args()
    split = given.algs.index("with") if "with" in given.algs else len(given.algs)
    torch.set_num_threads(1)
    print(f"| method | lr | {' | '.join(map(str, given.steps))} |")
    print(f"|---|---|{'---|' * len(given.steps)}")
    for alg in given.algs[:split]:
        for lr in given.lr:
            name, settings = TASK
            fit = Fit(load_config(alg, name, [*settings, f"lr={lr}", *given.algs[split + 1 :]]))
            shares = []
            for before, after in zip([0, *given.steps], given.steps, strict=False):
                for _ in range(after - before):
                    fit.train()
                shares.append(f"{fit.unexplained():.3f}")
            print(f"| {alg} | {lr} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
