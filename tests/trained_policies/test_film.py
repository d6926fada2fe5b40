"""Films through whole commands: `evaluate=True render=...`."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tests.helpers.runs import tiny, train

import film
from build import build_test_runner, build_trained_controller
from config.load import load_recorded
from config.schema import FILM_SETTINGS
from main import main
from records.checkpoint import find_checkpoint
from rendering.draw import Frame

SHORT = ("env_args.max_cycles=4", "agent_args.graph.layers=2", "t_max=16", "test_interval=16")


@pytest.fixture(scope="module")
def agp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny("agp", "mpe_speaker_listener", *SHORT), tmp_path_factory.mktemp("agp"))


@pytest.fixture(scope="module")
def vdn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny("vdn", "topk", "t_max=16"), tmp_path_factory.mktemp("vdn"))


def command(run: Path, *settings: str) -> list[str]:
    few = ("test_nepisode=4", "test_batch_size_run=2")
    return ["with", "evaluate=True", f"checkpoint_path={run}", *few, *settings]


def frames_of(run: Path, *settings: str) -> list[list[Frame]]:
    config = load_recorded(run, command(run, *settings)[1:])
    controller, _ = build_trained_controller(config, find_checkpoint(run))
    graph = film._required_graph(config, controller) if config.render_attention else None
    return list(film._episodes(config, controller, graph))


def test_a_film_lies_in_the_runs_folder_and_older_ones_stay(
    agp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        assert main(command(agp, "render=gif", "render_episodes=3")) == 0
        path = agp / "films" / f"latest_{number}.gif"
        table = capsys.readouterr().out
        assert "return_mean" in table
        assert str(path) in table.replace("\n", "")
        with Image.open(path) as shown:
            assert shown.n_frames == 3 * 5  # type: ignore[attr-defined]
    assert main(command(agp, "render=mp4", "render_episodes=1", "render_attention=true")) == 0
    n_frames, _ = imageio_ffmpeg.count_frames_and_secs(str(agp / "films" / "latest_1.mp4"))
    assert n_frames == 4 + 6
    changes = (agp / "evaluations.csv").read_text().splitlines()[1].split(",")[3]
    assert "render" not in changes


def test_it_shows_the_evaluations_own_episodes(agp: Path) -> None:
    config = load_recorded(agp, command(agp)[1:])
    controller, _ = build_trained_controller(config, find_checkpoint(agp))
    runner = build_test_runner(config, controller, "evaluate")
    rollouts = [runner.collect(0, greedy=True) for _ in range(2)]
    returns = torch.cat([rollout.returns for rollout in rollouts]).mean(dim=1).tolist()
    filmed = frames_of(agp, "render=gif", "render_episodes=3")
    for number, (frames, wanted) in enumerate(zip(filmed, returns, strict=False), start=1):
        assert frames[0].header == f"episode {number}   step 0/4   return 0.0"
        assert frames[-1].header == f"episode {number}   step 4/4   return {wanted:.1f}"
        assert [len(frame.before) for frame in frames] == [0, 1, 2, 3, 4]
    assert len(filmed) == 3


def test_attention_belongs_to_the_step_that_is_shown(agp: Path) -> None:
    shown = {
        layer: frames_of(agp, "render=gif", "render_attention=true", f"render_layer={layer}")[0]
        for layer in (0, 1, 2)
    }
    for frames in shown.values():
        for frame in frames:
            assert frame.attention is not None
            assert torch.allclose(frame.attention.sum(dim=1), torch.ones(2))
    weights = {k: torch.stack([f.attention for f in v]) for k, v in shown.items()}  # type: ignore[misc]
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert all(frame.attention is None for frame in frames_of(agp, "render=gif")[0])


def test_a_run_recorded_before_there_were_films_can_be_filmed(agp: Path) -> None:
    path = agp / "config.yaml"
    recorded = yaml.safe_load(path.read_text())
    for name in FILM_SETTINGS:
        del recorded[name]
    path.write_text(yaml.safe_dump(recorded))
    assert main(command(agp, "render=gif", "render_episodes=1")) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("render=gif",), "env 'topk' cannot be drawn: it has no method `scene`. Those that can: "),
        (("render=gif",), "mpe"),
        (("render=gif", "render_attention=true"), "needs an action graph, and vdn has none"),
        (("render=avi",), "render"),
        (("render=gif", "render_episodes=0"), "0 must be at least 1"),
        (("render=gif", "render_layer=-1"), "-1 must not be negative"),
        (("render_attention=true",), "there is no film to draw it in; add render=gif"),
    ],
)
def test_what_cannot_be_filmed_is_an_error(
    settings: tuple[str, ...], message: str, vdn: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(vdn, *settings)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (vdn / "films").exists()


def test_there_must_be_such_a_layer(agp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(agp, "render=gif", "render_attention=true", "render_layer=3")) == 2
    assert "action graph that has 2 rounds of it" in capsys.readouterr().err


def test_films_are_of_trained_policies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config=agp", "--env-config=mpe_spread", "with", "render=gif"]) == 2
    assert "it needs evaluate=True checkpoint_path=" in capsys.readouterr().err


def test_another_librarys_environment_is_filmed_by_its_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = (
        "env_args.task=tests.envs.fake_envs:Painted",
        "env_args.time_limit=3",
        "env_args.action_masks=true",
    )
    run = train(tiny("agp", "pettingzoo", *task, "t_max=8"), tmp_path)
    assert main(command(run, "render=gif")) == 2
    assert "env_args.kwargs.render_mode=rgb_array" in capsys.readouterr().err
    paints = "env_args.kwargs.render_mode=rgb_array"
    assert main(command(run, "render=gif", paints, "env_args.n_workers=2")) == 2
    assert "env_args.n_workers=0" in capsys.readouterr().err
    spoils = "env_args.kwargs.spoilt=true"
    assert main(command(run, "render=gif", paints, spoils)) == 2
    shown = capsys.readouterr()
    assert "return_mean" in shown.out  # the table is not lost with the film
    assert "could not draw itself (OSError: no ink)" in shown.err
    frames = frames_of(run, "render=gif", paints)[0]
    assert frames[0].scene.picture is not None
    assert [int(np.max(frame.scene.picture)) for frame in frames] == [0, 1, 2, 3]  # type: ignore[arg-type]
    assert main(command(run, "render=gif", paints, "render_attention=true")) == 2
    assert "shows only a picture" in capsys.readouterr().err
