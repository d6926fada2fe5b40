"""Train a policy, test it, and look at what it does.

python docs/tutorials/train_and_look.py [t_max=60000]
"""

# %% What is needed: the repository's `src` on Python's path
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

import attention
from main import main
from policy import load_policy

# %% Train: as on the command line. Six agents see a signal each; the two with the largest must act.
settings = ["t_max=60000", "results_dir=tutorial", "name=look", *sys.argv[1:]]
main(["--config=agp_pg", "--env-config=topk", "with", *settings])
run_dir = max(Path("tutorial/topk/agp_pg").iterdir(), key=lambda path: path.stat().st_mtime)

# %% Test: 10,000 greedy episodes at once
policy = load_policy(run_dir)
env = policy.make_env(batch_size=10_000)
seen = env.reset()
actions = policy.act(seen)  # [B, N]
result = env.step(actions)
print(f"success {result.metrics['success'].mean():.3f}")

# %% Look: how many agents act, and one episode
for n in range(actions.shape[1] + 1):
    share = (actions.sum(dim=1) == n).float().mean()
    print(f"{n} agents act in {share:.3f} of the episodes")
print("signals", [round(x, 2) for x in seen.obs[0, :, 0].tolist()])
print("actions", actions[0].tolist())

# %% Attention: a picture of each layer, in the run's folder
attention.main([str(run_dir), "--episodes", "500"])
print(sorted(path.name for path in (run_dir / "attention").iterdir()))
