import signal
import threading
from collections.abc import Iterator

import pytest

from utils.interruption import Interrupted, StopSignals

TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture(autouse=True)
def usual_handlers() -> Iterator[None]:
    """As in a process that a shell started, however the tests were started."""
    before = {s: signal.getsignal(s) for s in (TERM, INT)}
    signal.signal(INT, signal.default_int_handler)
    yield
    for received, handler in before.items():
        signal.signal(received, handler)


@pytest.mark.parametrize(("received", "code"), [(TERM, 143), (INT, 130)])
def test_a_signal_raises_unless_somebody_looks_after_it(received: int, code: int) -> None:
    with StopSignals(), pytest.raises(Interrupted, match=r"no training was under way") as caught:
        signal.raise_signal(received)
    assert caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt)  # so that Sacred records INTERRUPTED


@pytest.mark.parametrize("first", [TERM, INT])
def test_a_patient_block_is_stopped_at_once_only_by_a_second_sigint(
    first: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with StopSignals() as signals:
        signals.patient = True
        signal.raise_signal(first)
        signal.raise_signal(TERM)
        assert signals.received is first
        with pytest.raises(Interrupted, match="at once") as caught:
            signal.raise_signal(INT)
    assert caught.value.exit_code == 130
    said = capfd.readouterr().err
    assert said.count(f"{first.name} received: finishing this step") == 1


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(INT, signal.SIG_IGN)  # what a shell does to a job in the background
    with StopSignals() as signals:
        signal.raise_signal(INT)
    assert signals.received is None
    assert signal.getsignal(INT) is signal.SIG_IGN


def test_the_handlers_from_before_come_back() -> None:
    before = [signal.getsignal(s) for s in (TERM, INT)]
    with StopSignals():
        assert [signal.getsignal(s) for s in (TERM, INT)] != before
    assert [signal.getsignal(s) for s in (TERM, INT)] == before


def test_threads_leave_signals_to_the_main_thread() -> None:
    failures = []

    def enter() -> None:
        try:
            with StopSignals():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert failures == []
