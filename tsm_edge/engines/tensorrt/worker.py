"""Call a function in a separate process, for work that can lose its GPU context, run out of memory, or crash.

After some CUDA errors every further call of the process fails, and a builder gives its memory back to the system only
when its process ends. So each piece of work gets a process: Python, started anew, without a fork (CUDA does not survive
one). Arguments and results are NamedTuples and travel as JSON lines through pipes.
"""

import contextlib
import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from typing import Any, Callable, Dict, TypeVar

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.schema import decode, encode

Say = Callable[[str], None]
Argument = TypeVar("Argument")
Result = TypeVar("Result")

_LOG = logging.getLogger("tsm_edge.tensorrt")
_LOGGERS = ("", "tsm_edge.tensorrt")  # whose levels the process takes over
# The new process looks for modules where this one does, and nowhere else: not in the working directory.
_START = "import sys; sys.path[:] = sys.argv[1:]; from {module} import main; main()"
_MODULE = __name__  # whose `main` runs in the process
_ERROR_PARTS = ("where", "got", "expected", "do")


def run_apart(function: Callable[[Argument, Say], Result], argument: Argument, say: Say) -> Result:
    """Return `function(argument, say)`, called in a separate process. Ctrl-C, and any exception here, end it.

    Args:
        function: of a module that can be imported. Both it and the types of its argument and result are found there.
        argument: a NamedTuple.
        say: called in this process with each text that the function says. Log records come back too.

    Raises:
        InputError, TsmEdgeError: what the function raised, as text alone; or TsmEdgeError where its process ended
            without an answer, with the signal's name.
    """
    command = [sys.executable, "-c", _START.format(module=_MODULE)] + sys.path
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except OSError as error:
        raise TsmEdgeError("no process of its own can be started: {}".format(error.strerror)) from error
    answer: Dict[str, Any] = {}
    try:
        _send_request(process.stdin.fileno(), function, argument)  # type: ignore[union-attr]
        for line in process.stdout:  # type: ignore[union-attr]
            message = _message_of(line)
            if "say" in message:
                say(message["say"])
            elif "log" in message:
                name, level, text = message["log"]
                logging.getLogger(name).log(level, "%s", text)
            elif message:
                answer = message
        code = process.wait()
    finally:
        process.kill()  # does nothing to a process that has ended
        process.communicate()
    if "error" in answer:
        raise _error_of(answer["error"])
    if "result" in answer:
        return decode(function.__annotations__["return"], answer["result"], function.__name__)
    if code == -signal.SIGINT:
        raise KeyboardInterrupt
    raise TsmEdgeError("its process ended " + _end_of(code))


def run_here(function: Callable[[Argument, Say], Result], argument: Argument, say: Say) -> Result:
    """Return `function(argument, say)`, with every failure as a TsmEdgeError: that of a library too."""
    try:
        return function(argument, say)
    except TsmEdgeError:
        raise
    except Exception as error:
        _LOG.debug("%s", "".join(traceback.format_exception(type(error), error, error.__traceback__)))
        text = "{}: {}".format(type(error).__name__, error)
    raise TsmEdgeError(text)  # without the exception, whose traceback would keep the builder alive


def main() -> None:
    """Do what the parent process asks for, answer, and end this process."""
    send = _channel()
    request = json.loads(sys.stdin.buffer.readline().decode("ascii"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends a call into TensorRT at once; Python would wait for it
    root = logging.getLogger()
    root.handlers = [_Relay(send)]
    for name, level in request["levels"].items():
        logging.getLogger(name).setLevel(level)
    function = getattr(importlib.import_module(request["module"]), request["function"])
    try:
        argument = decode(next(iter(function.__annotations__.values())), request["argument"], "the request")
        send({"result": encode(run_here(function, argument, lambda text: send({"say": text})))})
    except TsmEdgeError as error:
        parts = [getattr(error, part) for part in _ERROR_PARTS] if isinstance(error, InputError) else [str(error)]
        send({"error": parts})
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # destructors of a GPU whose context was lost can crash, and nothing is left to keep


def _send_request(pipe: int, function: Callable[..., Any], argument: Any) -> None:
    request = {"module": function.__module__, "function": function.__name__, "argument": encode(argument)}
    request["levels"] = {name: logging.getLogger(name).getEffectiveLevel() for name in _LOGGERS}
    with contextlib.suppress(BrokenPipeError):  # a process that has ended already: its exit code says how
        _write_line(pipe, request)


def _write_line(pipe: int, message: Any) -> None:
    line = memoryview(json.dumps(message).encode("ascii") + b"\n")
    while line:
        line = line[os.write(pipe, line) :]


def _message_of(line: bytes) -> Dict[str, Any]:
    """Return a message of the process; an empty one for what a start-up hook of Python prints before `main`."""
    try:
        message = json.loads(line.decode("ascii"))
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _error_of(parts: Any) -> TsmEdgeError:
    return InputError(*parts) if len(parts) == len(_ERROR_PARTS) else TsmEdgeError(*parts)


def _end_of(code: int) -> str:
    if code >= 0:
        return "with exit code {} and no answer".format(code)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "no name"
    memory = "; the system does that where memory runs out" if -code == getattr(signal, "SIGKILL", 9) else ""
    return "by signal {} ({}){}".format(-code, name, memory)


def _channel() -> Callable[[Dict[str, Any]], None]:
    """Return a function that sends a message to the parent process.

    The pipe was standard output. What libraries print there goes to standard error from here on.
    """
    pipe, lock = os.dup(1), threading.Lock()
    try:
        os.dup2(2, 1)
    except OSError:  # no standard error
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def send(message: Dict[str, Any]) -> None:
        with lock:
            _write_line(pipe, message)

    return send


def _end_with_parent() -> None:
    """Wait for the end of standard input, which the parent process holds open, and end this process."""
    while os.read(0, 1):
        pass
    os._exit(1)


class _Relay(logging.Handler):
    """Sends log records to the parent process."""

    def __init__(self, send: Callable[[Dict[str, Any]], None]) -> None:
        super(_Relay, self).__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send({"log": [record.name, record.levelno, self.format(record)]})
