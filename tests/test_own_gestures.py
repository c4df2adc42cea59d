"""docs/your-own-gestures.md, followed: its commands run on real clips, which a video shows as a camera would."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

sys.path.insert(0, os.path.join(ROOT, "benchmarks"))

from played_clips import frames_of, write_camera_video, write_stream  # noqa: E402

DATA = Path(os.environ.get("TSM_EDGE_TEST_DATA") or Path(ROOT) / ".." / "shared" / "data") / "ego_gestures"
PAGE = Path(ROOT) / "docs" / "your-own-gestures.md"
LABELS = ("left", "right", "up", "down", "circle")
ROOMS = {"kitchen": ("S00", "S01"), "office": ("S02", "S03")}
CLIPS = 1  # of each label in a room; the page records five
SECONDS = 400  # that a command may take on a busy machine


def commands():
    """The calls of tsm-edge on the page, as lists of words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("tsm-edge ")]


def clips_of(sessions, label, count):
    """`count` clips of a label from recording sessions, as lists of pictures."""
    names = [path for path in sorted((DATA / "train").iterdir()) if path.name.split("_")[:2] in
             [[session, label] for session in sessions]]  # fmt: skip
    assert len(names) >= count, (sessions, label)
    return [frames_of(path) for path in names[:count]]


def changed(words, **replaced):
    """A command with other values for some of its options."""
    words = list(words)
    for option, value in replaced.items():
        words[words.index("--" + option) + 1] = value
    return words


def test_the_page_has_the_steps_in_order():
    assert [words[1] for words in commands()] == ["record", "record", "train", "export", "run"]


@pytest.mark.skipif(not DATA.exists(), reason=f"no real clips: {DATA} is absent")
def test_the_commands_of_the_page(tmp_path):
    turns = {}
    for room, sessions in ROOMS.items():
        each = [clips_of(sessions, label, CLIPS) for label in LABELS]
        turns[room] = [clip for turn in zip(*each, strict=True) for clip in turn]
        write_camera_video(tmp_path / f"{room}.avi", turns[room])
    write_stream(tmp_path / "test.avi", turns["office"])

    def run(words):
        line = [sys.executable, "-m", "tsm_edge", *words[1:]]
        done = subprocess.run(
            line, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    records, (train, export, live) = commands()[:2], commands()[2:]
    for words in records:
        assert [word for option, word in zip(words, words[1:], strict=False) if option == "--label"] == list(LABELS)
        room = words[words.index("--session") + 1]
        words = [word.replace("--camera", "--source") for word in words]
        out = run([*changed(words, source=f"{room}.avi", clips=str(CLIPS)), "--no-display"])
        assert re.search(r"^circle +1 ", out, re.MULTILINE) and re.search(r"^nothing +1 ", out, re.MULTILINE), out
    files = sorted(path.relative_to(tmp_path / "gestures").as_posix() for path in (tmp_path / "gestures").glob("*/*"))
    assert len(files) == 2 * CLIPS * 6 and "left/kitchen_01.avi" in files

    out = run([*train, "--minutes", "0.2"])
    assert "12 clips of 6 labels in 2 recordings; 6 clips train, 6 validate" in out
    assert out.splitlines()[-1] == "next: " + " ".join(export)
    assert "decision" in run(export)
    manifest = json.loads((tmp_path / "build" / "gestures.json").read_text())
    assert manifest["labels"] == ["circle", "down", "left", "nothing", "right", "up"] and manifest["fps"] == 4.0
    assert manifest["decision"]["ignored"] == ["nothing"]

    live = [word.replace("--camera", "--source") for word in live]
    run([*changed(live, source="test.avi"), "--jsonl", "out.jsonl"])
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert records[-1]["kind"] == "summary" and sum(record["kind"] == "frame" for record in records) > 20
