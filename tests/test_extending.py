"""CONTRIBUTING.md adds a source, a sink, an engine and a network from outside the package. All of its code runs."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.device.running import all_records, tsm_edge
from tests.device.toys import toy_manifest
from tsm_edge import load_engine, open_session
from tsm_edge.engines import ENGINES, load_manifest
from tsm_edge.engines.checksums import write_manifest
from tsm_edge.shift import shift_clip
from tsm_edge.sinks import SINKS
from tsm_edge.sources import SOURCES
from tsm_edge_export.exporter import export
from tsm_edge_export.models import ARCHITECTURES

BLOCK = re.compile(r"^```(python|toml)\n# (\w+\.(?:py|toml))\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ADDED = {"count_source": SOURCES, "event_list": SINKS, "colour_engine": ENGINES, "small_network": ARCHITECTURES}
LABELS = ("dark", "grey", "light", "red", "blue")


@pytest.fixture(scope="module")
def page():
    with open(os.path.join(ROOT, "CONTRIBUTING.md"), encoding="utf-8") as file:
        return file.read()


@pytest.fixture(scope="module")
def folder(page, tmp_path_factory):
    """A folder with every block of the page as the file that it names; the modules are imported, which adds them."""
    folder = tmp_path_factory.mktemp("extending")
    blocks = BLOCK.findall(page)
    assert len(blocks) == page.count("```python") + page.count("```toml"), "a block does not begin with its file's name"
    for _, name, text in blocks:
        (folder / name).write_text(text)
    assert {name for _, name, _ in blocks} == {name + ".py" for name in ADDED} | {"small.toml"}
    before = {name: [entry.key for entry in registry] for name, registry in ADDED.items()}
    sys.path.insert(0, str(folder))
    try:
        for name in ADDED:
            importlib.import_module(name)
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name, registry in ADDED.items():
            for key in [entry.key for entry in registry if entry.key not in before[name]]:
                registry.remove(key)
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def model(folder):
    """A model of the added engine: the manifest of the tests' toy, with five labels and a cache of its own."""
    path = folder / "model.colour"
    manifest = toy_manifest(hysteresis=2)
    caches = (manifest.caches[0]._replace(shape=(1, 8, 8)),)
    manifest = manifest._replace(
        arch=manifest.arch._replace(num_classes=len(LABELS)),
        labels=LABELS,
        outputs=(manifest.outputs[0]._replace(shape=(len(LABELS),)),),
        caches=caches,
        frame=manifest.frame._replace(std=(1.0,) * 3),
    )
    with open(str(path), "wb") as file:
        np.save(file, np.random.RandomState(0).randn(3, len(LABELS)).astype(np.float32) * 9)
    write_manifest(str(path), manifest)
    return str(path)


@pytest.fixture(scope="module")
def exported(folder):
    """The added network, exported."""
    return export(folder / "small.toml", output=folder / "model.onnx")


def test_each_recipe_adds_one_entry(folder):
    assert {"count"} == {entry.key for entry in SOURCES if entry.module == "count_source"}
    assert {"events"} == {entry.key for entry in SINKS if entry.module == "event_list"}
    assert {"colour"} == {entry.key for entry in ENGINES if entry.module == "colour_engine"}
    assert {"small"} == {entry.key for entry in ARCHITECTURES if entry.module == "small_network"}


def test_a_run_reads_the_source_and_writes_the_sink(folder, model, tmp_path, capsys):
    lines, events = tmp_path / "out.jsonl", tmp_path / "events.txt"
    sources = "--source", "count://12", "--source", "count://7"
    done = tsm_edge(capsys, "run", "--engine", model, *sources, "--jsonl", lines, "--events", events)
    assert done.code == 0, done.err
    frames, told, summaries = all_records(lines)
    assert [summary["frames"] for summary in summaries[:-1]] == [12, 7]
    assert summaries[-1]["engine"] == "colour"
    ended = [event for event in told if event["type"] == "end"]
    written = events.read_text().splitlines()
    assert ended and len(written) == len(ended)
    assert written[0] == "{stream} {start:.1f} {end:.1f} {label}".format(**ended[0])


def test_the_sinks_option_is_one_of_the_command_line(folder, model, tmp_path, capsys):
    assert "--events FILE" in tsm_edge(capsys, "run", "--help").out
    done = tsm_edge(capsys, "run", "--engine", model, "--source", "count://2", "--events", model)
    assert done.code == 2 and "--events" in done.err  # it would overwrite the model
    missing = tmp_path / "none" / "events.txt"
    assert tsm_edge(capsys, "run", "--engine", model, "--source", "count://2", "--events", missing).code == 2


def test_the_engine_steps_what_the_clip_computes(folder, model):
    frames = np.random.RandomState(1).randn(9, 2, 3, 8, 8).astype(np.float32)
    with load_engine(model) as engine:
        assert type(engine).__module__ == "colour_engine"
        state = engine.new_state(streams=2)
        got = np.stack([engine.step(frame, state)["logits"] for frame in frames])
        for stream in range(2):
            shifted = shift_clip(frames[:, stream], len(frames), fold=1, bidirectional=False)
            assert np.allclose(got[:, stream], shifted.mean((2, 3)) @ np.load(model), atol=1e-5)
        state.reset(stream=1)
        engine.step(frames[0, 1:], state, streams=[1])
        assert np.array_equal(state.snapshot()[0][1], frames[0, 1, :1]) and state.sets[0] == 1


def test_a_session_of_the_engine_and_the_source(folder, model):
    with open_session(model, "count://5", "count://3") as session:
        results = list(session)
    assert len(results) == 8
    assert {result.frame.stream: result.frame.index for result in results} == {"5": 4, "3": 2}


def test_the_network_is_exported_and_proven(exported, capsys):
    manifest = load_manifest(exported)
    assert manifest.arch.name == "small" and manifest.parity["passed"]
    assert manifest.shift.places == ("blocks_in_order.0.conv", "blocks_in_order.1.conv")
    assert tsm_edge(capsys, "verify", exported).code == 0


def test_the_command_of_the_page_runs(exported, page):
    (command,) = re.findall(r"^python (-c .*)$", page, re.MULTILINE)
    words = shlex.split(command) + ["--jsonl", "outside.jsonl"]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(exported.parent), ROOT]))
    subprocess.run([sys.executable] + words, env=environment, check=True, cwd=str(exported.parent))
    last = json.loads((exported.parent / "outside.jsonl").read_text().splitlines()[-1])
    assert last["frames"] == 30 and last["model"] == "model.onnx"
