"""The pages: links lead somewhere, paths and options exist, examples run, and records are told field by field."""

import argparse
import glob
import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.device.media import write_video
from tests.device.running import ALL_FRAMES_KEYS, EVENT_KEYS, FRAME_KEYS, RUN_KEYS, STREAM_KEYS
from tests.test_structure import LAYERS
from tsm_edge.commands import COMMANDS
from tsm_edge.manifest import Manifest
from tsm_edge.profile.record import Profile
from tsm_edge.records import Event
from tsm_edge_export import synthetic

PATTERNS = "*.md", "docs/*.md", "benchmarks/*.md", "devices/**/*.md", "kernels/**/*.md", "export/**/*.md"
PAGES = sorted(
    os.path.relpath(path, ROOT) for p in PATTERNS for path in glob.glob(os.path.join(ROOT, p), recursive=True)
)
USER_PAGES = [page for page in PAGES if page.startswith("docs") or page == "README.md"]
FOLDERS = "tsm_edge", "export", "kernels", "docs", "tests", "scripts", "benchmarks", "devices"


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def anchors(text):
    """The anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_into_the_repository_leads_somewhere(page):
    missing = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", read(page)):
        target, _, anchor = link.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), target)) if target else page
        if not os.path.exists(os.path.join(ROOT, path)) or (anchor and anchor not in anchors(read(path))):
            missing.append(link)
    assert missing == []


@pytest.mark.parametrize("page", USER_PAGES + ["CONTRIBUTING.md"])
def test_every_path_in_the_repository_exists(page):
    named = re.findall(r"`((?:{})/[\w./-]+)`".format("|".join(FOLDERS)), read(page))
    assert [path for path in named if not os.path.exists(os.path.join(ROOT, path))] == []


@pytest.mark.parametrize("page", USER_PAGES)
def test_every_option_is_one_of_a_command(page):
    parser = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
    for entry in COMMANDS:
        COMMANDS.load(entry.key).add_options(parser)
    known = {option for action in parser._actions for option in action.option_strings}
    if page == "docs/jetson-nano.md":  # setup.sh's own options, those of what it calls, and one of v4l2-ctl
        known |= set(re.findall(r"--[a-z-]+", read("devices/setup_common.sh"))) | {"--list-formats-ext"}
    # A paragraph on a benchmark or on pip may name their own options.
    parts = read(page).split("\n\n")
    text = "\n\n".join(part for part in parts if "bench_" not in part and "pip download" not in part)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert named - known == set()


def examples(page):
    return re.findall(r"^```python\n(.*?)^```$", read(page), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    os.symlink(os.path.join(models, "mobilenetv2_tsm.onnx"), str(folder / "model.onnx"))
    for name in ("door.mp4", "desk.mp4"):
        write_video(folder / name, 12, fourcc="mp4v")
    synthetic.write_stream(folder / "gestures.mp4", synthetic.Stream(4, 8, size=(64, 64)))
    return folder


@pytest.mark.parametrize(
    "page, count",
    [
        ("docs/running.md", 3),
        ("docs/evaluation.md", 2),
        ("docs/api.md", 3),
        ("docs/synthetic.md", 1),
        ("docs/detection-training.md", 1),
    ],
)
def test_the_examples_run(page, count, folder):
    assert len(examples(page)) == count
    for example in examples(page):
        environment = dict(os.environ, OMP_NUM_THREADS="1")
        subprocess.run([sys.executable, "-c", example], cwd=str(folder), env=environment, check=True)


def test_the_layers_are_told_row_by_row():
    rows = re.findall(r"^\| \d \| (.*) \|$", section("docs/design.md", "What is where"), re.MULTILINE)
    told = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    assert told == [layer - {"", "__main__"} for layer in LAYERS]


# ---------------------------------------------------------------- fields


def section(page, title):
    """The text under a heading, up to the next one."""
    return re.split(r"^#+ {}\n".format(title), read(page), flags=re.MULTILINE)[1].split("\n#")[0]


def fields(text):
    """The names in the first column of a table."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


@pytest.mark.parametrize(
    "title, keys",
    [
        ("frame", FRAME_KEYS),
        ("frame of a detector", ALL_FRAMES_KEYS | {"boxes"}),
        ("event", EVENT_KEYS),
        ("summary of a stream", STREAM_KEYS),
        ("summary of the run", RUN_KEYS),
    ],
)
def test_a_record_is_told_field_by_field(title, keys):
    text = section("docs/outputs.md", title)
    (example,) = re.findall(r"```json\n(.*)\n```", text)
    assert set(json.loads(example)) == keys
    assert sorted(fields(text)) == sorted(keys)


def test_the_manifest_is_told_field_by_field():
    assert fields(section("docs/design.md", "The model file")) == list(Manifest._fields)


def test_an_events_fields_are_the_codes():
    assert set(Event._fields) | {"kind"} == EVENT_KEYS


def test_the_profile_is_told_field_by_field():
    told = set(fields(section("docs/profiling.md", "The file"))) | {"format", "format_version"}
    assert told == set(Profile._fields)
