"""The manifest: there and back, and every way in which one can be wrong."""

import json
import os
from typing import NamedTuple, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.streams import noise
from tests.tolerances import allowed
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.errors import InputError
from tsm_edge.manifest import (
    FORMAT_VERSION,
    HALF,
    LIMITS,
    ArchSpec,
    CacheSpec,
    FrameSpec,
    Manifest,
    OutputSpec,
    ShiftSpec,
    WeightsSpec,
    check,
    check_limits,
    from_json,
    memory_bytes,
    sidecar_path,
    to_json,
)
from tsm_edge.text import shown

# A model of format version 1 (tsm-edge before tasks and outputs), and its logits by torch, (frames, streams, classes).
VERSION_1 = os.path.join(os.path.dirname(__file__), "data", "version1.onnx")
ONLINE = Manifest(
    FORMAT_VERSION,
    "classification",
    "gestures",
    ArchSpec("mobilenetv2", 1.0, 3),
    "online",
    ShiftSpec("mit", "causal", 8, 8, ("features.3.conv.0", "features.5.conv.0")),
    FrameSpec("NCHW", "RGB", 224, 200, 256, "center", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    (
        CacheSpec("cache_00", "cache_00_next", (3, 56, 50), "float32"),
        CacheSpec("cache_01", "cache_01_next", (4, 28, 25), "float32"),
    ),
    (OutputSpec("logits", (3,), "float32"), OutputSpec("boxes", (7, 4), "int64")),
    ("nothing", "w\u00f6lken", "\u624b"),
    None,
    {"window": 4, "threshold": 0.5, "hysteresis": 2, "ignored": ["nothing"]},
    "custom",
    "float32",
    WeightsSpec("0" * 64, "a.pth (mit_online)", True),
    {"passed": True, "comparisons": [{"name": "a", "error": 1e-6, "tolerance": 1e-4}]},
)
OFFLINE = ONLINE._replace(mode="offline", shift=ONLINE.shift._replace(direction="bidirectional"), caches=(), fps=12.5)


def refused(text, *parts):
    with pytest.raises(InputError) as caught:
        from_json(text, "model.onnx")
    message = str(caught.value)
    assert message.startswith("model.onnx: manifest")
    for part in parts:
        assert part in message
    assert caught.value.do


@pytest.mark.parametrize("manifest", [ONLINE, OFFLINE])
def test_there_and_back(manifest):
    text = to_json(manifest)
    again = from_json(text, "model.onnx")
    assert again == manifest
    assert type(again.arch) is ArchSpec
    assert type(again.caches) is tuple
    assert from_json(text.encode("utf-8"), "model.onnx") == manifest
    assert list(json.loads(text)) == list(Manifest._fields)


def test_whole_numbers_may_stand_where_floats_do():
    data = json.loads(to_json(ONLINE))
    data["arch"]["width"], data["fps"], data["frame"]["mean"] = 1, 15, [0, 0, 0]
    manifest = from_json(json.dumps(data), "m")
    assert (manifest.arch.width, manifest.fps, manifest.frame.mean) == (1.0, 15.0, (0.0, 0.0, 0.0))
    assert type(manifest.fps) is float


@pytest.mark.parametrize("text", ["", "{", "nonsense", b"\xff\xfe\x00", "[" * 100000, '{"format_version": 1'])
def test_damaged_json(text):
    refused(text, "damaged JSON")


@pytest.mark.parametrize("version", [0, 3, None, "1", [1]])
def test_another_format_version(version):
    data = dict(json.loads(to_json(ONLINE)), format_version=version)
    refused(json.dumps(data), "format_version", repr(version), "1 or 2", "install the release that wrote it")


@pytest.mark.parametrize("text", ["3", "null", "[]", '"text"', "{}", "true"])
def test_json_that_is_no_manifest(text):
    refused(text, "format_version")


def paths(data, path=()):
    """Every path to a key of nested objects."""
    for key, value in data.items():
        yield path + (key,)
        if isinstance(value, dict) and key not in ("decision", "parity"):
            for found in paths(value, path + (key,)):
                yield found


KEYS = sorted(set(paths(json.loads(to_json(ONLINE)))) - {("format_version",)})


def at(data, path):
    for key in path:
        data = data[key]
    return data


@pytest.mark.parametrize("path", KEYS, ids=".".join)
def test_a_missing_key(path):
    data = json.loads(to_json(ONLINE))
    del at(data, path[:-1])[path[-1]]
    refused(json.dumps(data), "no " + path[-1])


@pytest.mark.parametrize("path", [(), ("arch",), ("shift",), ("frame",), ("weights",)], ids=".".join)
def test_an_unknown_key(path):
    data = json.loads(to_json(ONLINE))
    at(data, path)["colour_order"] = 1
    refused(json.dumps(data), "unknown key colour_order")


@pytest.mark.parametrize("path", KEYS, ids=".".join)
@pytest.mark.parametrize("value", [True, 1e999, float("nan"), [True], -7, "", {"a": 1}], ids=str)
def test_another_value_is_named_or_harmless(path, value):
    """Each key in turn gets a value of another kind: refused by name, or of a kind that the key has."""
    data = json.loads(to_json(ONLINE))
    at(data, path[:-1])[path[-1]] = value
    try:
        manifest = from_json(json.dumps(data), "model.onnx")
    except InputError as error:
        assert path[-1] in str(error) or path[0] in str(error)
        return
    kept = at(json.loads(to_json(manifest)), path)
    assert type(value) is type(kept) or (type(value) is int and type(kept) is float)
    assert kept == value


LOGITS = {"name": "logits", "shape": [3], "dtype": "float32"}
WRONG = [
    ("mode", "live", "mode"),
    ("mode", "offline", "caches"),
    ("lowering", "plugin", "lowering"),
    ("labels", ["a", "b"], "2 labels"),
    ("labels", [], "0 labels"),
    ("labels", ["nothing", "b", "b"], "a label twice"),
    ("labels", ["nothing", "b", 4], "labels[2]"),
    ("labels", "abc", "a list"),
    ("caches", [], "0 caches for 2 shifts"),
    ("fps", 0, "fps"),
    ("fps", -1.0, "fps"),
    ("fps", 10**400, "fps"),
    ("arch.num_classes", 0, "num_classes"),
    ("arch.num_classes", 4, "3 labels"),
    ("arch.num_classes", 3.0, "whole number"),
    ("shift.direction", "bidirectional", "a live stream does not have"),
    ("shift.direction", "backwards", "shift.direction"),
    ("shift.dialect", "paddle", "shift.dialect"),
    ("shift.fold_div", 0, "shift"),
    ("shift.n_segment", 0, "shift"),
    ("shift.places", ["a", "b", "c"], "2 caches for 3 shifts"),
    ("frame.colour", "YUV", "frame.colour"),
    ("frame.layout", "NHWC", "frame.layout"),
    ("frame.crop", "random", "frame.crop"),
    ("frame.height", 0, "frame"),
    ("frame.short_side", 223, "frame.short_side"),
    ("frame.mean", [0.1, 0.2], "2 values"),
    ("frame.std", [0.1, 0, 0.1], "frame.std"),
    ("frame.std", [0.1, float("inf"), 0.1], "std"),
    ("decision", [], "an object"),
    ("task", None, "task"),
    ("outputs", [], "outputs"),
    ("outputs", [LOGITS, LOGITS], "names that differ"),
    ("outputs", [dict(LOGITS, name="cache_01")], "names that differ"),
    ("outputs", [dict(LOGITS, name="cache_00_next")], "names that differ"),
    ("outputs", [dict(LOGITS, name="frame")], "names that differ"),
    ("outputs", [dict(LOGITS, shape=[3, 0])], "sizes of at least 1"),
    ("outputs", [dict(LOGITS, shape=[-1])], "sizes of at least 1"),
    ("outputs", [dict(LOGITS, shape=3)], "a list"),
    ("outputs", [dict(LOGITS, dtype="float")], "one of float32"),
    ("outputs", [dict(LOGITS, layout="NC")], "unknown key layout"),
    ("labels", ["nothing", "", "b"], "labels[1]"),
    ("labels", ["nothing", " \u00a0 ", "b"], "labels[1]"),
    ("labels", ["nothing", "a", "b\x1b[2J"], "labels[2]"),
    ("labels", ["nothing", "a\nb", "b"], "labels[1]"),
    ("labels", ["nothing", "\u202eab", "b"], "labels[1]"),
    ("labels", ["nothing", "\ud800", "b"], "labels[1]"),
    ("labels", ["nothing", "a", "b" * 201], "labels[2]"),
    ("recipe", "a\tb", "recipe"),
    ("outputs", [dict(LOGITS, name="logits\r")], "outputs"),
    ("outputs", [dict(LOGITS, shape=[1] * 9)], "outputs.logits"),
    ("outputs", [dict(LOGITS, name="o{}".format(number)) for number in range(65)], "at most 64"),
    ("outputs", [dict(LOGITS, shape=[2**30])], "bytes for one stream"),
    ("precision", "float64", "precision"),
    ("weights.sha256", "0" * 63 + "G", "weights.sha256"),
    ("parity", {"passed": False, "comparisons": []}, "parity.passed"),
    ("parity", {"passed": 1, "comparisons": []}, "parity.passed"),
    ("parity", {"comparisons": []}, "parity.passed"),
    ("parity", {"passed": True, "comparisons": 3}, "parity.comparisons"),
    (
        "parity",
        {"passed": True, "comparisons": [{"name": "a", "error": 2e-4, "tolerance": 1e-4}]},
        "parity.comparisons",
    ),
    ("parity", {"passed": True, "comparisons": [{"name": "a", "error": float("nan"), "tolerance": 1}]}, "parity"),
    ("parity", {"passed": True, "comparisons": [{"name": "a", "error": None, "tolerance": 1}]}, "parity.comparisons"),
    ("parity", {"passed": True, "comparisons": ["a"]}, "parity.comparisons"),
    ("frame.mean", [0.0, 1e7, 0.0], "frame.mean"),
    ("frame.std", [1e-9, 1.0, 1.0], "frame.std"),
]


@pytest.mark.parametrize("path, value, part", WRONG)
def test_a_wrong_value(path, value, part):
    data = json.loads(to_json(ONLINE))
    keys = path.split(".")
    at(data, keys[:-1])[keys[-1]] = value
    refused(json.dumps(data), part)


CACHES = json.loads(to_json(ONLINE))["caches"]


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"dtype": "float16"}, "float16 in a float32 model"),
        ({"dtype": "float64"}, "caches.cache_00"),
        ({"dtype": "banana"}, "caches.cache_00"),
        ({"shape": [0, 56, 50]}, "caches.cache_00"),
        ({"shape": [-3, -56, 50]}, "caches.cache_00"),
        ({"shape": [2**20, 2**20, 2**20]}, "bytes for one stream"),
        ({"input": "a\x07"}, "caches"),
        ({"output": "cache_01"}, "outputs"),
    ],
    ids=str,
)
def test_a_wrong_cache(changes, part):
    refused(json.dumps(dict(json.loads(to_json(ONLINE)), caches=[dict(CACHES[0], **changes), CACHES[1]])), part)


