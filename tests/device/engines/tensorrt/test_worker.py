"""Functions in separate processes: answers, errors, crashes, and what ends with what."""

import logging
import os
import signal
import sys
import threading
import time
from typing import NamedTuple, Optional, Tuple

import pytest

from tsm_edge.engines.tensorrt import worker
from tsm_edge.errors import InputError, TsmEdgeError


class Inner(NamedTuple):
    numbers: Tuple[int, ...]


class Question(NamedTuple):
    text: str
    inner: Optional[Inner] = None


class Answer(NamedTuple):
    text: str
    pid: int
    path: Tuple[str, ...]
    inner: Optional[Inner]


def answer(question: Question, say) -> Answer:
    say("one\ntwo \u2713")
    os.write(1, b"a library that prints\n")
    logging.getLogger("tsm_edge.tensorrt").info("logged %s", "in the process")
    logging.getLogger("tsm_edge.tensorrt").debug("too fine")
    return Answer(question.text, os.getpid(), tuple(sys.path), question.inner)


def fail(question: Question, say) -> Answer:
    if question.text == "input":
        raise InputError("there", "this", "that", "so")
    if question.text == "ours":
        raise TsmEdgeError("the text")
    if question.text == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    if question.text.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, question.text))
        time.sleep(60)
    if question.text == "exit":
        os._exit(3)
    raise ZeroDivisionError("of a library")


def wait(question: Question, say) -> Answer:
    say(str(os.getpid()))
    time.sleep(600)


def is_gone(pid):
    """Whether a process ends within ten seconds; a zombie counts, since only its own parent can take it away."""
    for _ in range(100):
        try:
            with open("/proc/{}/stat".format(pid)) as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_a_result_and_what_was_said_and_logged_on_the_way(caplog):
    said = []
    with caplog.at_level(logging.INFO, "tsm_edge.tensorrt"):
        got = worker.run_apart(answer, Question("where \udc80 \u2713", Inner((1, 2))), said.append)
    assert got.text == "where \udc80 \u2713"
    assert got.inner == Inner((1, 2))
    assert got.pid != os.getpid() and is_gone(got.pid)
    assert list(got.path) == sys.path
    assert said == ["one\ntwo \u2713"]
    assert [record.getMessage() for record in caplog.records] == ["logged in the process"]


def test_what_libraries_print_goes_to_standard_error(capfd):
    worker.run_apart(answer, Question("x"), lambda _: None)
    out, err = capfd.readouterr()
    assert "a library that prints" in err and not out


@pytest.mark.parametrize("text, error, words", [
    ("input", InputError, "there\n  got:      this\n  expected: that\n  do:       so"),
    ("ours", TsmEdgeError, "the text"),
    ("library", TsmEdgeError, "ZeroDivisionError: of a library"),
    ("exit", TsmEdgeError, "its process ended with exit code 3 and no answer"),
    ("SIGSEGV", TsmEdgeError, "its process ended by signal 11 (SIGSEGV)"),
    ("SIGABRT", TsmEdgeError, "its process ended by signal 6 (SIGABRT)"),
    ("SIGKILL", TsmEdgeError, "its process ended by signal 9 (SIGKILL); the system does that where memory runs out"),
])  # fmt: skip
def test_errors_come_back_as_text(text, error, words):
    with pytest.raises(TsmEdgeError) as caught:
        worker.run_apart(fail, Question(text), lambda _: None)
    assert type(caught.value) is error
    assert str(caught.value) == words
    assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_an_interrupt_of_the_process_is_one_here():
    with pytest.raises(KeyboardInterrupt):
        worker.run_apart(fail, Question("interrupt"), lambda _: None)


def test_an_exception_here_ends_the_process():
    pids = []

    def say(text):
        pids.append(int(text))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.run_apart(wait, Question(""), say)
    assert is_gone(pids[0])


def test_the_process_ends_with_its_parent():
    """Also where the parent was killed and could not say so."""
    code = "from tests.device.engines.tensorrt import test_worker as t; from tsm_edge.engines.tensorrt import worker; "
    code += "worker.run_apart(t.wait, t.Question(''), lambda text: print(text, flush=True))"
    from subprocess import PIPE, Popen

    parent = Popen(
        [sys.executable, "-c", code], stdout=PIPE, env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    )
    try:
        pid = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.communicate()
    assert is_gone(pid)


def test_any_thread_may_ask():
    got = []
    thread = threading.Thread(target=lambda: got.append(worker.run_apart(answer, Question("x"), lambda _: None)))
    thread.start()
    thread.join(60)
    assert got[0].text == "x"


def test_no_process_to_be_had(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(TsmEdgeError, match="no process of its own can be started: No such file"):
        worker.run_apart(answer, Question("x"), lambda _: None)


def test_modules_of_the_working_directory_are_not_taken(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.setattr(sys, "path", [os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path])
    monkeypatch.chdir(tmp_path)
    assert worker.run_apart(answer, Question("x"), lambda _: None).text == "x"
