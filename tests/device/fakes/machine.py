"""A machine with a fake GPU and a fake TensorRT: installs them where the code under test looks."""

import os
import sys
import types

from tests.device.fakes import pycuda_driver, tensorrt8, tensorrt10
from tests.device.fakes.gpu import Gpu
from tests.device.fakes.libcuda import LibCuda
from tests.device.fakes.network import World
from tests.device.fakes.onnx_file import READER
from tsm_edge.engines.tensorrt import compat as trt_compat
from tsm_edge.engines.tensorrt import cuda_device, cuda_graph, trial, worker
from tsm_edge.engines.tensorrt import log as trt_log
from tsm_edge.engines.tensorrt.build import Request

MAKE = {
    "8.2": lambda world: tensorrt8.make(world),
    "10": lambda world: tensorrt10.make(world, "10.3.0"),
    "11": lambda world: tensorrt10.make(world, "11.1.0"),
}


class Machine:
    """release: "8.2", "10" or "11". cuda: the generation of the driver, see LibCuda. folder: for the plugin library."""

    def __init__(self, monkeypatch, models, folder, release="8.2", cuda="10.2"):
        self.gpu = Gpu()
        self.world = World(self.gpu, bodies(models))
        self.libcuda = LibCuda(self.gpu, cuda)
        self.module = MAKE[release](self.world)
        self.compat = trt_compat.TensorRT(self.module, open_library=self.world.library)
        self.folder, self.models = str(folder), models
        driver = pycuda_driver.make(self.gpu)
        package = types.ModuleType("pycuda")
        package.driver, package.VERSION_TEXT = driver, "2022.1"
        for name, module in (("tensorrt", self.module), ("pycuda", package), ("pycuda.driver", driver)):
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(cuda_device, "_open", {})
        monkeypatch.setattr(trt_log, "_logs", {})
        monkeypatch.setattr(cuda_graph, "_libcuda", lambda: self.libcuda)
        monkeypatch.setattr(trt_compat, "load", lambda: self.compat)
        monkeypatch.setattr(trial, "WARM_UP_STEPS", 2)
        monkeypatch.setattr(trial, "TIMED_STEPS", 3)
        monkeypatch.setattr(worker, "run_apart", worker.run_here)  # fakes of this process are in no other one
        monkeypatch.setenv("TSM_EDGE_KERNELS", self.folder)
        self.plugin = os.path.join(self.folder, "libtsm_edge_tensorrt.so")
        with open(sys.executable, "rb") as file:
            header = file.read(20)  # that of a file for this processor, which is all that is read of it
        with open(self.plugin, "wb") as file:
            file.write(header + b" a fake plugin library")

    def model(self, name):
        return os.path.join(self.models, name + ".onnx")


def bodies(models):
    """Return the function bodies of both our ops, as our exports carry them: op -> bytes."""
    found = {}
    for name in ("tiny_custom", "tiny_offline"):
        with open(os.path.join(models, name + ".onnx"), "rb") as file:
            found.update(READER.bodies(file.read()))
    return found


def request(onnx, output, **changes):
    """Return a Request of `tsm-edge build` for one to three streams, its defaults changed."""
    return Request(onnx, str(output), streams="1:1:3")._replace(**changes)
