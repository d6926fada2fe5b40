import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.pipes import tolerate_closed_pipe

SRC = Path(__file__).resolve().parents[2] / "src"


def test_a_command_keeps_its_exit_code() -> None:
    assert tolerate_closed_pipe(lambda: 2) == 2
    assert tolerate_closed_pipe(lambda: None) == 0
    with pytest.raises(SystemExit, match="1"):
        tolerate_closed_pipe(lambda: sys.exit(1))


@pytest.mark.parametrize(
    ("body", "code"), [("print('x' * 10**6)", 141), ("print('x')\n    return 3", 3)]
)
def test_a_reader_that_goes_away_leaves_no_traceback(body: str, code: int) -> None:
    script = (
        "import sys; from utils.pipes import tolerate_closed_pipe\n"
        f"def command():\n    sys.stdin.read()\n    {body}\n"
        "sys.exit(tolerate_closed_pipe(command))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=SRC,
        env={name: x for name, x in os.environ.items() if name != "PYTHONUNBUFFERED"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    child.stdin.close()
    error = child.stderr.read()
    child.stderr.close()
    assert child.wait() == code
    assert error == b""
