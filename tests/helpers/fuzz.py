"""Random edits of valid configurations, and what a command may do with them.

It trains two updates, or stops with a message of ours: no traceback, no hang, no memory without
bounds.
"""

import os
import resource
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from tests.helpers.runs import tiny_settings

import main
from config.describe import describe_settings
from config.load import load_config
from config.schema import RunConfig
from config.search_path import available
from learners.base import Learner
from runners.batch_runner import BatchRunner
from utils.registry import REGISTRIES

CPU_SECONDS, WALL_SECONDS = 30, 600  # of one command; a machine may be busy
MEMORY = 2**31  # bytes that a command may map besides what is mapped already
COLLECTIONS = 4  # rollouts after which a run that has not trained twice may end
PACKAGES = {"gymma", "lbf", "rware", "smaclite", "vmas"}  # their tasks need optional packages
QUICK = [env for env in available("envs") if env not in PACKAGES]
# They write elsewhere, or start threads and processes.
LEFT_ALONE = {"results_dir", "threads", "env_args.n_workers", "env_args.kwargs"}

# A command takes as long as it takes, and every example counts.
UNHURRIED = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))

SMALL = st.integers(-2, 9)
HUGE = st.sampled_from([2**31, 10**12, 10**18, 2**63 - 1, 2**63, 10**30])
NUMBERS = st.one_of(
    SMALL,
    HUGE,
    HUGE.map(lambda n: -n),
    st.sampled_from([0.5, 1e-9, 1e300, -0.5, 1.5, float("inf"), float("-inf"), float("nan")]),
)
WORDS = [name for registry in REGISTRIES.values() for name in registry.names()]
WORDS += ["hard", "soft", "adam", "rmsprop", "sum", "mean", "individual", "linear", "meanstd"]
WORDS += ["pre", "post", "full", "rook", "exact", "scripted", "random", "path", "two_team", "mpe2"]
WORDS += ["spread", "tag", "world_comm", "crypto", "team_vs_fixed", "good", "cpu", "cuda:7", "auto"]
WORDS += ["", "None", "nan", "1e3", "0x10", "1_000", "~", "../x", "a/b", "2001-01-01", "é"]
SCALARS = st.one_of(
    NUMBERS, NUMBERS, st.booleans(), st.none(), st.sampled_from(WORDS), st.text(max_size=6)
)
KEYS = st.one_of(st.sampled_from(["a", "k", "mode", "layers", "n_agents"]), st.text(max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=4,
)


def fitting(key: str, kind: str) -> st.SearchStrategy[Any]:
    """Values of a setting's type, as `--help` and the documentation name it."""
    if key in REGISTRIES:
        return st.sampled_from(REGISTRIES[key].names())
    if kind in ("int", "float", "bool"):
        numbers = st.integers(0, 9) if kind == "int" else st.floats(0, 2)
        return st.booleans() if kind == "bool" else numbers
    if " or " in kind:
        return st.sampled_from([yaml.safe_load(word) for word in kind.split(" or ")])
    return st.sampled_from(WORDS)


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A command line with a few random settings, most of them of the right type."""
    alg, env = draw(st.sampled_from(available("algs"))), draw(st.sampled_from(QUICK))
    known = kinds(alg, env)
    edits = []
    for _ in range(draw(st.integers(1, 3))):
        key, oddity = draw(st.sampled_from(sorted(known))), draw(st.integers(0, 11))
        odd = NUMBERS if known[key] in ("int", "float") and oddity == 0 else VALUES
        value = draw(odd if oddity < 3 else fitting(key, known[key]))
        if oddity == 11:
            key = draw(unknown(sorted(known)))
        text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
        edits.append(f"{key}=" + text.removesuffix("\n").removesuffix("\n..."))
    return [f"--config={alg}", f"--env-config={env}", "with", *tiny_settings(alg), *edits]


@cache
def kinds(alg: str, env: str) -> dict[str, str]:
    """Every setting that a configuration has: dotted path -> type."""
    config = load_config(alg, env, [])
    found = {setting.name: setting.type for setting in describe_settings(RunConfig)}
    for slot in REGISTRIES:
        described = describe_settings(type(getattr(config, f"{slot}_args")))
        found |= {f"{slot}_args.{setting.name}": setting.type for setting in described}
    return {name: kind for name, kind in found.items() if name not in LEFT_ALONE}


def unknown(known: list[str]) -> st.SearchStrategy[str]:
    """Keys that are probably no settings: misspelt, too deep, or anything."""
    return st.one_of(
        st.sampled_from(known).map(lambda key: key[:-1]),
        st.tuples(st.sampled_from(known), st.sampled_from(known)).map(".".join),
        st.text(max_size=8).filter(lambda key: key.strip() not in LEFT_ALONE),
    )


class Enough(BaseException):
    """The run has shown that it trains."""


class Hang(BaseException):
    """The time is over."""


def stop_after_two_updates() -> Any:
    """Patches of what a run calls, so that it ends soon."""
    train, collect = Learner.train, BatchRunner.collect
    counts = {"updates": 0, "collections": 0}

    def trained(self: Learner, *args: Any) -> Any:
        result = train(self, *args)
        counts["updates"] += 1
        if counts["updates"] == 2:
            raise Enough
        return result

    def collected(self: BatchRunner, *args: Any, **kwargs: Any) -> Any:
        counts["collections"] += 1
        if counts["collections"] > COLLECTIONS:
            raise Enough
        return collect(self, *args, **kwargs)

    return mock.patch.multiple(Learner, train=trained), mock.patch.multiple(
        BatchRunner, collect=collected
    )


@contextmanager
def bounds() -> Iterator[None]:
    """Time and memory that a command may use."""

    def over(*_: object) -> None:
        raise Hang

    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = [signal.signal(s, over) for s in (signal.SIGVTALRM, signal.SIGALRM)]
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for received, handler in zip((signal.SIGVTALRM, signal.SIGALRM), before, strict=True):
            signal.signal(received, handler)


def outcome(argv: list[str]) -> str:
    """`trains` or `rejected`; anything else raises."""
    train, collect = stop_after_two_updates()
    flags, given = argv[: argv.index("with") + 1], argv[argv.index("with") + 1 :]
    usual = "loggers=[csv]"  # Sacred adds nothing here but time
    with (
        tempfile.TemporaryDirectory() as place,
        warnings.catch_warnings(),
        train,
        collect,
        bounds(),
    ):
        warnings.simplefilter("ignore")  # here as on a user's console
        try:
            code = main.main([*flags, usual, *given, f"results_dir={place}"])
        except Enough:
            return "trains"
        finally:
            torch.set_num_threads(1)
    assert code in (0, 2), code
    return "rejected" if code else "trains"