@pytest.mark.parametrize("precision", HALF)
def test_float16_caches_belong_to_half_precision(precision):
    caches = tuple(cache._replace(dtype="float16") for cache in ONLINE.caches)
    check(ONLINE._replace(caches=caches, precision=precision), "model.onnx")


def test_a_letterbox_uses_no_short_side():
    frame = ONLINE.frame._replace(crop="letterbox", short_side=1)
    check(ONLINE._replace(frame=frame), "model.onnx")
    with pytest.raises(InputError, match="short_side"):
        check(ONLINE._replace(frame=frame._replace(crop="center")), "model.onnx")


def test_a_manifest_without_a_proof_is_read():
    check(ONLINE._replace(parity={}), "model.onnx")


def with_number(name, value):
    """The online manifest, or where `value` suits an offline one alone, that one, as JSON with one number changed."""
    data = json.loads(to_json(ONLINE))
    keys = name.split(".")
    at(data, keys[:-1])[keys[-1]] = value
    return data


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_each_limit_is_a_bound_and_says_why(limit):
    for value in (limit.most + 1, limit.most * 1000, 10**9, 2**62, limit.least - 1, -(10**12)):
        refused(json.dumps(with_number(limit.name, value)), limit.name, limit.reason, "{:,}".format(limit.most))
    assert limit.least < limit.most and limit.reason


