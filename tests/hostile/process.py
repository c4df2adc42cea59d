"""Starts the processes of a case, watches their time and memory, sends their signals, and says how each ended."""

import contextlib
import ctypes
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from tests.conftest import ROOT
from tsm_edge.commands import COMMANDS

MAX_SECONDS = 30.0
MAX_BYTES = 2 << 30
AFTER_SIGNAL_SECONDS = 15.0  # that a command may take to end once it was asked to
POLL_SECONDS = 0.01
_PR_SET_CHILD_SUBREAPER = 36


class Command(NamedTuple):
    """A command of a case. The paths of `arguments` start from the case's folder.

    arguments: of tsm-edge. program: another program with its arguments, in the place of tsm-edge. allowed: exit codes.
    cold: start a new interpreter. stdout: a path, "closed" or "broken" (a pipe that nobody reads). signals: (seconds
    after the start, number). stop_after: seconds after which a SIGINT ends work that is long by its nature. together:
    start it while the command before it still runs. max_file: bytes after which a file is full. check: called with the
    outcome; returns faults.
    """

    arguments: Sequence[str] = ()
    allowed: Sequence[int] = (2,)
    program: Optional[Sequence[str]] = None
    cold: bool = False
    environment: Dict[str, str] = {}
    stdout: Optional[str] = None
    signals: Sequence[Tuple[float, int]] = ()
    stop_after: Optional[float] = None
    together: bool = False
    max_file: Optional[int] = None
    check: Optional[object] = None

    def line(self):
        """Return the command as one could type it."""
        words = self.program or ["tsm-edge", *self.arguments]
        shown = [word if len(word) < 200 else word[:80] + "...({} characters)".format(len(word)) for word in words]
        return " ".join(ascii(word) if _needs_quotes(word) else word for word in shown)


class Outcome(NamedTuple):
    """How a command ended. code: the exit code, or minus the signal. fate: "exit", "hang" or "memory".

    cpu: seconds of processor time. memory: bytes, the most of any process of the command. left: whether a process of
    the command outlived it.
    """

    command: Command
    code: int
    fate: str
    out: bytes
    err: bytes
    seconds: float
    cpu: float
    memory: int
    left: bool


def _needs_quotes(word):
    return not word or not word.isascii() or not word.isprintable() or any(c in " \"'`$;&|<>()*?#\\" for c in word)


class Zygote:
    """A running `tests.hostile.zygote` of one half of the product; it starts commands for any number of threads."""

    def __init__(self, half):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        ours, theirs = socket.socketpair()
        environment = dict(
            os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join((ROOT, os.path.join(ROOT, "export")))
        )
        command = [sys.executable, "-m", "tests.hostile.zygote", str(theirs.fileno()), half]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()
        self._channel, self._lock = ours, threading.Lock()
        self._lines = ours.makefile("rb")
        if self._lines.readline() != b"ready\n":
            raise RuntimeError("the zygote did not start")

    def start(self, request):
        """Start the process of a request. Returns its number; the process is a child of this one."""
        with self._lock:
            self._channel.sendall(json.dumps(request).encode() + b"\n")
            return int(self._lines.readline())

    def close(self):
        """End the zygote."""
        self._lines.close()
        self._channel.close()
        self._process.wait()


class Zygotes:
    """Starts each command from the zygote that has imported what it needs: torch takes a fork ten times as long."""

    def __init__(self):
        self._halves = {half: Zygote(half) for half in ("device", "host")}

    def start(self, request):
        """Start the process of a request. Returns its number."""
        name = next((word for word in request["arguments"] if word in COMMANDS), None)
        is_host = (
            name is not None and request["program"] is None and COMMANDS[name].module.startswith("tsm_edge_export")
        )
        return self._halves["host" if is_host else "device"].start(request)

    def close(self):
        """End them."""
        for zygote in self._halves.values():
            zygote.close()


class _Pipe:
    """A named pipe that takes what a command prints."""

    def __init__(self, path):
        os.mkfifo(path)
        self._file, self._data = os.open(path, os.O_RDWR | os.O_NONBLOCK), b""

    def drain(self):
        try:
            self._data += os.read(self._file, 1 << 20)
        except BlockingIOError:
            pass

    def close(self):
        self.drain()
        os.close(self._file)
        return self._data


