"""Video files: writes pictures as a GIF or an MP4, and checks the packages that this needs.

Pillow and imageio-ffmpeg are imported where they are used: `require_packages` runs without them.
"""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from utils.errors import UserError
from utils.invocation import pip_install

if TYPE_CHECKING:
    from PIL import Image

Format = Literal["gif", "mp4"]
PACKAGES = {"PIL": "pillow", "matplotlib": "matplotlib"}  # module: package; for both formats
MP4_PACKAGES = {"imageio_ffmpeg": "imageio-ffmpeg"}

STEP, HOLD = 200, 1200  # milliseconds of a frame, and of an episode's last one
N_COLOURS = 64  # of a GIF


def require_packages(form: Format) -> None:
    """Check that everything a film needs is installed.

    Raises:
        UserError: names the package that is missing.
    """
    for module, package in (PACKAGES | (MP4_PACKAGES if form == "mp4" else {})).items():
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UserError(
                f"render={form} needs the package '{package}', which is not installed. "
                f"Install it with `{pip_install(package)}`."
            ) from error


def new_file(folder: Path, stem: str, form: Format) -> Path:
    """A new, empty file `<stem>_<n>.<form>` with the first n that is free.

    Raises:
        UserError: if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        n = 1
        while True:
            path = folder / f"{stem}_{n}.{form}"
            try:
                path.touch(exist_ok=False)  # atomic: two films at once get different names
                return path
            except FileExistsError:
                n += 1
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror or error}).") from error


def write_file(
    path: Path, form: Format, pictures: "Sequence[Image.Image]", last: Sequence[bool]
) -> None:
    """Write a film.

    Args:
        path: where; an existing file is replaced.
        form: gif or mp4.
        pictures: all of one size, with even numbers of pixels.
        last: which of them end an episode and are held for a while.

    Raises:
        UserError: if it cannot be written; nothing is left then.
    """
    try:
        if form == "gif":
            _write_gif(path, pictures, [HOLD if is_last else STEP for is_last in last])
        else:
            _write_mp4(path, pictures, [HOLD // STEP if is_last else 1 for is_last in last])
    except OSError as error:
        path.unlink(missing_ok=True)
        reason = error.strerror or str(error).split("\n")[0][:200]
        raise UserError(
            f"The film {path} could not be written ({reason}). Free space, or try another format."
        ) from error


def _write_gif(path: Path, pictures: "Sequence[Image.Image]", durations: list[int]) -> None:
    """Write all frames with one palette, so that unchanged parts are not stored again."""
    from PIL import Image

    few = pictures[:: max(1, len(pictures) // 8)]
    width, height = few[0].size
    sheet = Image.new("RGB", (width, height * len(few)))
    for k, picture in enumerate(few):
        sheet.paste(picture, (0, k * height))
    palette = sheet.quantize(N_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


def _write_mp4(path: Path, pictures: "Sequence[Image.Image]", repeats: list[int]) -> None:
    import imageio_ffmpeg  # only films in this format need it

    writer = imageio_ffmpeg.write_frames(
        str(path), pictures[0].size, fps=1000 / STEP, macro_block_size=2, quality=8
    )
    writer.send(None)
    try:
        for picture, n in zip(pictures, repeats, strict=True):
            for _ in range(n):
                writer.send(picture.tobytes())
    finally:
        writer.close()