@settings(max_examples=100, deadline=None)
@given(limit=st.sampled_from(LIMITS), digits=st.integers(1, 6000), negative=st.booleans())
def test_a_whole_number_of_any_length_is_refused_or_within_bounds(limit, digits, negative):
    text = json.dumps(with_number(limit.name, "NUMBER")).replace('"NUMBER"', "-" * negative + "7" * digits)
    try:
        manifest = from_json(text, "model.onnx")
    except InputError as error:
        assert len(str(error)) < 1500
        return
    value = manifest
    for key in limit.name.split("."):
        value = getattr(value, key)
    assert limit.least <= value <= limit.most


def test_many_pixels_are_refused_before_anything_is_built():
    size = {"height": 4096, "width": 4096, "short_side": 4096}
    data = json.loads(to_json(ONLINE))
    data["frame"].update(size)
    refused(json.dumps(data), "bytes for one stream")
    assert memory_bytes(ONLINE) == 4 * (8 * 3 * 224 * 200 + 2 * (3 * 56 * 50 + 4 * 28 * 25) + 3) + 8 * 28


def test_the_limits_hold_for_a_recipe_too():
    """Of the fields of a manifest a recipe has some; the others are passed over."""

    class Part(NamedTuple):
        arch: ArchSpec
        fps: Optional[float]

    check_limits(Part(ArchSpec("mobilenetv2", 1.0, 12), None), "r.toml")
    with pytest.raises(InputError, match="num_classes"):
        check_limits(Part(ArchSpec("mobilenetv2", 1.0, 10**12), None), "r.toml")
    with pytest.raises(InputError, match="width"):
        check_limits(Part(ArchSpec("mobilenetv2", 60.0, 2), None), "r.toml")
    with pytest.raises(InputError, match="fps"):
        check_limits(Part(ArchSpec("mobilenetv2", 1.0, 2), float("nan")), "r.toml")


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=6) | st.text(st.characters(max_codepoint=0x9F), max_size=3))
def test_a_label_is_shown_as_it_is_or_refused(text):
    data = dict(json.loads(to_json(ONLINE)), labels=["nothing", text, "last"])
    try:
        label = from_json(json.dumps(data), "model.onnx").labels[1]
    except InputError as error:
        assert not any(ord(character) < 32 and character != "\n" for character in str(error))
        return
    assert label.strip() and shown(label) in (label, shown(text)) and "\n" not in label


