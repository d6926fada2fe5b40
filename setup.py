"""What pyproject.toml cannot say: a wheel holds no file that a build before it has left behind.

setuptools keeps what it copied in `build/` and packs all of it. A component that was deleted since
would be installed, and be found by its file.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class FreshBuild(build_py):
    """Copies the package into an empty folder."""

    def run(self) -> None:
        """Remove the copy of an earlier build, then copy."""
        shutil.rmtree(Path(self.build_lib) / "action_graph_policies", ignore_errors=True)
        super().run()


setup(cmdclass={"build_py": FreshBuild})
