"""A bare PyTorch training loop on Top-K: how fast this work can go on the machine at hand.

    python benchmarks/bare_loop.py --algo vdn --seconds 4

No logging, no masks, no checks, no abstractions, and nothing to trust it with: a NumPy game,
batched acting with a feed-forward network of 64 units, a preallocated store, double-Q targets over
the two observations of each episode, Adam, gradient clipping, a hard target copy. `throughput.py`
runs it in turns with the framework on equal work and prints the ratio. Prints one JSON line.
"""

import argparse
import json
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

N, K, A, HIDDEN, CAPACITY = 6, 2, 2, 64, 5000


class Mixer(nn.Module):
    """QMIX with four separate hypernetworks."""

    def __init__(self, embed: int = 32, hyper: int = 64):
        super().__init__()
        self.embed = embed
        self.w1 = nn.Sequential(nn.Linear(N, hyper), nn.ReLU(), nn.Linear(hyper, N * embed))
        self.w2 = nn.Sequential(nn.Linear(N, hyper), nn.ReLU(), nn.Linear(hyper, embed))
        self.b1 = nn.Linear(N, embed)
        self.v = nn.Sequential(nn.Linear(N, embed), nn.ReLU(), nn.Linear(embed, 1))

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        """q: [B, N], state: [B, N] -> [B, 1]."""
        w1 = self.w1(state).abs().view(-1, N, self.embed)
        hidden = functional.elu((q.unsqueeze(-1) * w1).sum(1) + self.b1(state))
        return (hidden * self.w2(state).abs()).sum(-1, keepdim=True) + self.v(state)


def play(actions: np.ndarray, signals: np.ndarray) -> np.ndarray:
    """Reward of the Top-K game, [B]."""
    want = np.zeros(actions.shape, bool)
    np.put_along_axis(want, np.argsort(signals, -1)[:, -K:], True, -1)
    return np.where((actions.astype(bool) == want).all(-1), 1.0, -1.0).astype(np.float32)


def run(algo: str, n_envs: int, batch: int, seconds: float) -> dict[str, float | str]:
    """Train for `seconds` after a warm-up; environment steps per CPU second."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    layers = (nn.Linear(1 + N, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
    net = nn.Sequential(*layers, nn.Linear(HIDDEN, A))
    target = nn.Sequential(nn.Linear(1 + N, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN))
    target = nn.Sequential(*target, nn.ReLU(), nn.Linear(HIDDEN, A))
    mixer = Mixer() if algo == "qmix" else None
    parameters = [*net.parameters(), *(mixer.parameters() if mixer else [])]
    optimizer = torch.optim.Adam(parameters, lr=5e-4, fused=True)
    obs = torch.zeros(CAPACITY, 2, N, 1)
    actions = torch.zeros(CAPACITY, N, dtype=torch.long)
    rewards = torch.zeros(CAPACITY, 1)
    ids = torch.eye(N)
    head = size = updates = 0

    def collect() -> None:
        nonlocal head, size
        signals = rng.random((2, n_envs, N, 1), dtype=np.float32)
        seen = torch.from_numpy(signals[0])
        with torch.inference_mode():
            best = net(torch.cat([seen, ids.expand(n_envs, N, N)], -1)).argmax(-1).numpy()
        explore = rng.random((n_envs, N)) < 0.1
        chosen = np.where(explore, rng.integers(A, size=(n_envs, N)), best)
        rows = (head + torch.arange(n_envs)) % CAPACITY
        obs[rows] = torch.from_numpy(signals.swapaxes(0, 1))
        actions[rows] = torch.from_numpy(chosen)
        rewards[rows, 0] = torch.from_numpy(play(chosen, signals[0, ..., 0]))
        head, size = (head + n_envs) % CAPACITY, min(size + n_envs, CAPACITY)

    def learn() -> None:
        nonlocal updates
        rows = torch.from_numpy(rng.choice(size, batch, replace=False))
        o, a, y = obs[rows], actions[rows], rewards[rows]
        x = torch.cat([o, ids.expand(batch, 2, N, N)], -1)
        q = net(x)
        with torch.no_grad():
            target(x)[:, 1].gather(-1, q[:, 1].argmax(-1, keepdim=True))
        taken = q[:, 0].gather(-1, a.unsqueeze(-1)).squeeze(-1)
        if mixer is not None:
            taken = mixer(taken, o[:, 0, :, 0])
        elif algo == "vdn":
            taken = taken.sum(-1, keepdim=True)
        loss = functional.mse_loss(taken, y.expand_as(taken))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 10)
        optimizer.step()
        updates += 1
        if updates % 200 == 0:
            target.load_state_dict(net.state_dict())

    while size < batch:
        collect()
    for _ in range(100):
        collect()
        learn()
    started, end, steps = time.process_time(), time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        collect()
        learn()
        steps += n_envs
    rate = steps / (time.process_time() - started)
    return {"algo": algo, "env_steps_per_cpu_s": round(rate, 1)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algo", default="vdn", choices=["iql", "vdn", "qmix"])
    parser.add_argument("--n-envs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4)
    given = parser.parse_args()
    print(json.dumps(run(given.algo, given.n_envs, given.batch, given.seconds)))
