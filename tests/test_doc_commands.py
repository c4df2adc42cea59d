"""The commands of the pages run: each block of commands (```sh) runs here, or its first line says what it needs.

A block that cannot run here starts with `# needs ...`, such as "# needs a camera". Its calls of tsm-edge are parsed,
and its make targets exist. All blocks of a page run in one folder, in their order, with the files that the pages name.
"""

import contextlib
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import cv2
import pytest

from tests.conftest import ROOT
from tests.test_docs import PAGES, read
from tsm_edge import cli
from tsm_edge_export import synthetic

BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)  # indented within a list
NAMED = re.compile(r"^```(?:toml|csv|python)\n# (\w+\.(?:toml|csv|py))\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    (?:tsm-edge|make|python3?|pip|\./) ?.*$", re.MULTILINE)
NEEDS = re.compile(r"# needs (.+)\n")
SECONDS = 400  # that one block may take on a busy machine

# page -> how many of its blocks run here, and how many need something that a test has not
COUNTS = {
    "CONTRIBUTING.md": (3, 1),
    "README.md": (1, 5),
    "benchmarks/README.md": (1, 1),
    "devices/jetson_nano/README.md": (0, 4),
    "devices/jetson_orin_nano/README.md": (0, 1),
    "docs/api.md": (1, 0),
    "docs/cameras.md": (2, 1),
    "docs/checkpoints.md": (1, 5),
    "docs/concept.md": (1, 0),
    "docs/design.md": (1, 0),
    "docs/detection.md": (0, 3),
    "docs/detection-evaluation.md": (0, 1),
    "docs/detection-training.md": (0, 2),
    "docs/evaluation.md": (0, 3),
    "docs/faq.md": (0, 3),
    "docs/jetson-nano.md": (1, 10),
    "docs/models.md": (3, 1),
    "docs/outputs.md": (2, 0),
    "docs/profiling.md": (3, 0),
    "docs/record.md": (1, 1),
    "docs/roofline.md": (1, 1),
    "docs/running.md": (1, 1),
    "docs/sources.md": (1, 3),
    "docs/synthetic.md": (1, 0),
    "docs/tensorrt.md": (0, 3),
    "docs/training.md": (0, 4),
    "docs/your-own-gestures.md": (0, 6),
    "docs/troubleshooting.md": (1, 0),
    "export/tsm_edge_export/weights/README.md": (1, 0),
    "export/tsm_edge_export/weights/strokes.md": (1, 1),
    "kernels/README.md": (1, 1),
}


def blocks(page):
    """Return (what runs here, what needs something) of a page, each a list of blocks."""
    found = [textwrap.dedent(text) for _, text in BLOCK.findall(read(page))]
    return [text for text in found if not NEEDS.match(text)], [text for text in found if NEEDS.match(text)]


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    """The files that the pages name: a model, videos with rendered gestures, a folder of pictures, tools in bin/."""
    folder = tmp_path_factory.mktemp("files")
    for name, model in (("model", "mobilenetv2_tsm"), ("standard", "tiny_standard"), ("tiny", "tiny_custom")):
        for ending in (".onnx", ".json"):
            (folder / (name + ending)).symlink_to(os.path.join(models, model + ending))
    stream = synthetic.Stream(1, 8, size=(256, 256))  # one gesture, "zoom in" at 4.4 s
    synthetic.write_stream(folder / "clip.mp4", stream)
    for name in ("door.mp4", "desk.mp4"):
        (folder / name).symlink_to(folder / "clip.mp4")
    (folder / "pictures").mkdir()
    for index, picture in enumerate(stream.read(range(12))):
        assert cv2.imwrite(str(folder / "pictures" / "{}.jpg".format(index)), picture[..., ::-1])
    for name in ("benchmarks", "scripts", "tests"):
        (folder / name).symlink_to(os.path.join(ROOT, name))
    for name in ("docs", "bin"):
        (folder / name).mkdir()
    with_make = folder / "bin" / "make"  # says what it would run, and fails where there is no such target
    with_make.write_text('#!/bin/sh\nexec "$MAKE_HERE" -n -C "$ROOT_HERE" "$@"\n')
    with_make.chmod(0o755)
    return folder


def test_every_page_with_commands_is_counted():
    counts = {page: tuple(map(len, blocks(page))) for page in PAGES if BLOCK.search(read(page))}
    assert counts == COUNTS


@pytest.mark.parametrize("page", sorted(COUNTS))
def test_every_command_stands_in_a_block(page):
    assert INDENTED.findall(re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)) == []


@pytest.mark.parametrize("page", sorted(page for page, counts in COUNTS.items() if counts[0]))
def test_the_commands_of_a_page_run(page, files, tmp_path):
    for entry in files.iterdir():
        if entry.is_dir():
            (tmp_path / entry.name).symlink_to(entry)
        else:
            shutil.copy(str(entry), str(tmp_path / entry.name))  # a command of the page may overwrite the file
    for name, text in NAMED.findall(read(page)):
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(files / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]])
    here = {"PATH": path, "OMP_NUM_THREADS": "1", "ROOT_HERE": ROOT, "MAKE_HERE": "/usr/bin/make"}
    for block in blocks(page)[0]:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=str(tmp_path),
            env=dict(os.environ, **here),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, "{}\n{}".format(block, done.stdout[-4000:])


@pytest.mark.parametrize("page", sorted(page for page, counts in COUNTS.items() if counts[1]))
def test_the_commands_that_cannot_run_here_are_commands(page):
    for block in blocks(page)[1]:
        for words in commands(block):
            if os.path.basename(words[0]) == "tsm-edge":
                with contextlib.suppress(ImportError):  # of what the needed thing brings
                    cli._parse(words[1:])
            if words[0] == "make":
                subprocess.run(["make", "-n", "-C", ROOT] + words[1:], check=True, stdout=subprocess.DEVNULL)


def commands(block):
    """Yield the words of each command in a block, which may have several on one line (`&&`, `|`, `;`)."""
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # a line of a text that is given to a program
            continue
        for separate, group in itertools.groupby(words, lambda word: set(word) <= set("&|;")):
            if not separate:
                yield list(group)
