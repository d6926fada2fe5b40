"""Films can be read back, with every frame for its time."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from rendering.video_files import HOLD, STEP, new_file, require_packages, write_file
from utils.errors import UserError

LAST = [False, False, True, False, True]


def pictures() -> list[Image.Image]:
    found = []
    for k in range(len(LAST)):
        array = np.full((48, 64, 3), 255, dtype=np.uint8)
        array[10:20, 8 * k : 8 * k + 8] = (200, 30, 30)
        found.append(Image.fromarray(array))
    return found


def test_a_gif_has_all_frames_and_holds_the_last_of_an_episode(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    write_file(path, "gif", pictures(), LAST)
    with Image.open(path) as film:
        assert (film.format, film.size, film.n_frames) == ("GIF", (64, 48), 5)  # type: ignore[attr-defined]
        for k, is_last in enumerate(LAST):
            film.seek(k)
            assert film.info["duration"] == (HOLD if is_last else STEP)
            shown = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(shown - np.asarray(pictures()[k])).max() < 8


def test_an_mp4_repeats_the_last_frame_of_an_episode(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    write_file(path, "mp4", pictures(), LAST)
    n_frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert n_frames == 3 + 2 * HOLD // STEP
    assert seconds == pytest.approx(n_frames * STEP / 1000, abs=0.1)


def test_no_film_takes_the_place_of_another(tmp_path: Path) -> None:
    names = [new_file(tmp_path / "films", "latest", "gif").name for _ in range(2)]
    names.append(new_file(tmp_path / "films", "latest", "mp4").name)
    assert names == ["latest_1.gif", "latest_2.gif", "latest_1.mp4"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "films").write_text("in the way")
    with pytest.raises(UserError, match="films cannot be written"):
        new_file(tmp_path / "films", "latest", "gif")


def test_a_film_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rendering.video_files._write_gif", full)
    path = new_file(tmp_path, "latest", "gif")
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        write_file(path, "gif", pictures(), LAST)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "module", "package"),
    [
        ("gif", "PIL", "pillow"),
        ("mp4", "PIL", "pillow"),
        ("mp4", "imageio_ffmpeg", "imageio-ffmpeg"),
    ],
)
def test_a_missing_package_is_named(
    form: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UserError, match=f"render={form} needs .* -m pip install {package}`"):
        require_packages(form)  # type: ignore[arg-type]
