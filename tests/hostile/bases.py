"""Commands that work on good inputs: what the families spoil one part of."""

import os
from typing import Dict, NamedTuple, Optional, Sequence, Tuple

from tsm_edge.commands import COMMANDS

MODEL = ("tiny_custom.onnx", "tiny_custom.json")
QUICK = ("--threads", "1")


class Base(NamedTuple):
    """A command that works.

    arguments: with file names from the case's folder. takes: the assets that it needs. reads: the files among them that
    an option or argument names, or that the command finds beside such a file. writes: {option: file}. seconds: about
    how long it takes in a warm process. signals: whether signals reach it in the middle of work worth the test.
    """

    key: str
    arguments: Tuple[str, ...]
    takes: Tuple[str, ...]
    reads: Tuple[str, ...]
    writes: Dict[str, str] = {}
    seconds: float = 0.5
    codes: Tuple[int, ...] = (0,)

    @property
    def command(self):
        """The name of the command."""
        return self.arguments[0]

    def line(self, changes: Optional[Dict[str, str]] = None, outputs: bool = True, more: Sequence[str] = ()):
        """Return its arguments, with the words of `changes` replaced, its outputs, and `more` at the end."""
        words = list(self.arguments)
        for option, name in self.writes.items() if outputs else ():
            words += [option, name]
        return [(changes or {}).get(word, word) for word in words] + list(more)

    def patterns(self):
        """Return patterns of the files that it writes."""
        found = []
        for name in self.writes.values():
            stem = os.path.splitext(name)[0]
            found += [name, stem + ".json", stem + ".*.png", name + "/*"]
        return found


def _run(key, *sources, takes=(), writes=None, seconds=0.5):
    arguments = ("run", "--engine", "tiny_custom.onnx", *sources, *QUICK)
    names = tuple(source for source in sources if not source.startswith("--"))
    return Base(key, arguments, MODEL + names + tuple(takes), MODEL + names, writes or {"--jsonl": "o.jsonl"}, seconds)


