"""What a film needs besides this project, asked for before anything is played."""

import importlib
from typing import Literal

from utils.errors import UserError
from utils.invocation import pip_install

Format = Literal["gif", "mp4"]
PACKAGES = {"PIL": "pillow", "matplotlib": "matplotlib"}  # module: package; for both formats
MP4_PACKAGES = {"imageio_ffmpeg": "imageio-ffmpeg"}


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