class Running:
    """One command while it runs."""

    def __init__(self, zygote, command, folder, logs, environment, number):
        self.command = command
        self._out, self._err = (os.path.join(logs, "{}.{}".format(name, number)) for name in ("out", "err"))
        program, stdout = command.program, self._out if command.stdout is None else command.stdout
        if program is None and command.cold:
            program = [sys.executable, "-m", "tsm_edge", *command.arguments]
        self._pipes = {}
        if command.max_file is not None:  # files would be full too
            self._pipes = {path: _Pipe(path) for path in (self._out, self._err)}
        if stdout == "broken":
            stdout = os.path.join(logs, "broken.{}".format(number))
            os.mkfifo(stdout)
            reader = os.open(stdout, os.O_RDONLY | os.O_NONBLOCK)
        self.pid = zygote.start(
            {
                "arguments": list(command.arguments),
                "folder": folder,
                "environment": dict(environment, **command.environment),
                "program": program,
                "stdin": "/dev/null",
                "stdout": stdout,
                "stderr": self._err,
                "max_file": command.max_file,
            }
        )
        if command.stdout == "broken":
            while _is_alive(self.pid) and not _opened(self.pid, stdout):
                time.sleep(POLL_SECONDS)
            os.close(reader)
        self._began = time.monotonic()
        self._asked: Optional[float] = None  # when it was asked to end
        self._signals = sorted(command.signals)
        self._memory, self._polls, self._family = 0, 0, [self.pid]
        self._fate = "exit"

    def poll(self, max_seconds, max_bytes):
        """Return the outcome where the command has ended, else None. Kills what takes too long or too much."""
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        for pipe in self._pipes.values():
            pipe.drain()
        now = time.monotonic()
        if pid:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
            memory = max(self._memory, usage.ru_maxrss * 1024)
            seconds = now - self._began, usage.ru_utime + usage.ru_stime
            return Outcome(self.command, code, self._fate, *self._written(), *seconds, memory, self._ended_session())
        seconds = now - self._began
        if self._signals and seconds >= self._signals[0][0]:
            self._ask(self._signals.pop(0)[1], now)
        if self.command.stop_after is not None and self._asked is None and seconds >= self.command.stop_after:
            self._ask(signal.SIGINT, now)
        limit = max_seconds if self._asked is None else self._asked - self._began + AFTER_SIGNAL_SECONDS
        if self._fate == "exit" and seconds > limit:
            self._end("hang")
        self._measure()
        if self._fate == "exit" and self._memory > max_bytes:
            self._end("memory")
        return None

    def _ask(self, signum, now):
        self._asked = self._asked or now
        os.kill(self.pid, signum)

    def _end(self, fate):
        self._fate = fate
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:  # not yet the leader of its group
            os.kill(self.pid, signal.SIGKILL)

    def _measure(self):
        self._polls += 1
        if self._polls % 10 == 1:
            self._family = descendants(self.pid)
        for pid in self._family:
            self._memory = max(self._memory, peak_memory(pid))

    def _written(self):
        texts: List[bytes] = []
        for path in (self._out, self._err):
            if path in self._pipes:
                texts.append(self._pipes[path].close())
                continue
            try:
                with open(path, "rb") as file:
                    texts.append(file.read())
            except OSError:
                texts.append(b"")
        return texts

    def _ended_session(self):
        """Return whether a process of the command is still there a moment later, and kill it."""
        until = time.monotonic() + 1.0
        left = _session(self.pid)
        while left and time.monotonic() < until:
            time.sleep(0.02)
            for pid in left:
                _reap(pid)
            left = _session(self.pid)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
            _reap(pid)
        return bool(left) and self._fate == "exit"


def run_all(zygote, commands, folder, logs, environment, max_seconds=MAX_SECONDS, max_bytes=MAX_BYTES):
    """Run the commands of a case in order, those that say `together` while the one before still runs.

    Returns their outcomes, in the same order.
    """
    outcomes: List[Optional[Outcome]] = [None] * len(commands)
    running: Dict[int, Running] = {}
    for number, command in enumerate(commands):
        if not command.together:
            _wait(running, outcomes, max_seconds, max_bytes)
        running[number] = Running(zygote, command, folder, logs, environment, number)
    _wait(running, outcomes, max_seconds, max_bytes)
    return outcomes


def _wait(running, outcomes, max_seconds, max_bytes):
    while running:
        for number in list(running):
            outcomes[number] = running[number].poll(max_seconds, max_bytes)
            if outcomes[number] is not None:
                del running[number]
        if running:
            time.sleep(POLL_SECONDS)


def peak_memory(pid):
    """Return the most resident bytes that a process had so far, 0 for one that is gone."""
    try:
        with open("/proc/{}/status".format(pid)) as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM")), 0)
    except OSError:
        return 0


def descendants(pid):
    """Return the numbers of a process and of all processes that it started."""
    found = [pid]
    for parent in found:  # which grows
        for path in glob.glob("/proc/{}/task/*/children".format(parent)):
            with contextlib.suppress(OSError), open(path) as file:
                found += [int(child) for child in file.read().split()]
    return found


def _session(leader):
    """Return the processes of the session that `leader` made, without those that have ended."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/{}/stat".format(name)) as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] not in "ZX":
                found.append(int(name))
    return found


def _reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _is_alive(pid):
    try:
        with open("/proc/{}/stat".format(pid)) as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def _opened(pid, path):
    try:
        return os.readlink("/proc/{}/fd/1".format(pid)) == path
    except OSError:
        return False