_PROFILE = ("--seconds", "0.3", "--warm-up", "0.1", "--cold", "0", "--no-layers")
# A run that does not end by itself.
LOOP = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--loop", *QUICK)
_EVAL = ("eval", "--engine", "tiny_custom.onnx")
_ALL = [
    _run("run", "--source", "clip.avi"),
    _run("run-mp4", "--source", "clip.mp4", writes={"--jsonl": "o.jsonl", "--save": "o.mp4"}, seconds=0.8),
    _run("run-mkv", "--source", "clip.mkv"),
    _run("run-folder", "--source", "frames", writes={"--jsonl": "o.jsonl", "--save": "o.avi"}),
    _run("run-cameras", "--cameras", "site.toml", takes=("clip.avi", "frames"), seconds=0.8),
    Base(
        "run-detector",
        ("run", "--engine", "tiny_detector.onnx", "--source", "clip.avi", *QUICK),
        ("tiny_detector.onnx", "tiny_detector.json", "clip.avi"),
        ("tiny_detector.onnx", "tiny_detector.json", "clip.avi"),
        {"--jsonl": "o.jsonl", "--coco": "o.json", "--mot": "o.txt", "--save": "o.avi"},
    ),
    Base(
        "record",
        ("record", "--source", "clip.avi", "--marks", "marks.csv", "--session", "one", "--no-display"),
        ("clip.avi", "marks.csv"),
        ("clip.avi", "marks.csv"),
        {"-o": "rec"},
    ),
    Base(
        "profile",
        ("profile", "--engine", "tiny_custom.onnx", "--source", "clip.avi", *_PROFILE, *QUICK),
        (*MODEL, "clip.avi"),
        (*MODEL, "clip.avi"),
        {"--json": "p.json"},
        1.0,
    ),
    Base(
        "compare",
        ("compare", "a.json", "b.json"),
        ("a.json", "b.json"),
        ("a.json", "b.json"),
        {"--json": "c.json"},
        0.2,
    ),
    Base(
        "compare-run",
        ("compare", "--run", "tiny_custom.onnx", "tiny_standard.onnx", "--rounds", "30", *QUICK),
        (*MODEL, "tiny_standard.onnx", "tiny_standard.json"),
        (*MODEL, "tiny_standard.onnx", "tiny_standard.json"),
        {"--json": "c.json"},
        1.0,
    ),
    Base("build", ("build", "tiny_custom.onnx"), MODEL, MODEL, {"-o": "o.trt"}, 0.1, (2,)),
    Base("info", ("info", "tiny_custom.onnx"), MODEL, MODEL, {}, 0.1),
    Base("info-json", ("info", "--json", "tiny_custom.onnx"), MODEL, MODEL, {}, 0.1),
    Base("doctor", ("doctor",), (), (), {}, 0.5),
    Base("completion", ("completion", "zsh"), (), (), {}, 0.1),
    Base("demo", ("demo", "--seconds", "15"), (), (), {"-o": "demo"}, 20.0),
    Base("export", ("export", "tiny.toml"), ("tiny.toml",), ("tiny.toml",), {"-o": "o.onnx"}, 4.0),
    Base(
        "export-weights",
        ("export", "tiny.toml", "--weights", "tiny.safetensors"),
        ("tiny.toml", "tiny.safetensors"),
        ("tiny.toml", "tiny.safetensors"),
        {"-o": "o.onnx"},
        4.0,
    ),
    Base("verify", ("verify", "tiny_custom.onnx"), MODEL, MODEL, {}, 1.5),
    Base(
        "train",
        ("train", "train.toml"),
        ("train.toml", "train.txt", "clips"),
        ("train.toml", "train.txt", "clips"),
        {"-o": "out"},
        4.0,
    ),
    Base(
        "train-folder",
        ("train", "data", "--override", "small.toml"),
        ("data", "small.toml"),
        ("data", "small.toml"),
        {"-o": "out"},
        4.0,
    ),
    Base(
        "eval-list",
        (*_EVAL, "--list", "list.txt", "--root", "clips", "--workers", "0", *QUICK),
        (*MODEL, "list.txt", "clips"),
        (*MODEL, "list.txt", "clips"),
        {"-o": "e.json"},
        1.5,
    ),
    Base(
        "eval-segments",
        (*_EVAL, "--list", "segments.csv", "--workers", "0", *QUICK),
        (*MODEL, "segments.csv", "clip.avi"),
        (*MODEL, "segments.csv", "clip.avi"),
        {"-o": "e.json"},
        1.5,
    ),
    Base(
        "eval-stream",
        (*_EVAL, "--stream", "clip.avi", "--truth", "truth.csv", *QUICK),
        (*MODEL, "clip.avi", "truth.csv"),
        (*MODEL, "clip.avi", "truth.csv"),
        {"-o": "e.json"},
        1.5,
    ),
    Base(
        "eval-stream-json",
        (*_EVAL, "--stream", "frames", "--truth", "truth.json", *QUICK),
        (*MODEL, "frames", "truth.json"),
        (*MODEL, "frames", "truth.json"),
        {"-o": "e.json"},
        1.5,
    ),
    Base(
        "eval-merge",
        ("eval", "--merge", "shard1.json", "shard2.json"),
        ("shard1.json", "shard2.json"),
        ("shard1.json", "shard2.json"),
        {"-o": "e.json"},
        1.0,
    ),
    Base("report", ("report", "a.json"), ("a.json",), ("a.json",), {"-o": "r.html"}, 0.8),
]
BASES = {base.key: base for base in _ALL}
CHEAP = tuple(base.key for base in _ALL if base.seconds < 2)


def uncovered():
    """Return the commands of `tsm-edge` that no base runs."""
    return sorted({entry.key for entry in COMMANDS} - {base.command for base in _ALL})
