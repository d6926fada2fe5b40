"""Exported policies play as their runs did, those in `pretrained/` as their table says."""

import re
from pathlib import Path

import pytest
import torch
from tests.helpers.runs import tiny, train

import export
from config.load import load_recorded
from evaluate import evaluate
from main import main
from policy import load_policy
from records.checkpoint import LATEST, load_checkpoint
from utils.errors import UserError

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"
ROW = re.compile(r"^\| `([\w/]+)` \|[^|]*\| `(\w+)` ([-\d.]+) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny("agp", "topk"), tmp_path_factory.mktemp("run") / "run")


def test_an_exported_policy_plays_as_the_run_did(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "policies" / "agp"
    said = export.export(run, folder, [])
    assert said.startswith(f"{folder}: the policy after 64 environment steps")
    own = load_checkpoint(folder / "checkpoints" / LATEST)
    assert set(own["learner"]) == {"online"}
    step = load_policy(run).make_env(50).reset()
    first, second = load_policy(run).act(step), load_policy(folder).act(step)
    assert torch.equal(first, second)
    settings = ["evaluate=True", f"checkpoint_path={folder}", "test_nepisode=8"]
    assert "success_mean" in evaluate(load_recorded(folder, settings))


def test_half_precision_halves_the_file_and_plays_nearly_the_same(
    run: Path, tmp_path: Path
) -> None:
    for folder, option in (("whole", []), ("half", ["--half"])):
        settings = ["with", "test_nepisode=8"]
        assert export.main([str(run), str(tmp_path / folder), *option, *settings]) == 0
    files = [tmp_path / folder / "checkpoints" / LATEST for folder in ("whole", "half")]
    whole, half = (load_checkpoint(file)["learner"]["online"] for file in files)
    for name, weight in whole.items():
        assert half[name].dtype == torch.float16
        assert torch.allclose(half[name].float(), weight, rtol=5e-4, atol=1e-7)
    assert files[1].stat().st_size < 0.7 * files[0].stat().st_size
    step = load_policy(run).make_env(50).reset()
    first, second = (load_policy(tmp_path / f).act(step) for f in ("whole", "half"))
    assert (first == second).float().mean() > 0.95


def test_no_run_goes_on_from_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "agp"
    assert export.main([str(run), str(folder)]) == 0
    assert main(["with", f"resume={folder}", "t_max=128"]) == 2
    assert "holds a policy only" in capsys.readouterr().err
    train(tiny("agp", "topk", f"checkpoint_path={folder}"), tmp_path / "from_weights")
    with pytest.raises(UserError, match="Name a folder that does not exist yet"):
        export.export(run, folder, [])


def test_every_policy_at_hand_has_a_row() -> None:
    rows = [folder for folder, *_ in ROW.findall((PRETRAINED / "README.md").read_text())]
    found = [p.parent.relative_to(PRETRAINED).as_posix() for p in PRETRAINED.rglob("config.yaml")]
    assert sorted(rows) == sorted(found)
    assert rows
    files = [path for path in PRETRAINED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3e6


def test_policies_at_hand_have_todays_settings() -> None:
    notes: list[str] = []
    for path in PRETRAINED.rglob("config.yaml"):
        load_recorded(path.parent, [], notes.append)
    assert notes == [], "write each new setting, with what the policy was trained with, in its file"


@pytest.mark.parametrize(
    ("folder", "metric", "value"), ROW.findall((PRETRAINED / "README.md").read_text())
)
def test_policies_at_hand_play_as_their_table_says(folder: str, metric: str, value: str) -> None:
    policy = load_policy(PRETRAINED / folder)
    with torch.inference_mode():
        rollout = policy.play(policy.make_env(500))
    found = rollout.returns if metric == "return" else rollout.metrics[metric].unsqueeze(1)
    episodes = found.sum(dim=1).double()
    error = 5 * float(episodes.std()) / len(episodes) ** 0.5  # five standard errors
    assert float(episodes.mean()) == pytest.approx(float(value), abs=error + 0.01)
