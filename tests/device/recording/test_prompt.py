"""Keys of a real pseudo-terminal, and the lines on a terminal and elsewhere."""

import io
import os
import pty
import termios
import time

import pytest

from tests.device.recording.clips import Typist
from tsm_edge.recording.prompt import GO, KEEP, QUIT, REDO, Keys, Screen, open_keys


@pytest.fixture
def terminal():
    """(our end, the program's end) of a pseudo-terminal."""
    leader, follower = pty.openpty()
    yield leader, follower
    for descriptor in (leader, follower):
        try:
            os.close(descriptor)
        except OSError:  # noqa: PERF203 (two descriptors)
            pass


def read(keys, count):
    typed, until = "", time.monotonic() + 10
    while len(typed) < count and time.monotonic() < until:
        typed += keys.read()
    return typed


def test_keys_come_without_enter_and_the_terminal_is_given_back(terminal):
    leader, follower = terminal
    before = termios.tcgetattr(follower)
    keys = Keys(follower)
    assert keys.read() == ""
    os.write(leader, b"r")
    assert read(keys, 1) == "r"
    os.write(leader, b"\x1b[A")  # an arrow key
    time.sleep(0.05)
    assert keys.read() == ""
    os.write(leader, b" \r")
    assert read(keys, 2) == " \n"
    keys.close()
    keys.close()
    assert termios.tcgetattr(follower) == before


def test_a_terminal_that_is_gone_ends(terminal):
    leader, follower = terminal
    keys = Keys(follower)
    os.close(leader)
    assert read(keys, 1) == "q"
    assert keys.read() == ""
    keys.close()


def test_no_keys_where_there_is_no_terminal():
    with open(os.devnull) as nothing:
        assert open_keys(nothing) is None
    assert open_keys(io.StringIO()) is None
    closed = open(os.devnull)  # noqa: SIM115 (closed at once)
    closed.close()
    assert open_keys(closed) is None


def test_meanings():
    screen = Screen(io.StringIO(), Typist({1: " \n\rkKrRq\x04xyz"}))
    assert [screen.key() for _ in range(10)] == [GO] * 3 + [KEEP] * 2 + [REDO] * 2 + [QUIT] * 2 + [None]


def test_early_keys_are_forgotten_but_for_the_end():
    screen = Screen(io.StringIO(), Typist({1: " r ", 3: "rqr"}))
    screen.forget_keys()
    assert screen.key() is None
    screen.forget_keys()
    assert screen.key() == QUIT


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_one_line_that_is_rewritten():
    output, seconds = Terminal(), iter(range(100))
    screen = Screen(output, clock=lambda: next(seconds))
    screen.status("wave: recording", "0.1 s")
    screen.status("wave: recording", "0.2 s")
    screen.say("saved \x1b[31m")
    screen.bell()
    screen.close()
    text = output.getvalue()
    assert text.count("\n") == 1 and "\r" in text and "\x1b" not in text and text.endswith("\a")
    assert text.index("0.1 s") < text.index("0.2 s") < text.index("saved \\x1b[31m")


def test_elsewhere_each_phase_is_a_line():
    output = io.StringIO()
    screen = Screen(output)
    for tenth in range(5):
        screen.status("wave: recording", "0.{} s".format(tenth))
    screen.bell()
    screen.say("saved")
    screen.status("wave: recording")
    screen.status("wave: get ready")
    assert output.getvalue() == "wave: recording\nsaved\nwave: get ready\n"


def test_an_output_that_breaks_is_left_alone():
    output = io.StringIO()
    screen = Screen(output)
    output.close()
    screen.say("nobody reads")
    screen.status("this")
    screen.close()
