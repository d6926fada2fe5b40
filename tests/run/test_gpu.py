"""On a GPU: training asks it for nothing, graphs compute what plain calls do, runs are resumed."""

from pathlib import Path

import pytest
import torch
from tests.helpers.runs import final_state, tiny, train
from tests.run.test_host_reads import ENVS, FEATURES, METHODS

from config.load import load_recorded
from run import Run
from utils.cuda_graphs import Captured
from utils.errors import NumericalError, UserError

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
SMALL = ("hidden_dim=16", "device=cuda", "t_max=100000", "test_nepisode=4")
N_ROUNDS = 6  # more than the ordinary calls before a recording


def make(method: str, env: str, *settings: str) -> Run:
    return Run(tiny(method, env, *SMALL, *settings))


def settings_of(method: str, env: str) -> tuple[str, tuple[str, ...]]:
    """The environment that a method is tried on, and its settings."""
    if method in FEATURES:
        return "capacity", ()
    scaled = ("env_args.max_cycles=4", "reward_scaling=meanstd", "optim_eps=0.01")
    return env, scaled if env == "mpe_tag" else ("optimizer=rmsprop", "optim_eps=0.01")


def weights(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.learner.online.parameters()]).cpu()


@pytest.mark.parametrize("compiled", ["none", "graphs"])
@pytest.mark.parametrize("env", ["topk", "mpe_tag"])
@pytest.mark.parametrize("method", METHODS)
def test_no_method_waits(method: str, env: str, compiled: str) -> None:
    env, settings = settings_of(method, env)
    run = make(method, env, f"compile={compiled}", *settings)
    for _ in range(N_ROUNDS):
        run.advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("env", ["topk", "mpe_tag"])
@pytest.mark.parametrize("method", METHODS)
def test_graphs_learn_the_same(method: str, env: str) -> None:
    """The same kernels in the same order: only atomic additions may round differently.

    A large epsilon keeps the optimisers from turning noise near zero into steps.
    """
    env, settings = settings_of(method, env)
    plain, graphed = (make(method, env, f"compile={c}", *settings) for c in ("none", "graphs"))
    for run in (plain, graphed):
        for _ in range(N_ROUNDS):
            run.advance()
    assert plain.learner.updates == graphed.learner.updates > 3
    torch.testing.assert_close(weights(plain), weights(graphed), rtol=1e-3, atol=1e-4)
    for name, value in plain.learner.metrics().items():
        assert graphed.learner.metrics().get(name, value) == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize("env", ENVS)
def test_graphs_play_the_same_rollouts(env: str) -> None:
    settings = ["env_args.max_cycles=4"] if env.startswith("mpe") else []
    settings += ["reward_aggregation=individual"] if env.startswith("mpe") else []
    runs = [make("iql", env, f"compile={c}", *settings) for c in ("none", "auto")]
    if not runs[0].runner.env.info.stays_on_device:
        assert not runs[1].runner._graphs
        return
    for _ in range(N_ROUNDS):
        plain, graphed = (run.runner.collect(1000) for run in runs)
        for name, value in plain.batch.items():
            torch.testing.assert_close(value, getattr(graphed.batch, name), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(plain.metrics, graphed.metrics, equal_nan=True)


def test_what_cannot_be_recorded_is_a_clear_error() -> None:
    x = torch.ones(3, device="cuda")
    asks = Captured(lambda: x.sum().item(), ())
    for _ in range(3):
        assert asks() == 3
    with pytest.raises(UserError, match=r"No CUDA graph could be made .*test_gpu.py, line \d+"):
        asks()
    torch.cuda.synchronize()
    assert x.sum().item() == 3


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_step_that_is_not_finite_changes_no_weight(optimizer: str) -> None:
    run = make("qmix", "topk", "compile=graphs", f"optimizer={optimizer}")
    for _ in range(N_ROUNDS):
        run.advance()
    before, first = weights(run), run.learner.updates + 1
    run.buffer._storage.reward.fill_(torch.nan)
    batch = next(run.learner.batches(run.buffer))
    for _ in range(2):
        run.learner.train(batch, 7, 0)
    assert torch.equal(before, weights(run))
    with pytest.raises(NumericalError, match=rf"The loss is nan at update {first} .*step 7\)"):
        run.learner.metrics()


@pytest.mark.parametrize("method", ["agp", "qmix", "fop"])
def test_a_run_on_a_gpu_is_resumed(method: str, tmp_path: Path) -> None:
    """Streams and counters continue exactly; weights up to what atomic additions round."""
    settings = ("device=cuda", "lr_schedule=constant", "use_rnn=True")
    settings = settings if method == "qmix" else settings[:2]
    whole = final_state(train(tiny(method, "topk", *settings, "t_max=128"), tmp_path / "whole"))
    half = train(tiny(method, "topk", *settings, "t_max=64"), tmp_path / "half")
    Run(load_recorded(half, [f"resume={half}", "t_max=128"])).train(half)
    parts = final_state(half)
    assert parts["learner"]["updates"] == whole["learner"]["updates"]
    assert torch.equal(parts["runner"]["generator"], whole["runner"]["generator"])
    assert torch.equal(parts["runner"]["env"]["generator"], whole["runner"]["env"]["generator"])
    for name, value in whole["learner"]["online"].items():
        other = parts["learner"]["online"][name]
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-3)


def test_a_run_does_not_move_between_devices_but_its_weights_do(tmp_path: Path) -> None:
    run_dir = train(tiny("qmix", "topk", "optimizer=rmsprop"), tmp_path / "run")
    with pytest.raises(UserError, match="streams are those of another kind of device than cuda"):
        Run(load_recorded(run_dir, [f"resume={run_dir}", "device=cuda"]))
    start = tiny("qmix", "topk", "device=cuda", f"checkpoint_path={run_dir}")
    train(start, tmp_path / "other")


def test_initial_weights_are_those_of_the_seed_on_every_device() -> None:
    for method in ("fop", "macpf", "agp"):
        on_gpu, on_cpu = (Run(tiny(method, "topk", f"device={d}")) for d in ("cuda", "cpu"))
        assert torch.equal(weights(on_gpu), weights(on_cpu))
