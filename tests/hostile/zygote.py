"""A process that has imported the large libraries, and forks a new process for each command.

Started as `python -m tests.hostile.zygote FD HALF`, HALF "device" or "host".
A cold start of torch takes seconds, a fork takes milliseconds. The zygote never runs a command itself and imports no
module of the product, so that each command starts from the same state. Requests are lines of JSON on the socket FD:

    {"arguments": [...], "folder": ..., "environment": {...}, "program": [...] or null, "stdin": path,
     "stdout": path or "closed", "stderr": path or "closed", "max_file": bytes or null}

The answer is the new process's number. The process is a grandchild of the zygote, so it becomes a child of its nearest
subreaper: whoever made the zygote (`tests.hostile.process`).
"""

import gc
import json
import os
import resource
import signal
import socket
import sys

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_FILE = 1 << 30  # bytes: a command that writes without end must not fill the disk
MAX_CPU_SECONDS = 300  # where whoever watches the command was killed


def warm_up(half):
    """Import what a half of the product, "device" or "host", imports slowly.

    OpenCV and OpenMP read their variables at this moment, as in tsm_edge.cli. ONNX Runtime starts a thread when it is
    imported, which a fork would not have: each command imports it itself.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    import cv2  # noqa: F401

    if half == "host":
        import jinja2  # noqa: F401
        import matplotlib
        import onnx  # noqa: F401
        import PIL.Image  # noqa: F401
        import safetensors.torch  # noqa: F401
        import torch.onnx  # noqa: F401
        import torch.utils.data  # noqa: F401

        matplotlib.use("Agg")
        import matplotlib.pyplot  # noqa: F401
    gc.collect()
    gc.freeze()  # the end of a command then touches, and copies, little of this memory


def next_request(channel):
    """Answer requests until the socket closes. Returns in each new process, with its request."""
    lines = channel.makefile("rb")
    channel.sendall(b"ready\n")
    for line in lines:
        reading, writing = os.pipe()
        middle = os.fork()
        if middle:
            os.close(writing)
            os.waitpid(middle, 0)  # from now on the command is a child of the subreaper
            channel.sendall(os.read(reading, 32))
            os.close(reading)
            continue
        os.close(reading)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # until the command is there to take them
        child = os.fork()
        if child:
            os.write(writing, b"%d\n" % child)
            os._exit(0)
        os.close(writing)
        return json.loads(line.decode())
    return None


def become(request, channel):
    """Turn this process into the one that the request describes. Returns the exit code of the command."""
    channel.close()
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    size = MAX_FILE if request["max_file"] is None else request["max_file"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_SECONDS, MAX_CPU_SECONDS))
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        _redirect(number, request[name])
    os.chdir(os.fsencode(request["folder"]))
    environment = {os.fsencode(name): os.fsencode(value) for name, value in request["environment"].items()}
    os.environb.update(environment)
    if request["program"]:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        program = [os.fsencode(part) for part in request["program"]]
        os.execvpe(program[0], program, os.environb)
    sys.argv = ["tsm-edge"] + request["arguments"]
    from tsm_edge.__main__ import main

    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    except KeyboardInterrupt:  # it came before the command began
        return 130
    return main()


def _redirect(number, name):
    if name == "closed":
        os.close(number)
        setattr(sys, {0: "stdin", 1: "stdout", 2: "stderr"}[number], None)  # as Python does at its start
        return
    flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND
    file = os.open(os.fsencode(name), flags if name.startswith("/dev/") else flags | os.O_CREAT, 0o600)
    if file != number:
        os.dup2(file, number)
        os.close(file)


def serve():
    """Run the zygote. Returns the exit code, in the zygote and in every command that it forked."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    for signum in SIGNALS:  # whoever starts tests in the background leaves them ignored
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    warm_up(sys.argv[2])
    request = next_request(channel)
    return 0 if request is None else become(request, channel)


if __name__ == "__main__":
    sys.exit(serve())
