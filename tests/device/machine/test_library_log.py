"""What libraries write to file descriptor 2 comes out masked and printable, and never holds them up."""

import os
import subprocess
import sys

import pytest

HEAD = """
import os, subprocess, sys
from tsm_edge.machine.library_log import PIPE_BYTES, safe_library_log
"""


def ran(body, **pipes):
    """Run `body` in a separate process. Returns (exit code, standard error)."""
    given = dict({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}, **pipes)
    environment = dict(os.environ, PYTHONPATH=os.getcwd(), PYTHONIOENCODING="utf-8")
    done = subprocess.run([sys.executable, "-c", HEAD + body], env=environment, timeout=60, **given)
    return done.returncode, (done.stderr or b"").decode("utf-8")


def test_lines_are_masked_and_printable():
    code, out = ran("""
with safe_library_log():
    for part in (b"[http] Opening 'rtsp://u:a b",
                 b"'\\"hush@cam/x' for reading\\n\\x1b[2J", b"token=hush\\r\\n\\xff\\n",
                 b"[ WARN:0@0.042] global cap.cpp:1\\nno end"):
        os.write(2, part)
    sys.stderr.write("ours\\n")
    subprocess.check_call([sys.executable, "-c", "import os; os.write(2, b'http://hush@h\\\\n')"])
os.write(2, b"after\\n")
sys.stderr.write("it\\n")
""")
    lines = out.splitlines()
    assert code == 0 and lines[-2:] == ["after", "it"] and "ours" in lines
    expected = ["[http] Opening 'rtsp://u:***@cam/x' for reading", "\\x1b[2Jtoken=***", "\ufffd"]
    expected += ["[ WARN:0@0.042] global cap.cpp:1", "no endhttp://***@h"]
    assert [line for line in lines if line not in ("ours", "after", "it")] == expected


def test_a_flood_blocks_nobody():
    """A library that logs while it holds Python's lock: more than the pipe takes is lost, and the call returns."""
    code, out = ran("""
import ctypes
write = ctypes.PyDLL(None).write  # PyDLL keeps the lock
with safe_library_log():
    for _ in range(64):
        write(2, b"x" * 99999 + b"\\n", 100000)
""")
    assert code == 0 and 60000 < len(out) < 6400000


@pytest.mark.parametrize("how", ["closed", "full", "file"])
def test_an_output_that_takes_nothing(tmp_path, how):
    body = "with safe_library_log():\n    os.write(2, b'a rtsp://u:hush@h\\n') if sys.stderr else None\nprint(1)"
    if how == "closed":
        body = "os.close(2)\n" + body.replace("os.write(2", "len((2")[: body.index("os.write")] + "pass\nprint(1)"
        assert ran(body)[0] in (0, 120)
        return
    with open("/dev/full" if how == "full" else str(tmp_path / "log"), "wb") as file:
        assert ran(body, stderr=file)[0] == 0
    if how == "file":
        assert (tmp_path / "log").read_bytes() == b"a rtsp://u:***@h\n"
