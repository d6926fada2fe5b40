"""`load_policy`: what a notebook gets from a run's folder."""

import doctest
from pathlib import Path

import pytest
import torch
from tests.helpers.runs import differences, tiny, train

import policy as policy_module
from evaluate import evaluate_policy
from policy import Policy, load_policy
from records.checkpoint import LATEST
from run import Run
from utils.errors import UserError


@pytest.fixture(scope="module")
def agp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose policy has memory, common noise and last actions to keep track of."""
    settings = ("agent_args.recurrent=pre", "controller_args.common_noise=2", "lr=0.01")
    return train(
        tiny("agp", "topk", *settings, "obs_last_action=True"),
        tmp_path_factory.mktemp("agp"),
    )


def test_the_example_of_the_docstring(agp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = doctest.DocTestParser().get_examples(policy_module.__doc__ or "")
    assert len(example) == 7
    source = "".join(line.source for line in example)
    assert "results/topk/agp/agp_seed1_1" in source
    exec(source.replace("results/topk/agp/agp_seed1_1", str(agp)), {})
    assert capsys.readouterr().out.startswith("tensor(")


def test_it_carries_its_run(agp: Path) -> None:
    policy = load_policy(agp)
    assert policy.config.alg_name == "agp"
    assert policy.info.n_agents == 6


def test_it_acts_as_the_runs_own_tests_do(tmp_path: Path) -> None:
    config = tiny("qmix", "topk", "lr=0.01", "test_nepisode=64", "test_batch_size_run=64")
    run = Run(config)
    run.train(tmp_path)
    run.test_runner.env = Run(config).test_runner.env  # the same episodes again, from the start
    wanted = evaluate_policy(run.test_runner, 64, 0)
    policy = load_policy(tmp_path)
    env = policy.make_env(64, stream="test_env")
    step = env.step(policy.act(env.reset()))
    assert step.reward.mean().item() == pytest.approx(wanted["test_return_mean"])
    assert step.metrics["success"].mean().item() == pytest.approx(wanted["test_success_mean"])


def test_actions_are_available_and_need_no_gradient(agp: Path) -> None:
    policy = load_policy(agp)
    step = policy.make_env(5).reset()
    step.avail = step.avail.clone()
    step.avail[:, :3, 1] = False
    actions = policy.act(step)
    assert (actions.shape, actions.dtype) == ((5, 6), torch.int64)
    assert not actions[:, :3].any()


def test_it_remembers_within_an_episode_and_forgets_between_them(agp: Path) -> None:
    policy = load_policy(agp, device="cpu")
    step = policy.make_env(4).reset()

    def values() -> torch.Tensor:
        """The network's outputs without the noise that differs from step to step."""
        last, noise = policy._last_actions, torch.zeros(4, 6, 2)
        hidden = None if last is None else policy._player.hidden
        outputs, _ = policy.controller.act(step, last, noise, hidden)
        return outputs.detach()

    first = values()
    policy.act(step)
    assert not torch.equal(values(), first)
    policy.reset()
    assert torch.equal(values(), first)


def test_another_number_of_environments_needs_a_reset(agp: Path) -> None:
    policy = load_policy(agp)
    policy.act(policy.make_env(4).reset())
    with pytest.raises(ValueError, match=r"3 environments after 4: call reset\(\)"):
        policy.act(policy.make_env(3).reset())
    policy.reset()
    policy.act(policy.make_env(3).reset())


def test_every_load_plays_the_same(agp: Path) -> None:
    def episode(policy: Policy) -> list[tuple[str, torch.Tensor]]:
        return list(policy.play(policy.make_env(3)).batch.items())

    assert differences(episode(load_policy(agp)), episode(load_policy(agp))) == []
    other = load_policy(agp).make_env(3, stream="other").reset().obs
    assert not torch.equal(other, load_policy(agp).make_env(3).reset().obs)


def test_attention_of_whole_episodes(agp: Path) -> None:
    policy = load_policy(agp)
    layers = policy.attention(policy.play(policy.make_env(3)).batch)
    assert [tuple(w.shape) for w in layers] == [(3, 2, 4, 12, 12)] * 2
    for weights in layers:
        assert torch.allclose(weights.sum(dim=-1), torch.ones(3, 2, 4, 12))


def test_the_nodes_have_names(agp: Path) -> None:
    assert load_policy(agp).nodes[:3] == [
        ("agent_0", "wait"),
        ("agent_0", "act"),
        ("agent_1", "wait"),
    ]


def test_a_method_without_a_graph_has_no_attention(tmp_path: Path) -> None:
    policy = load_policy(train(tiny("vdn", "topk", "t_max=8"), tmp_path))
    with pytest.raises(UserError, match="vdn has no attention"):
        policy.attention(policy.play(policy.make_env(2)).batch)


@pytest.mark.parametrize("name", [LATEST, "best.pt"])
def test_a_checkpoint_file_will_do(agp: Path, name: str) -> None:
    policy = load_policy(agp / "checkpoints" / name)
    policy.act(policy.make_env(2).reset())


def test_a_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no checkpoint at"):
        load_policy(tmp_path)
