"""Asked to stop: noted while something may be spoiled, at once where nothing is, and always by a second Ctrl-C."""

import os
import signal
import threading

import pytest

from rushlight.runtime.errors import Interrupted
from rushlight.runtime.stop_signals import StopSignals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_where_nothing_can_be_spoiled_the_end_comes_at_once(number: int, code: int) -> None:
    with StopSignals(), pytest.raises(Interrupted) as raised:
        os.kill(os.getpid(), number)
    assert raised.value.exit_code == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_else_it_is_only_noted(number: int) -> None:
    with StopSignals() as signals:
        signals.at_once = False
        os.kill(os.getpid(), number)
        assert signals.received == number


def test_a_second_ctrl_c_does_not_wait() -> None:
    with StopSignals() as signals:
        signals.at_once = False
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)  # the first Ctrl-C
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_before_come_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_another_thread_leaves_signals_alone() -> None:
    handlers = []

    def use() -> None:
        with StopSignals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_what_an_import_makes_of_the_end_is_still_the_end() -> None:
    def of_an_extension() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Interrupted as error:  # as pybind11 does where the first lines of a module fail
            raise ImportError("initialization failed") from error

    with pytest.raises(Interrupted) as raised, StopSignals():
        of_an_extension()
    assert raised.value.exit_code == 143


def test_a_failure_of_which_a_signal_is_not_the_cause_stays_one() -> None:
    def fail_when_asked_to_stop() -> None:
        with StopSignals() as signals:
            signals.at_once = False
            os.kill(os.getpid(), signal.SIGTERM)
            raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        fail_when_asked_to_stop()
