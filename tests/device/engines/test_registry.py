"""The registry of engines: what is in it, and a toy engine from outside the package by one entry."""

import json
import os

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.device.engines.contract")

from tests.device.damage import flip_bit  # noqa: E402
from tests.device.engines.contract import EngineContract  # noqa: E402
from tests.device.refusals import refused  # noqa: E402
from tests.device.streams import noise, steps  # noqa: E402
from tests.tolerances import allowed  # noqa: E402
from tsm_edge import load_engine  # noqa: E402
from tsm_edge.engines import ENGINES, EngineOptions, load_manifest  # noqa: E402
from tsm_edge.engines.checksums import write_manifest  # noqa: E402
from tsm_edge.errors import InputError  # noqa: E402
from tsm_edge.manifest import CacheSpec, to_json  # noqa: E402
from tsm_edge.registry import Entry  # noqa: E402

WEIGHTS = np.random.RandomState(3).randn(5, 3).astype(np.float32)


@pytest.fixture
def registered():
    ENGINES.add(Entry("toy", "tests.device.engines.toy", "a toy", matches=(".toy",)))
    yield
    if "toy" in ENGINES:
        ENGINES.remove("toy")


def write_toy(path, onnx):
    """Write a toy model with the manifest of an exported one, its shifts replaced by the toy's. Return its path."""
    manifest = load_manifest(onnx)
    height, width = manifest.frame.height, manifest.frame.width
    caches, places = (CacheSpec("cache_00", "cache_00_next", (1, height, width), "float32"),), ("frame",)
    online = manifest.mode == "online"
    shift = manifest.shift._replace(places=places, direction="causal" if online else "bidirectional")
    with open(path, "wb") as file:
        np.save(file, WEIGHTS)
    write_manifest(path, manifest._replace(caches=caches if online else (), shift=shift))
    return path


class TestToy(EngineContract):
    exact = False  # a product of matrices may add in another order

    @pytest.fixture(autouse=True)
    def folder(self, registered, tmp_path):
        self.folder = str(tmp_path)

    def open(self, path):
        return load_engine(write_toy(os.path.join(self.folder, os.path.basename(path) + ".toy"), path))

    def test_steps_equal_the_clip_that_torch_computes(self, engine, models):
        """Torch knows no toy; the rule of the shift, written once more, takes its place."""
        count = 2 * engine.manifest.shift.n_segment + 1
        frames = noise(engine.manifest.frame, count, 2)
        means = frames.mean((3, 4))
        means[1:, :, 0], means[0, :, 0] = means[:-1, :, 0].copy(), 0
        expected = means @ WEIGHTS.T
        assert np.abs(steps(engine, engine.new_state(2), frames) - expected).max() <= allowed(expected)

    def test_clips_equal_what_torch_computes(self, offline, models):
        clips = noise(offline.manifest.frame, 2, offline.manifest.shift.n_segment)
        means = clips.mean((3, 4))
        shifted = np.zeros_like(means)
        shifted[:, :-1, 0], shifted[:, 1:, 1], shifted[..., 2] = means[:, 1:, 0], means[:, :-1, 1], means[..., 2]
        expected = shifted.mean(1) @ WEIGHTS.T
        assert np.abs(offline.clip(clips)["logits"] - expected).max() <= allowed(expected)


@pytest.fixture
def toy(registered, models, tmp_path):
    return write_toy(str(tmp_path / "model.toy"), os.path.join(models, "tiny_custom.onnx"))


def test_one_entry_makes_an_engine_known(toy):
    with load_engine(toy, threads=3, spin=False) as engine:
        assert engine.backend == "toy"
        assert engine.options == EngineOptions(threads=3, kernels=True, device="cpu", spin=False)
    ENGINES.remove("toy")
    refused(toy, "an engine of unknown kind", "*.onnx, *.trt, *.plan, *.engine")
    with pytest.raises(InputError, match="unknown kind"):
        load_manifest(toy)


def test_the_manifest_of_another_kind_of_file_stands_beside_it(toy):
    os.remove(toy + ".json")
    refused(toy, toy + ".json", "No such file", "the manifest of the model beside it")
    with open(toy + ".json", "w") as file:
        file.write("{")
    refused(toy, "damaged JSON")


def test_a_manifest_beside_another_kind_of_file_holds_a_checksum_over_both(toy):
    manifest = load_manifest(toy)
    flip_bit(toy, 8 * os.path.getsize(toy) - 1)
    refused(toy, toy + ".json", "damaged or changed", "write_manifest")
    flip_bit(toy, 8 * os.path.getsize(toy) - 1)
    with open(toy + ".json") as file:
        values = json.load(file)
    for changed in (dict(values, recipe="another"), dict(values, sha256="0" * 64), dict(values, sha256=None)):
        with open(toy + ".json", "w") as file:
            json.dump(changed, file)
        refused(toy, "checksum")
    with open(toy + ".json", "w") as file:
        file.write(to_json(manifest))
    refused(toy, "no checksum")
    write_manifest(toy, manifest)
    assert load_manifest(toy) == manifest
    os.remove(toy)
    refused(toy, "no such file")


@pytest.mark.parametrize(
    "threads", [100000, 2**40, pytest.param(10**6000, id="6,000 digits"), 4097, -1, True, 2.0, "2"]
)
def test_a_number_of_threads_that_no_machine_has_is_refused(toy, models, threads):
    """100,000 threads crash ONNX Runtime with a segmentation fault."""
    for path in (toy, os.path.join(models, "tiny_custom.onnx")):
        with pytest.raises(InputError, match="threads") as caught:
            load_engine(path, threads=threads)
        assert "processors" in caught.value.expected and caught.value.do


def test_as_many_threads_as_every_machine_may_be_asked_for(models):
    with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=64) as engine:
        assert engine.new_state(1).streams == 1
        with pytest.raises(InputError, match="streams"):
            engine.new_state(10**6)


def test_a_device_that_no_engine_of_the_file_has_is_refused(toy):
    with pytest.raises(InputError, match="device") as caught:
        load_engine(toy, device="cuda")
    assert "expected: cpu" in str(caught.value)


def test_an_engine_for_one_device_needs_no_choice(registered, models, tmp_path):
    ENGINES.add(Entry("toy on a GPU", "tests.device.engines.toy", "a toy", matches=(".gpu",), device="cuda"))
    try:
        path = write_toy(str(tmp_path / "model.gpu"), os.path.join(models, "tiny_custom.onnx"))
        for device in ("cpu", "cuda"):
            with load_engine(path, device=device) as engine:
                assert engine.options.device == "cuda"
    finally:
        ENGINES.remove("toy on a GPU")


def test_the_built_in_engines():
    assert [(entry.key, entry.device, entry.matches) for entry in ENGINES] == [
        ("onnxruntime", "cpu", (".onnx",)),
        ("onnxruntime-cuda", "cuda", (".onnx",)),
        ("tensorrt", "cuda", (".trt", ".plan", ".engine")),
    ]
    for entry in ENGINES:
        path = entry.module.replace("tsm_edge.", "", 1).replace(".", "/") + ".py"
        assert os.path.exists(os.path.join(os.path.dirname(load_manifest.__code__.co_filename), "..", path))