def test_offline_models_have_no_caches():
    with pytest.raises(InputError, match="2 caches"):
        check(OFFLINE._replace(caches=ONLINE.caches), "model.onnx")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(KEYS), value=anything)
def test_anything_anywhere_is_refused_or_read(path, value):
    data = json.loads(to_json(ONLINE))
    at(data, path[:-1])[path[-1]] = value
    try:
        manifest = from_json(json.dumps(data), "model.onnx")
    except InputError:
        return
    assert from_json(to_json(manifest), "again") == manifest


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.9999))
def test_cut_short(share):
    text = to_json(ONLINE)
    refused(text[: int(share * len(text))], "damaged JSON")


def version_1():
    with open(sidecar_path(VERSION_1), "rb") as file:
        return json.loads(file.read().decode("utf-8"))


def test_a_model_of_format_version_1_is_upgraded():
    data, manifest = version_1(), load_manifest(VERSION_1)
    assert data["format_version"] == 1
    expected = dict(data, format_version=FORMAT_VERSION, task="classification", outputs=[LOGITS])
    assert json.loads(to_json(manifest)) == expected
    assert from_json(to_json(manifest), "again") == manifest


def test_an_engine_steps_a_model_of_format_version_1():
    pytest.importorskip("onnxruntime")
    expected = np.load(os.path.splitext(VERSION_1)[0] + ".npy")
    with load_engine(VERSION_1, threads=1) as engine:
        state = engine.new_state(expected.shape[1])
        frames = noise(engine.manifest.frame, *expected.shape[:2])
        got = np.stack([engine.step(frame, state)["logits"] for frame in frames])
    assert np.abs(got - expected).max() <= allowed(expected)


@pytest.mark.parametrize("path", [("arch",), ("arch", "num_classes"), ("labels",), ("decision",)], ids=".".join)
def test_a_damaged_manifest_of_format_version_1_is_refused(path):
    data = version_1()
    del at(data, path[:-1])[path[-1]]
    refused(json.dumps(data), "no " + path[-1])
    refused(json.dumps(dict(version_1(), task="classification", arch=3)), "arch")


def test_where_it_stands_beside_a_model():
    assert sidecar_path("a/model.onnx") == "a/model.json"
    assert sidecar_path("a.b/model.trt") == "a.b/model.trt.json"
    assert sidecar_path("model") == "model.json"
