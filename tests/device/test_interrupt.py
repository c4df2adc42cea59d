"""A signal ends a block as `Interrupted`, also where other code turns it into an error of its own."""

import os
import signal

import pytest

from tsm_edge.errors import InputError
from tsm_edge.interrupt import Interrupted, Interruptible


def send(signum):
    os.kill(os.getpid(), signum)
    signal.getsignal(signum)  # Python runs the handler between two calls


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("error", [ImportError("numpy.core failed"), SystemError("no cause"), RuntimeError("x")])
def test_an_error_that_hides_a_signal(signum, error):
    with pytest.raises(Interrupted) as caught, Interruptible():
        try:
            send(signum)
        except KeyboardInterrupt:
            pass
        raise error
    assert caught.value.exit_code == 128 + signum


def test_a_package_that_seems_to_be_missing_hides_a_signal():
    with pytest.raises(Interrupted), Interruptible():
        try:
            try:
                send(signal.SIGTERM)
            except KeyboardInterrupt:
                raise ImportError("numpy.core failed") from None
        except ImportError as error:
            raise InputError("cv2", "no package") from error


def test_an_error_without_a_signal_and_one_of_ours_after_it_stay():
    with pytest.raises(ImportError), Interruptible():
        raise ImportError("missing")
    with pytest.raises(InputError), Interruptible():
        try:
            send(signal.SIGINT)
        except KeyboardInterrupt:
            pass
        raise InputError("a disk", "full") from OSError(28, "full")


def test_a_signal_that_was_kept_back_comes_first():
    with pytest.raises(Interrupted), Interruptible() as signals:
        signals.hold()
        send(signal.SIGTERM)
        with signals.waiting():
            pytest.fail("it was not let in")
