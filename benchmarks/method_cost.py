"""What a gradient step and acting cost for each method, beside QMIX on the same task.

    python benchmarks/method_cost.py
    python benchmarks/method_cost.py dcg dicg --envs topk mpe_world_comm --repeats 7
    python benchmarks/method_cost.py agp agp,agent_args.graph.nodes=factors --envs mpe_reference

Methods are names of files in `config/algs`, by default all; settings may follow after commas. Each
is built as a run builds it, with the environment's own protocol, in this process and on one thread.
The methods are measured in turns, `--repeats` times, because machines drift: a row gives medians of
CPU milliseconds, and the
median of the ratios to QMIX measured in the same turn. Acting is what it takes to choose the
actions of one round of collected episodes, without the environment's and the replay's work. The
column `episodes` says how many a gradient step takes and how many act at once, by the preset.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from config.combinations import check_combination
from config.load import load_config
from config.search_path import available
from envs.base import EnvStep
from run import Run
from utils.errors import UserError

YARDSTICK = "qmix"
SECONDS = 0.3  # CPU seconds of one measurement, at least one call


def milliseconds(work: Callable[[], object]) -> float:
    """Mean CPU milliseconds of one call."""
    n_calls, started = 0, time.process_time()
    while n_calls == 0 or time.process_time() - started < SECONDS:
        work()
        n_calls += 1
    return 1e3 * (time.process_time() - started) / n_calls


class Method:
    """A method's run, ready to be measured.

    Raises:
        UserError: if the method does not work on the environment.
    """

    def __init__(self, alg: str, env: str):
        name, *settings = alg.split(",")
        config = load_config(name, env, ["show_progress=False", "threads=1", *settings])
        check_combination(config)
        self.run, self.updates, self.acting = Run(config), list[float](), list[float]()
        while self.run.buffer.n_episodes < config.batch_size:
            batch = self.run.runner.collect(0).batch
            self.run.learner.observe(batch)
            self.run.buffer.add(batch)
        self.batch = next(self.run.learner.batches(self.run.buffer))
        self.step: EnvStep = self.run.runner.env.reset()
        self._update()
        self._act()

    def _update(self) -> None:
        self.run.learner.train(self.batch, 0, 0)

    @torch.inference_mode()
    def _act(self) -> None:
        """Choose actions as often as an episode has steps."""
        runner = self.run.runner
        hidden, actions = None, None

        def select(outputs: Tensor, avail: Tensor) -> Tensor:
            return runner.selector.select(outputs, avail, 0, False, runner.generator)

        for _ in range(runner.env.info.episode_limit):
            noise = runner.controller.draw_noise(runner.env.batch_size, runner.generator)
            actions, hidden = runner.controller.choose(
                self.step, actions, noise, hidden, select, greedy=False
            )

    def measure(self) -> None:
        """Take part in one turn."""
        self.updates.append(milliseconds(self._update))
        self.acting.append(milliseconds(self._act))


def table(algs: list[str], env: str, repeats: int) -> str:
    """Measure the methods on one task."""
    methods: dict[str, Method] = {}
    refused = []
    for alg in dict.fromkeys([YARDSTICK, *algs]):
        try:
            methods[alg] = Method(alg, env)
        except UserError as error:
            refused.append(f"{alg} is left out: {error}")
    for _ in range(repeats):
        for method in methods.values():
            method.measure()
    rows = [
        "| method | gradient step, ms | of qmix's | acting, ms | of qmix's | episodes | weights |",
        "|---|---|---|---|---|---|---|",
    ]
    yardstick = methods[YARDSTICK]
    for alg, method in methods.items():
        cells = []
        for mine, other in (
            (method.updates, yardstick.updates),
            (method.acting, yardstick.acting),
        ):
            ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
            cells += [f"{statistics.median(mine):.2f}", f"{ratio:.2f}"]
        weights = sum(p.numel() for p in method.run.learner.online.parameters())
        episodes = f"{method.batch.n_episodes} / {method.run.runner.env.batch_size}"
        rows.append(f"| {alg} | {' | '.join(cells)} | {episodes} | {weights:,} |")
    return "\n".join([f"{env}:", "", *rows, *refused])


def main() -> None:
    """Print a table per environment."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("algs", nargs="*", default=available("algs"))
    parser.add_argument("--envs", nargs="+", default=["topk", "mpe_reference"])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    for env in given.envs:
        print(table(given.algs, env, given.repeats), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
