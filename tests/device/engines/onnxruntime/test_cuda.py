"""ONNX Runtime on a GPU: the contract on one where there is one, and the same lines on the CPU everywhere.

`place="cpu"` changes the name of the device that the buffers lie on and the provider, nothing else.
"""

import gc
import os

import numpy as np
import onnxruntime
import pytest

pytest.register_assert_rewrite("tests.device.engines.contract")

from tests.device import media  # noqa: E402
from tests.device.engines.contract import EngineContract  # noqa: E402
from tests.device.running import tsm_edge  # noqa: E402
from tests.device.streams import noise, steps, traced  # noqa: E402
from tsm_edge import load_engine  # noqa: E402
from tsm_edge.engines import load_manifest  # noqa: E402
from tsm_edge.engines.onnxruntime.cpu import usable_kernels  # noqa: E402
from tsm_edge.engines.onnxruntime.cuda import PROVIDER, OnnxRuntimeCudaEngine, cuda_kernels  # noqa: E402
from tsm_edge.errors import InputError  # noqa: E402

NO_UPDATE = not hasattr(onnxruntime.OrtValue, "update_inplace")
NO_CUDA = PROVIDER not in onnxruntime.get_available_providers()
needs_update = pytest.mark.skipif(NO_UPDATE, reason="ONNX Runtime before 1.11 cannot refill an OrtValue")
needs_cuda = pytest.mark.skipif(NO_CUDA, reason="this ONNX Runtime has no CUDA provider")


def on_cpu(path, **options):
    manifest = load_manifest(path)
    return OnnxRuntimeCudaEngine(path, manifest, 1, usable_kernels(manifest), place="cpu", **options)


@needs_update
class TestSameLinesOnTheCpu(EngineContract):
    def open(self, path):
        return on_cpu(path)


@needs_update
class TestSameLinesWithGraphsOnTheCpu(EngineContract):
    """As with CUDA graphs: a graph of its own for each buffer set, named in the run's options, which a CPU ignores."""

    online_model = "tiny_standard"

    def open(self, path):
        return on_cpu(path, graphs=True)


@needs_cuda
class TestCuda(EngineContract):
    def open(self, path):
        return load_engine(path, device="cuda")


@needs_cuda
class TestCudaFunctionBodies(EngineContract):
    def open(self, path):
        return load_engine(path, device="cuda", kernels=False)


@needs_cuda
class TestCudaGraphs(EngineContract):
    online_model = "tiny_standard"

    def open(self, path):
        return OnnxRuntimeCudaEngine(path, load_manifest(path), graphs=True)


@needs_cuda
class TestCudaKernelGraphs(TestCudaGraphs):
    online_model = "tiny_custom"

    def open(self, path):
        manifest = load_manifest(path)
        if cuda_kernels(manifest) is None:
            pytest.skip("the custom-op library is not built with CUDA (make kernels)")
        return OnnxRuntimeCudaEngine(path, manifest, kernels=cuda_kernels(manifest), graphs=True)


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@needs_update
def test_each_buffer_set_has_a_graph_of_its_own_and_is_used_again(model):
    with on_cpu(model, graphs=True) as engine:
        first, second = engine.new_state(), engine.new_state()
        buffers = [state._buffers for state in (first, second)]
        ids = [options.get_run_config_entry("gpu_graph_id") for b in buffers for _, options in b.runs]
        assert sorted(ids) == ["1", "2", "3", "4"]
        frames = noise(engine.manifest.frame, 3)
        expected = steps(engine, first, frames)
        del first
        gc.collect()
        again, wider = engine.new_state(), engine.new_state(2)
        assert again._buffers is buffers[0]
        assert wider._buffers not in buffers
        assert not any(cache.any() for cache in again.snapshot())
        assert np.array_equal(steps(engine, again, frames), expected)


@needs_update
def test_the_copy_to_the_device_is_timed(model):
    with on_cpu(model) as engine:
        times = engine.transfer_times(3)
        assert len(times) == 3 and all(0 < seconds < 10 for seconds in times)


@needs_update
def test_steady_state_allocates_nothing_of_a_frames_size(model):
    with on_cpu(model) as engine:
        frame, state = noise(engine.manifest.frame, 1)[0], engine.new_state()
        stayed, most = traced(engine, frame, state, 1000)
    assert stayed < 16384  # ONNX Runtime's update_inplace keeps up to 8 KB, however many the steps
    assert most < frame.nbytes / 4


@pytest.mark.skipif(not NO_CUDA, reason="this ONNX Runtime has a CUDA provider")
def test_no_cuda_is_refused_with_what_to_install(model):
    with pytest.raises(InputError, match="onnxruntime-gpu") as caught:
        load_engine(model, device="cuda")
    assert onnxruntime.__version__ in str(caught.value)


@needs_update
def test_a_provider_that_does_not_load_is_refused(model, monkeypatch):
    """As where CUDA or cuDNN is missing: the provider is listed, and the session comes up on the CPU alone."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER, "CPUExecutionProvider"])
    whole = onnxruntime.InferenceSession
    asked = []

    def without_cuda(path, options, providers, **rest):
        asked.append((providers, options, rest))
        return whole(path, onnxruntime.SessionOptions(), providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", without_cuda)
    with pytest.raises(InputError, match="does not load") as caught:
        load_engine(model, device="cuda")
    assert "onnxruntime-gpu" in str(caught.value)
    [(providers, _, rest)] = asked
    assert [name for name, _ in providers] == [PROVIDER]
    assert rest == {"enable_fallback": 0}


@needs_update
def test_nothing_may_go_to_the_cpu_but_the_arithmetic_of_a_function_body(models, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER, "CPUExecutionProvider"])
    strict = []

    def session(path, options, providers, **rest):
        try:
            strict.append(options.get_session_config_entry("session.disable_cpu_ep_fallback"))
        except RuntimeError:
            strict.append("not set")
        raise RuntimeError("seen enough")

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    for name in ("tiny_standard", "tiny_custom"):
        with pytest.raises(InputError, match="seen enough"):
            load_engine(os.path.join(models, name + ".onnx"), device="cuda", kernels=False)
    assert strict == ["1", "not set"]


def test_another_device_is_refused(model):
    with pytest.raises(InputError, match="cpu or cuda"):
        load_engine(model, device="tpu")


@pytest.mark.skipif(not NO_CUDA, reason="this ONNX Runtime has a CUDA provider")
def test_run_refuses_a_missing_provider(model, tmp_path, capsys):
    video = media.write_video(tmp_path / "in.mp4", 2)
    results = tmp_path / "out.jsonl"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--device", "cuda", "--jsonl", results)
    assert done.code == 2
    assert "onnxruntime-gpu" in done.err
    assert not results.exists()


def test_run_on_the_cpu_by_name(model, tmp_path, capsys):
    video = media.write_video(tmp_path / "in.mp4", 2)
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--device", "cpu")
    assert done.code == 0
    assert "onnxruntime" in done.out
