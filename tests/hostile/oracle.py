"""Judges what the commands of a case did. A fault is (what, detail); `what` is one of FAULTS."""

import fnmatch
import json
import re
import signal
import unicodedata

from tests.device.running import played
from tests.hostile.case import FREE, snapshot

FAULTS = {
    "hang": "ran longer than it may",
    "memory": "took more memory than it may",
    "signal": "was ended by a signal (a segmentation fault)",
    "traceback": "showed a traceback",
    "answered": "answered where it had to refuse",
    "wrong answer": "gave another answer than the clean run",
    "exit code": "ended with an exit code that was not expected",
    "no message": "refused without a message",
    "secret": "a secret in what it wrote",
    "control characters": "wrote characters that a terminal obeys",
    "input changed": "changed or removed an input",
    "half a file": "left an output that looks whole and is not",
    "stray file": "left a file that nobody asked for",
    "left process": "left a process behind",
    "injected": "ran what stood in a value",
    "generator": "the generator itself failed",
}
BIDIRECTIONAL = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
FAULT_OF_OURS = re.compile(rb"this is a fault of tsm-edge|Fatal Python error|terminate called|core dumped")
TRACEBACK = re.compile(rb"Traceback \(most recent call last\)|" + FAULT_OF_OURS.pattern)
OF_A_RUN = {"frame", "event", "gap", "summary"}  # kinds of records
# What ONNX Runtime (from 1.24 on) and torch leave in the user's folders by themselves.
LIBRARY_FILES = (".ses", ".cache", ".cache/Microsoft", ".cache/Microsoft/*", "torchinductor_*")


def judge(case, outcomes, before):
    """Return the faults of a case. before: :func:`snapshot` of its folder before the commands."""
    faults = []
    for outcome in outcomes:
        faults += judge_outcome(outcome)
    after = snapshot(case.folder)
    faults += changed_inputs(case, before, after)
    new = sorted(set(after) - set(before))
    faults += stray_files(case, new)
    faults += shown_secrets(case, outcomes, new)
    if all(outcome.fate == "exit" for outcome in outcomes):
        for name in new:
            faults += half_a_file(case.folder / name, outcomes)
    for check in case.checks:
        faults += check(case, outcomes)
    return faults


def judge_outcome(outcome):
    """Return the faults of one command, as far as they need no files."""
    command, code = outcome.command, outcome.code
    if outcome.fate != "exit":
        return [(outcome.fate, "after {:.1f} s, {:.0f} MB".format(outcome.seconds, outcome.memory / 1e6))]
    faults = []
    asked = [-number for _, number in command.signals]  # a shell shows 128 + number for both
    asked += [] if command.stop_after is None else [-signal.SIGINT]
    verbose = "-vv" in command.arguments  # where an error shows where it came from
    if (FAULT_OF_OURS if verbose else TRACEBACK).search(outcome.out + outcome.err):
        faults.append(("traceback", last_line(outcome.err)))
    if code < 0 and code not in asked:
        faults.append(("signal", signal.Signals(-code).name))
    elif code not in command.allowed and code not in asked:
        what = "answered" if code == 0 else "exit code"
        text = "{}, expected {}: {}".format(code, list(command.allowed), last_line(outcome.err))
        faults += [] if faults else [(what, text)]
    said = outcome.err + (outcome.out if code == 1 else b"")  # a proof that failed says so on standard output
    if code in (1, 2) and command.stdout not in ("closed", "broken") and not said.strip():
        faults.append(("no message", "exit code {}".format(code)))
    for name in ("out", "err"):
        found = obeyed_characters(getattr(outcome, name))
        if found:
            faults.append(("control characters", "std{}: {}".format(name, found)))
    if outcome.left:
        faults.append(("left process", ""))
    if command.check is not None and not faults:
        faults += command.check(outcome)
    return faults


def last_line(text):
    """Return the last line of what a command wrote, for people."""
    lines = text.decode("utf-8", "backslashreplace").strip().splitlines() or [""]
    return ascii(lines[-1][:200])


