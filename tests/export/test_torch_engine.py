"""The torch engine: the contract of engines, on the CPU here and on a GPU where there is one.

The CUDA library's step is the same text compiled for the CPU (kernels/tests/cuda_shim), so its layout is put to the
test without a GPU too.
"""

import os
import subprocess

import numpy as np
import pytest
import torch

pytest.register_assert_rewrite("tests.device.engines.contract")

from tests.device.engines.contract import EngineContract  # noqa: E402
from tests.device.streams import noise, steps  # noqa: E402
from tests.kernels.cuda_driver import KERNELS  # noqa: E402
from tests.lock import locked  # noqa: E402
from tests.tolerances import allowed  # noqa: E402
from tsm_edge import load_engine  # noqa: E402
from tsm_edge.errors import InputError, TsmEdgeError  # noqa: E402
from tsm_edge.native import library as kernel_library  # noqa: E402
from tsm_edge_export.torch_engine import CudaShift, TorchEngine, load_torch_engine  # noqa: E402

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")


@pytest.fixture(scope="session")
def shim_library():
    """libtsm_edge_cuda.so over the shim: kernels of the GPU that run on the CPU."""
    folder = os.path.join(os.path.dirname(KERNELS), "build", "cuda-shim")
    library = os.path.join(folder, "libtsm_edge_cuda.so")
    sources = [os.path.join(KERNELS, "cuda", name) for name in ("temporal_shift.cu", "preprocess.cu", "c_api.cpp")]
    flags = ["-std=c++14", "-O2", "-w", "-fno-strict-aliasing", "-fPIC", "-shared", "-x", "c++"]
    with locked(folder):
        shim = "-I" + os.path.join(KERNELS, "tests", "cuda_shim")
        subprocess.run(["g++", *flags, shim, *sources, "-o", library], check=True)
    return library


class TestTorch(EngineContract):
    def open(self, path):
        return load_torch_engine(path)


class TestTorchHalf(EngineContract):
    tolerance = "float16"

    def open(self, path):
        return load_torch_engine(path, half=True)

    def test_the_past_matters(self, engine):
        """As everywhere, but what a shift changes need not be more than float16 may be off."""
        frames = noise(engine.manifest.frame, 5)
        got = steps(engine, engine.new_state(), frames)
        fresh = np.stack([engine.step(frame, engine.new_state())["logits"] for frame in frames])
        assert np.array_equal(got[0], fresh[0])
        assert not any(np.array_equal(a, b) for a, b in zip(got[1:], fresh[1:], strict=True))


class TestTorchKernelLibrary(EngineContract):
    @pytest.fixture(autouse=True)
    def library(self, shim_library):
        self.kernel = CudaShift(shim_library)

    def open(self, path):
        engine = load_torch_engine(path)
        return TorchEngine(engine.network, engine.manifest, path, shift=self.kernel)


@needs_cuda
class TestTorchCuda(EngineContract):
    def open(self, path):
        return load_torch_engine(path, "cuda", kernels=False)


@needs_cuda
class TestTorchCudaKernels(EngineContract):
    def open(self, path):
        if kernel_library.find("cuda") is None:
            pytest.skip("libtsm_edge_cuda.so is not built (make kernels)")
        return load_torch_engine(path, "cuda")


@needs_cuda
class TestTorchCudaHalf(TestTorchHalf):
    def open(self, path):
        return load_torch_engine(path, "cuda", half=True)


@needs_cuda
def test_graphs_change_nothing(model):
    logits = []
    for graphs in (False, True):
        with load_torch_engine(model, "cuda", graphs=graphs) as engine:
            logits.append(steps(engine, engine.new_state(2), noise(engine.manifest.frame, 9, 2)))
    assert np.abs(logits[0] - logits[1]).max() <= allowed(logits[0])


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


def test_the_library_and_torchs_copies_are_bit_equal(model, shim_library):
    logits = []
    for shift in (None, CudaShift(shim_library)):
        engine = load_torch_engine(model)
        engine.shift = shift
        state = engine.new_state(2)
        logits.append([steps(engine, state, noise(engine.manifest.frame, 9, 2)), *state.snapshot()])
    assert all(np.array_equal(a, b) for a, b in zip(*logits, strict=True))


def test_frames_in_the_staging_array_need_no_copy(model):
    with load_torch_engine(model) as engine:
        frames = noise(engine.manifest.frame, 3, 2)
        expected = steps(engine, engine.new_state(2), frames)
        state = engine.new_state(2)
        for frame, logits in zip(frames, expected, strict=True):
            state.staging[...] = frame
            assert np.array_equal(engine.step(state.staging, state)["logits"], logits)


@pytest.mark.parametrize("streams", [[1], [2, 0], [1, 2, 0]])
def test_frames_in_the_staging_array_may_be_those_of_some_streams(model, streams):
    """The frames then move within the array: those of streams 2 and 0 stand in rows 0 and 1."""
    with load_torch_engine(model) as engine:
        frames = noise(engine.manifest.frame, 1, 3)
        state, other = engine.new_state(3), engine.new_state(3)
        state.staging[...] = frames[0]
        count = len(streams)
        got = engine.step(state.staging if count == 3 else state.staging[:count], state, streams)["logits"]
        assert np.array_equal(got, engine.step(frames[0, :count], other, streams)["logits"])


def test_the_2d_network_steps_too(model):
    """What the shift's cost is measured against: no caches, and each frame for itself."""
    with load_torch_engine(model) as engine:
        shift = engine.manifest.shift._replace(direction="none", places=())
        flat = TorchEngine(engine.network, engine.manifest._replace(shift=shift, caches=()), model)
        frames = noise(engine.manifest.frame, 3)
        got = steps(flat, flat.new_state(), frames)
        expected = flat.network.frame(torch.from_numpy(frames[:, 0]))[0].numpy()
    assert np.abs(got[:, 0] - expected).max() <= allowed(expected)


def test_it_agrees_with_onnx_runtime(model):
    with load_torch_engine(model) as engine, load_engine(model, threads=1) as other:
        frames = noise(engine.manifest.frame, 9)
        expected = steps(other, other.new_state(), frames)
        assert np.abs(steps(engine, engine.new_state(), frames) - expected).max() <= allowed(expected)


def test_what_cannot_be_is_refused(model, tmp_path, shim_library):
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="a GPU that torch can use"):
            load_torch_engine(model, "cuda")
    with pytest.raises(InputError, match="make kernels"):
        CudaShift(tmp_path / "none.so")
    x, small = torch.zeros(1, 8, 2, 2), torch.zeros(1, 8, 2, 2)
    with pytest.raises(TsmEdgeError, match="CUDA shift"):
        CudaShift(shim_library)(x, 9, small, small.clone())
