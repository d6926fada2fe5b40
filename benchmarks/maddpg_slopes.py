"""Whether MADDPG's critic points its actors the right way, on Top-K.

    python benchmarks/maddpg_slopes.py
    python benchmarks/maddpg_slopes.py updates_per_round=1 learner_args.gumbel_temperature=0.5

Arguments are settings, as after `with`. Actors follow the slope of Q_i in the vector of agent i's
action, taken at one joint action: s = dQ/du_i(act) - dQ/du_i(idle). What they ought to follow is
the difference d = Q_i(act) - Q_i(idle) with the others' actions fixed, and better still the
difference p of the true pay-offs. A row has the correlations of the three over replayed episodes
and agents, with actions sampled from the current policies.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from components.buffers.replay import Replay
from config.load import load_config
from learners.maddpg_learner import MADDPGLearner
from run import Run

SETTINGS = ("t_max=200000", "updates_per_round=8", "seed=1", "show_progress=False", "threads=1")
EPISODES = 4000  # to compare on
ROWS = (10_000, 20_000, 40_000, 80_000, 160_000)  # episodes


def correlation(x: Tensor, y: Tensor) -> float:
    """Pearson's, of all entries."""
    return float(torch.corrcoef(torch.stack((x.flatten(), y.flatten())))[0, 1])


def with_action(joint: Tensor, i: int, action: int) -> Tensor:
    """Joint actions [B, 1, N, 2] in which agent i acts (1) or is idle (0)."""
    changed = joint.clone()
    changed[:, :, i] = functional.one_hot(torch.tensor(action), 2).float()
    return changed


def compare(run: Run, k: int) -> list[float]:
    """Correlations of s and d, d and p, s and p."""
    learner, buffer = run.learner, run.buffer
    assert isinstance(learner, MADDPGLearner)
    assert isinstance(buffer, Replay)
    batch = buffer.sample(EPISODES)
    inputs = learner.controller.agent_inputs(batch, 1)
    logits = learner.online["agent"](inputs, None)[0].detach()  # [B, 1, N, 2]
    actions = (logits + learner.noise(logits.shape)).argmax(dim=3)
    joint = functional.one_hot(actions, 2).float().requires_grad_()
    critic = learner.online["critic"]
    values = critic(learner._rows(batch, inputs, joint))
    (gradient,) = torch.autograd.grad(values.sum(), joint)
    slope = (gradient[..., 1] - gradient[..., 0])[:, 0]  # [B, N]

    signals = batch.obs[:, 0, :, 0]  # [B, N]
    best = torch.zeros_like(signals).scatter_(1, signals.topk(k, dim=1).indices, 1.0)
    difference, pay_off = torch.zeros_like(slope), torch.zeros_like(slope)
    with torch.no_grad():
        for action, sign in ((1, 1.0), (0, -1.0)):
            for i in range(slope.shape[1]):
                changed = with_action(joint.detach(), i, action)
                rows = learner._rows(batch, inputs, changed)
                difference[:, i] += sign * critic(rows)[:, 0, i]
                success = (changed[:, 0, :, 1] == best).all(dim=1).float()
                pay_off[:, i] += sign * (2 * success - 1)
    pairs = ((slope, difference), (difference, pay_off), (slope, pay_off))
    return [correlation(*pair) for pair in pairs]


def main() -> None:
    """Train, and print a row at each of `ROWS` episodes."""
    config = load_config("maddpg", "topk", [*SETTINGS, *sys.argv[1:]])
    run = Run(config)
    print(
        "| episodes | slope, difference | difference, pay-off | slope, pay-off |\n|---|---|---|---|"
    )
    for episodes in ROWS:
        while run.counters.episodes < episodes:
            run.advance()
        cells = " | ".join(f"{x:.2f}" for x in compare(run, config.env_args.k))
        print(f"| {run.counters.episodes:,} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