def obeyed_characters(data):
    """Return the characters of a text that a terminal would obey, as a Python literal; "" where there are none."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return "not UTF-8: {}".format(error)
    found = {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in BIDIRECTIONAL}
    return ascii("".join(sorted(found - set("\n\t\r"))))[1:-1]


def changed_inputs(case, before, after):
    """Return a fault for each input that is gone or other than before."""
    names = [name for name in before if after.get(name) != before[name] and name not in case.changing]
    return [("input changed", "{}: {} -> {}".format(n, before[n][:2], after.get(n, ("gone",))[:2])) for n in names]


def stray_files(case, new):
    """Return a fault for each file that no option asked for."""
    strays = [name for name in new if not any(fnmatch.fnmatchcase(name, pattern) for pattern in case.outputs)]
    for place in FREE:
        strays += ["{}/{}".format(place, name) for name in snapshot(case.root / place) if not _may_stay(place, name)]
    return [("stray file", ascii(name)) for name in strays]


def _may_stay(place, name):
    return name == "cache" or any(fnmatch.fnmatchcase(name, pattern) for pattern in LIBRARY_FILES)


def shown_secrets(case, outcomes, new):
    """Return a fault for each secret in the output of a command or in a file that it wrote."""
    texts = {}
    for number, outcome in enumerate(outcomes):
        texts["stdout of command {}".format(number)] = outcome.out
        texts["stderr of command {}".format(number)] = outcome.err
    for name in new:
        texts[name] = name.encode("utf-8", "surrogateescape")
        path = case.folder / name
        if path.is_file() and not path.is_symlink():
            texts[name] += path.read_bytes()
    return [("secret", place) for place, text in texts.items() for secret in case.secrets if secret.encode() in text]


def half_a_file(path, outcomes):
    """Return the faults of an output that looks whole, by its kind. A file that ends early must say so."""
    killed = any(-outcome.code == signal.SIGKILL for outcome in outcomes)
    failed = any(outcome.code in (1, 2) for outcome in outcomes)
    if path.is_symlink() or not path.is_file():
        return []
    try:
        if path.suffix == ".jsonl":
            return [
                ("half a file", "{}: {}".format(path.name, fault)) for fault in faults_of_lines(path, killed, failed)
            ]
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in (".mp4", ".avi", ".mkv") and path.stat().st_size and played(path)[0] == 0:
            return [] if killed and path.stat().st_size < 4096 else [("half a file", path.name + ": does not play")]
        elif path.suffix == ".html" and not path.read_bytes().rstrip().endswith(b"</html>"):
            return [("half a file", path.name + ": no end")]
    except ValueError as error:
        return [("half a file", "{}: {}".format(path.name, error))]
    return []


def faults_of_lines(path, killed=False, failed=False):
    """Return what is wrong with a file of JSON lines.

    killed: by SIGKILL; the last line may be cut. failed: an exit code says that not all was written. After either the
    summary may be missing.
    """
    data = path.read_bytes()
    if b"\0" in data:
        return ["NUL bytes"]
    lines = data.split(b"\n")
    if lines.pop() and not killed:
        return ["the last line is cut"]
    try:
        records = [json.loads(line.decode("ascii")) for line in lines]
    except ValueError as error:
        return ["a line is no JSON: {}".format(error)]
    if killed or failed:
        return []
    if records and not {record.get("kind") for record in records} & OF_A_RUN:  # the log of a training, or of record
        return []
    frames = sum(record.get("kind") == "frame" for record in records)
    if not records or records[-1]["kind"] != "summary" or records[-1]["stream"] is not None:
        return ["{} lines, and no summary of the run at the end".format(len(records))]
    return [] if records[-1]["frames"] == frames else ["{} frames, {} said".format(frames, records[-1]["frames"])]


def records_of(path):
    """Return the records of a file of JSON lines."""
    with open(str(path), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def frames_in(path):
    """Return (frame, time, label, top) of each frame that a run wrote."""
    return [(r["frame"], r["time"], r["label"], r["top"]) for r in records_of(path) if r["kind"] == "frame"]


def same_frames(name, expected):
    """Return a check: where the command answered, the frames in the file `name` are the expected ones.

    expected: as :func:`frames_in` returns them. Probabilities may differ by 1e-3: other instructions, other rounding.
    """

    def check(case, outcomes):
        if outcomes[-1].fate != "exit" or outcomes[-1].code != 0:
            return []
        got = frames_in(case.folder / name)
        if len(got) != len(expected):
            return [("wrong answer", "{} frames, not {}".format(len(got), len(expected)))]
        for (index, seconds, label, top), (_, wanted_seconds, wanted_label, wanted) in zip(got, expected):
            same = label == wanted_label and abs(seconds - wanted_seconds) < 1e-3
            here, there = dict(map(tuple, top)), dict(map(tuple, wanted))
            if not same or any(abs(there.get(key, here[key]) - here[key]) > 1e-3 for key in here):
                return [("wrong answer", "frame {}: {}, not {}".format(index, top[0], wanted[0]))]
        return []

    return check


def all_frames(name, count, unless=()):
    """Return a check: where the command answered, it read `count` frames, or says that it cannot know.

    unless: words of which standard output or standard error then holds one.
    """

    def check(case, outcomes):
        last = outcomes[-1]
        if last.fate != "exit" or last.code != 0:
            return []
        got = len(frames_in(case.folder / name))
        said = (last.out + last.err).decode("utf-8", "replace")
        if got == count or any(word in said for word in unless):
            return []
        return [("wrong answer", "{} of {} frames, and exit code 0".format(got, count))]

    return check
