"""The scripts that make the pictures of README.md and docs/concept.md: the kept pictures are what they make."""

import importlib.util
import io
import os
import re
import xml.etree.ElementTree as ElementTree
from contextlib import redirect_stdout

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.test_docs import read
from tsm_edge import load_engine

MOST_BYTES = 1500000  # of the moving picture
SVG = "{http://www.w3.org/2000/svg}"


def script(name):
    """Return a script of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(ROOT, "scripts", name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def output_of(main, *arguments):
    """Run a script's main. Returns what it prints."""
    text = io.StringIO()
    with redirect_stdout(text):
        assert main([str(argument) for argument in arguments]) == 0
    return text.getvalue()


@pytest.fixture(scope="module")
def model(models):
    return os.path.join(models, "mobilenetv2_tsm.onnx")


def test_the_drawings_are_what_the_script_draws(tmp_path):
    drawings = script("make_concept_drawings")
    output_of(drawings.main, tmp_path)
    for name in drawings.DRAWINGS:
        assert (tmp_path / name).read_text(encoding="utf-8") == read("docs/" + name), name


@pytest.mark.parametrize("name", ["how_it_works.svg", "shift.svg"])
def test_a_drawing_has_a_ground_of_its_own_and_text_inside(name):
    root = ElementTree.fromstring(read("docs/" + name))
    _, _, width, height = map(float, root.get("viewBox").split())
    ground = root.find(SVG + "rect")
    assert ground.get("fill") == "#ffffff" and float(ground.get("width")) == width
    assert root.find(SVG + "title").text
    for text in root.iter(SVG + "text"):
        x, y, size = (float(text.get(key)) for key in ("x", "y", "font-size"))
        wide = 0.55 * size * len(text.text)  # more than Arial takes
        left = x - {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")] * wide
        assert left >= 0 and left + wide <= width and size <= y <= height, text.text


def test_the_moving_picture_shows_the_rendered_gestures(model, tmp_path):
    said = output_of(script("make_readme_animation").main, model, "-o", tmp_path / "demo.gif")
    rendered, seen = (
        re.findall(r"^{} .* s  ([a-z -]+?)(?: \d+%)?$".format(kind), said, re.M) for kind in ("rendered", "seen")
    )
    assert len(rendered) == 3 and seen == rendered
    with Image.open(str(tmp_path / "demo.gif")) as made, Image.open(os.path.join(ROOT, "docs", "demo.gif")) as kept:
        assert (made.size, made.n_frames, made.info["duration"]) == (kept.size, kept.n_frames, kept.info["duration"])
        assert kept.info["loop"] == 0
        for frame in (0, kept.n_frames // 2, kept.n_frames - 1):
            made.seek(frame)
            kept.seek(frame)
            difference = np.abs(np.asarray(made.convert("RGB"), float) - np.asarray(kept.convert("RGB"), float))
            assert difference.mean() < 8, frame
    for path in (str(tmp_path / "demo.gif"), os.path.join(ROOT, "docs", "demo.gif")):
        assert os.path.getsize(path) <= MOST_BYTES


def test_the_memory_of_a_frame_ends_after_as_many_frames_as_there_are_shifts(model, tmp_path):
    said = output_of(script("make_memory_picture").main, model, "-o", tmp_path / "memory.svg", "--count", 2)
    shares = [float(share) for share in re.findall(r"frames after it: +([\d.]+) %", said)]
    with load_engine(model) as engine:
        shifts = len(engine.manifest.caches)
        assert "at most {} frames".format({10: "ten"}[shifts]) in " ".join(read("docs/concept.md").split())
        assert "{:.1f} s\nat {:g} frames/s".format(shifts / engine.manifest.fps, engine.manifest.fps) in read(
            "docs/concept.md"
        )
    assert len(shares) == shifts + 3 and shares[0] == 100
    assert shares[1] > 10 and shares[shifts + 1 :] == [0, 0]
    made, kept = (
        ElementTree.parse(str(path)).getroot()
        for path in (tmp_path / "memory.svg", os.path.join(ROOT, "docs", "memory.svg"))
    )
    assert made.get("viewBox") == kept.get("viewBox")
