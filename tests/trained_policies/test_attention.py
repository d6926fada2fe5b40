"""`attention.py` as a command, and the numbers that summarise maps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.helpers.runs import tiny, train

import attention
from analysis.attention import AttentionMaps, between_actions, read_maps, shares, uniform
from policy import load_policy
from utils.errors import UserError

AGENTS, ACTIONS = ["a_0", "a_0", "a_1", "a_1"], ["wait", "act"] * 2
# Row by row: itself; the own other action; the same action of the other; all alike.
ONE = np.array([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0.25] * 4])


@pytest.fixture(scope="module")
def agp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = ("t_max=8", "env_args.n_agents=2", "env_args.k=1")
    return train(tiny("agp", "topk", *small), tmp_path_factory.mktemp("agp"))


def test_shares_by_hand() -> None:
    found = shares(ONE, AGENTS, ACTIONS)
    assert found == {
        "itself": 1.25 / 4,
        "own, other action": 1.25 / 4,
        "others, same action": 1.25 / 4,
        "others, other action": 0.25 / 4,
    }


def test_from_action_to_action_by_hand() -> None:
    names, table = between_actions(ONE, AGENTS, ACTIONS)
    assert names == ["wait", "act"]
    assert table.tolist() == [[0.5, 0], [0.125, 0.125]]
    assert between_actions(uniform(4), AGENTS, ACTIONS)[1].tolist() == [[0.25, 0.25]] * 2


def test_labels_and_maps_by_role() -> None:
    maps = np.stack([ONE, ONE])[None]
    one_role = AttentionMaps(maps, np.zeros((1, 2)), AGENTS, ACTIONS, 1, "latest.pt")
    assert one_role.labels == ["1 wait", "1 act", "2 wait", "2 act"]
    labels, by_role = one_role.by_role()
    assert labels == ["a wait", "a act"]
    assert by_role[0, 0].tolist() == [[1, 0], [0.75, 0.25]]
    roles = AttentionMaps(maps, np.zeros((1, 2)), ["x_0", "x_0", "y", "y"], ACTIONS, 1, "")
    assert roles.labels == ["x_0 wait", "x_0 act", "y wait", "y act"]


def test_the_command_draws_saves_and_prints(agp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert attention.main([str(agp), "--episodes", "3"]) == 0
    out = capsys.readouterr().out
    assert "| - | uniform | 0.250 | 0.250 | 0.250 | 0.250 | 1.39 |" in out
    names = {path.name for path in (agp / "attention").iterdir()}
    assert names == {"attention.npz", "attention.png", "attention_roles.png"}
    found = read_maps(agp)
    assert found is not None
    assert found.maps.shape == (2, 5, 4, 4)
    assert found.maps.sum(axis=3) == pytest.approx(1, abs=1e-5)
    assert found.maps[:, :4].mean(axis=1) == pytest.approx(found.maps[:, 4], abs=1e-6)
    assert found.n_episodes == 3


def test_the_mean_counts_real_steps_of_available_actions(agp: Path) -> None:
    policy = load_policy(agp)
    batch = policy.play(policy.make_env(2)).batch
    batch.avail[0, 0, 1, 0] = False
    batch.valid[1] = False
    counts = attention.node_counts(batch, policy.layout)
    assert counts.shape == (2, 1, 4)
    assert counts[0, 0].tolist() == [1, 1, 0, 1]
    assert not counts[1].any()


def test_one_node_for_each_agent_has_agents_for_labels(tmp_path: Path) -> None:
    run = train(tiny("agent_graph", "topk", "t_max=8"), tmp_path / "run")
    with torch.inference_mode():
        found = attention.mean_attention(load_policy(run), 2, "latest.pt")
    assert found.labels == ["1", "2", "3", "4", "5", "6"]
    assert found.maps.shape[2:] == (6, 6)


@pytest.mark.parametrize(
    ("alg", "settings", "said"),
    [
        ("vdn", (), "vdn has no attention"),
        ("agp_no_graph", (), "agp_no_graph has no attention"),
        ("agp", ("agent_args.graph.layers=0",), "an action graph without layers"),
    ],
)
def test_a_method_without_attention(
    alg: str,
    settings: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = train(tiny(alg, "topk", "t_max=8", *settings), tmp_path / "run")
    assert attention.main([str(run)]) == 2
    assert said in capsys.readouterr().err


def test_damaged_maps_are_an_error_in_words(tmp_path: Path) -> None:
    assert read_maps(tmp_path) is None
    (tmp_path / "attention").mkdir()
    (tmp_path / "attention" / "attention.npz").write_text("no archive")
    with pytest.raises(UserError, match="cannot be read"):
        read_maps(tmp_path)
