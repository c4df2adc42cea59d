"""`tsm-edge info`: what a model, or a TensorRT engine, says about itself."""

import json
import os
import shutil

import pytest

from tests.device.engines.plan import write_plan
from tests.device.running import tsm_edge
from tsm_edge.commands import info
from tsm_edge.engines import read_model_file
from tsm_edge.engines.tensorrt import record
from tsm_edge.manifest import WeightsSpec, from_json

VERSION_1 = os.path.join(os.path.dirname(os.path.dirname(__file__)), "data", "version1.onnx")


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


def test_info_names_what_matters(model, capsys):
    done = tsm_edge(capsys, "info", model)
    assert done.code == 0
    for fact in (
        "mobilenetv2, width 0.25, 5 classes",
        "online, causal shift of 1/8",
        "UNTRAINED: the labels mean nothing",
        "centre 96x64, RGB",
        "10, together",
        "class_000",
        "task        classification",
        "outputs     logits (5) float32",
        "mean of 2 frames",
        "custom lowering, float32",
        "all passed",
    ):
        assert fact in done.out


def test_info_of_an_offline_model(models, capsys):
    done = tsm_edge(capsys, "info", os.path.join(models, "tiny_offline.onnx"))
    assert done.code == 0
    assert "offline, bidirectional" in done.out
    assert "caches      none" in done.out


def test_info_as_json_is_the_manifest(model, capsys):
    done = tsm_edge(capsys, "info", model, "--json")
    assert done.code == 0
    with open(model[:-5] + ".json") as beside:
        assert from_json(done.out, "info") == from_json(beside.read(), "beside")


@pytest.mark.parametrize("name", ["none.onnx", "tests"])
def test_info_of_what_is_no_model(capsys, name):
    done = tsm_edge(capsys, "info", name)
    assert done.code == 2
    assert done.err.startswith("tsm-edge: error: " + name)
    assert "do:" in done.err


def test_info_of_a_model_of_format_version_1(capsys):
    done = tsm_edge(capsys, "info", VERSION_1)
    assert done.code == 0
    assert "task        classification" in done.out and "outputs     logits (" in done.out


@pytest.fixture
def engine(model, tmp_path):
    """A function that writes an engine's record with changes, beside an engine that nobody can load."""
    with open(model[:-5] + ".json", "rb") as file:
        manifest = from_json(file.read(), "tiny")
    times = (record.LoweringTime("plugin", 1.5, 2.0, 100, None), record.LoweringTime("standard", None, None, 0, "slow"))

    def write(**changes):
        path, form = str(tmp_path / "model.trt"), {"precision": "fp16", "lowering": "plugin", "times": times}
        return write_plan(path, manifest._replace(**changes), **form)

    return write


def test_info_of_a_tensorrt_engine(engine, capsys):
    done = tsm_edge(capsys, "info", engine())
    assert done.code == 0
    for line in (
        "recipe      tiny",
        "engine      TensorRT 8.2.1.8 for NVIDIA Tegra X1, compute capability 5.3, JetPack 4.6.1",
        "streams     1 to 4",
        "shift by    our plugin",
        "  plugin    1.500 ms a step when it was built",
        "  standard  slow",
    ):
        assert line in done.out.splitlines()
    assert json.loads(tsm_edge(capsys, "info", engine(), "--json").out)["recipe"] == "tiny"


def test_info_of_a_task_that_this_release_does_not_know(engine, capsys):
    done = tsm_edge(capsys, "info", engine(task="depth"))
    assert done.code == 2
    assert "'depth'" in done.err and "classification" in done.err


def test_info_of_a_sidecar_that_is_not_the_models(model, tmp_path, capsys):
    path = shutil.copy(model, str(tmp_path))
    with open(model[:-5] + ".json") as file:
        beside = json.load(file)
    (tmp_path / "tiny_custom.json").write_text(json.dumps(dict(beside, recipe="other")))
    done = tsm_edge(capsys, "info", path)
    assert done.code == 2 and "another recipe" in done.err


def test_shapes_and_labels_in_words():
    assert info._output(info.OutputSpec("scores", (3, 7), "float16")) == "scores (3x7) float16"
    assert info._label_lines(["a", "b c"]) == ["a, b c"]
    labels = ["gesture number {}".format(number) for number in range(40)]
    lines = info._label_lines(labels)
    assert " ".join(lines).split(", ") == labels and len(lines) > 1 and max(map(len, lines)) <= 110


def test_info_shows_the_checked_checksum_and_all_labels(models, capsys):
    path = os.path.join(models, "mobilenetv2_tsm.onnx")
    manifest, digest = read_model_file(path)
    out = tsm_edge(capsys, "info", path).out
    assert "checksum    {} (checked)".format(digest) in out and len(digest) == 64
    assert all(label in out for label in manifest.labels)
    assert "checksum    NONE" in tsm_edge(capsys, "info", VERSION_1).out


def test_info_writes_no_control_characters(engine, capsys):
    source = "weights\x1b]0;title\x07\n.pth"
    path = engine(weights=WeightsSpec("0" * 64, source, True))
    out = tsm_edge(capsys, "info", path).out
    assert "weights     weights\\x1b]0;title\\x07\\n.pth" in out.splitlines()
