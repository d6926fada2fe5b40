"""IPPO on Spread beside JaxMARL at equal work: environment steps per CPU second, one thread.

    python benchmarks/beside_jaxmarl.py <checkout of FLAIROX/JaxMARL> --python <its interpreter>

JaxMARL needs a separate interpreter with jax[cpu], flax, optax, distrax, gymnax, jaxtyping,
matplotlib, hydra-core, omegaconf and wandb (JaxMARL c793d09 with JAX 0.10.2 was measured). It is
not installed: `baselines/IPPO/ippo_rnn_mpe.py` is read from the checkout. Both learn from episodes
of 25 steps in lockstep, each batch in 4 passes without minibatches, GRU and hidden layers of 128
units. Each keeps its own form of the method: JaxMARL's critic reads the GRU of the policy, its
policy has one more layer, and old log-probabilities are stored while acting; here the critic is a
network of its own, and they are computed from the batch.

JaxMARL's seconds begin once the program is compiled; compiling is named beside them. Ours come from
runs of two lengths, as in `beside_epymarl.py`. The two are measured in turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

EPISODE, STEPS = 25, 50_000  # environment steps: of an episode; of a measurement
THEIRS = {
    "ENV_NAME": "MPE_simple_spread_v3",
    "LR": 5e-4,
    "NUM_STEPS": EPISODE,
    "FC_DIM_SIZE": 128,
    "GRU_HIDDEN_DIM": 128,
    "UPDATE_EPOCHS": 4,
    "NUM_MINIBATCHES": 1,
    "GAMMA": 0.99,
    "GAE_LAMBDA": 0.95,
    "CLIP_EPS": 0.2,
    "SCALE_CLIP_EPS": False,
    "ENT_COEF": 0.01,
    "VF_COEF": 0.5,
    "MAX_GRAD_NORM": 10.0,
    "ANNEAL_LR": True,
}
OURS = (
    "--config=ippo --env-config=mpe_spread with batch_size_run={n} batch_size={n} hidden_dim=128 "
    "learner_args.epochs=4 learner_args.minibatches=1 t_max={{steps}} test_interval=1000000 "
    "log_interval=1000000 show_progress=False results_dir={{folder}}"
)
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def measured_steps(n_envs: int) -> int:
    """`STEPS`, rounded to whole batches."""
    return round(STEPS / (EPISODE * n_envs)) * EPISODE * n_envs


def measure_theirs(checkout: str, n_envs: int) -> dict[str, float]:
    """Train in this process, which has JAX."""
    sys.path.insert(0, checkout)
    import jax
    import wandb
    from baselines.IPPO.ippo_rnn_mpe import make_train

    wandb.init(mode="disabled")
    steps = measured_steps(n_envs)
    train = make_train(THEIRS | {"NUM_ENVS": n_envs, "TOTAL_TIMESTEPS": steps})
    key, started = jax.random.PRNGKey(0), time.process_time()
    program = jax.jit(train).lower(key).compile()
    compiled = time.process_time()
    jax.block_until_ready(program(key))
    ended = time.process_time()
    return {"compile": compiled - started, "rate": steps / (ended - compiled)}


def theirs(python: str, checkout: Path, n_envs: int) -> dict[str, float]:
    """The same in a process of JaxMARL's interpreter."""
    command = [python, __file__, str(checkout.resolve()), "--measure", str(n_envs)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | ONE_THREAD, check=False
    )
    if done.returncode:
        raise SystemExit(f"JaxMARL failed:\n{done.stderr}")
    row: dict[str, float] = json.loads(done.stdout.strip().split("\n")[-1])
    return row


def main() -> None:
    """Print a line for each measurement, and the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--envs", type=int, nargs="+", default=[10, 128])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure_theirs(str(given.checkout), given.measure)))
        return
    from beside_epymarl import ROOT, rate

    for n in given.envs:
        rows, first = [], 4 * EPISODE * n
        for _ in range(given.repeats):
            peer = theirs(given.python, given.checkout, n)
            ours = rate(sys.executable, ROOT, OURS.format(n=n), (first, first + measured_steps(n)))
            rows.append((peer["rate"], ours, ours / peer["rate"], peer["compile"]))
            print(f"{n} environments: {line(rows[-1])}", flush=True)
        medians = tuple(statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{n} environments, medians: {line(medians)}", flush=True)


def line(row: tuple[float, ...]) -> str:
    """A measurement for people."""
    peer, ours, ratio, seconds = row
    return f"JaxMARL {peer:,.0f} (compiling {seconds:.0f} s), ours {ours:,.0f}, ratio {ratio:.2f}"


if __name__ == "__main__":
    main()
