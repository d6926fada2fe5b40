import pytest

from records.console import RunConsole, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00:00"), (-3, "0:00:00"), (59.6, "0:01:00"), (3_725, "1:02:05"), (100_000, "27:46:40")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_run_continues_without_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    with RunConsole(total=8, done=0, show_progress=False) as console:

        def gone(*_: object) -> int:
            raise BrokenPipeError

        monkeypatch.setattr("sys.stdout.write", gone)
        console.say("first")
        console.say("second")
