"""The framework as an installed package, `action_graph_policies`; a checkout does not import this.

The modules import each other as `src/main.py` sees them, and so do users' components:
`from utils.registry import MIXERS`. So importing this package puts its folder first on Python's
path, in this process and in those that it starts. Nothing but `action_graph_policies` is installed,
so no other program meets packages called `utils` or `config`.
"""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def _require_free_names() -> None:
    """Check that no other module that is imported already has the name of one of ours.

    Raises:
        ImportError: if one has.
    """
    for name in sorted({path.stem for path in _FOLDER.iterdir()} & sys.modules.keys()):
        module = sys.modules[name]
        places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
        if not any(Path(place).resolve().is_relative_to(_FOLDER) for place in places if place):
            raise ImportError(
                f"{__name__} has a module '{name}', and Python has imported another module of that "
                f"name ({places[0]}). Import {__name__} first, or rename the other module."
            )


_require_free_names()
if str(_FOLDER) not in sys.path:
    sys.path.insert(0, str(_FOLDER))
