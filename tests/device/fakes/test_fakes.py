"""The fakes offer what the real bindings offer, by the same names and arguments, and nothing else."""

import ctypes
import inspect
import json
import os
import threading

import numpy as np
import pytest

from tests.device.fakes import onnx_file, pycuda_driver, tensorrt8
from tests.device.fakes.gpu import Gpu
from tests.device.fakes.libcuda import LibCuda
from tests.device.fakes.network import IHostMemory, IOptimizationProfile, ITimingCache, ParserError, World
from tests.device.fakes.signatures import arguments_of, beyond

with open(os.path.join(os.path.dirname(__file__), "real_api.json"), encoding="utf-8") as _file:
    REAL = json.load(_file)


def classes_of(module):
    return {name: thing for name, thing in vars(module).items() if inspect.isclass(thing)}


def test_tensorrt_82():
    module, real = tensorrt8.make(World(Gpu())), REAL["tensorrt 8.2.1"]
    shared = (IOptimizationProfile, ITimingCache, ParserError)
    fakes = dict(classes_of(module), **{thing.__name__: thing for thing in shared})
    compared = [name for name in fakes if name in real]
    assert len(compared) >= 12
    for name in compared:
        assert beyond(fakes[name], real[name]) == [], name
    assert [n for n in fakes if n not in real] == [
        "DataType",
        "BuilderFlag",
        "NetworkDefinitionCreationFlag",
        "TensorFormat",
    ]
    assert real["IHostMemory"] == {"dtype": None, "nbytes": None}
    assert isinstance(IHostMemory.nbytes, property)
    assert not hasattr(module.IBuilderConfig(None), "set_memory_pool_limit")
    assert not hasattr(module, "TensorIOMode")


def test_pycuda():
    module, real = pycuda_driver.make(Gpu()), REAL["pycuda 2022.1"]
    for name, thing in classes_of(module).items():
        if not issubclass(thing, Exception):
            assert beyond(thing, real[name]) == [], name
    functions = {n: f for n, f in vars(module).items() if inspect.isfunction(f)}
    assert {n: [arguments_of(f)] for n, f in functions.items()} == real["functions"]


def test_what_is_beyond_is_found():
    class Wrong:
        handle = 1

        def free(self, twice):
            pass

        def grow(self):
            pass

    assert len(beyond(Wrong, {"free": [[]], "handle": [[]]})) == 3


def test_fakes_refuse_what_the_real_ones_refuse():
    module = tensorrt8.make(World(Gpu()))
    with pytest.raises(AttributeError):
        module.IBuilderConfig(None).set_memory_pool_limit(0, 1)
    config = module.IBuilderConfig(None)
    with pytest.raises(AttributeError):
        config.max_work_space_size = 1
    driver = pycuda_driver.make(Gpu())
    with pytest.raises(driver.LogicError, match="initialization error"):
        driver.Device(0)
    driver.init()
    with pytest.raises(driver.LogicError, match="no context is current"):
        driver.mem_alloc(4)


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("same_thread", [True, False])
def test_the_default_stream_breaks_captures_of_blocking_streams_in_any_thread(blocking, same_thread):
    gpu = Gpu()
    driver, library = pycuda_driver.make(gpu), LibCuda(gpu)
    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    memory, host = driver.mem_alloc(4), np.zeros(4, np.uint8)
    stream = driver.Stream() if blocking else driver.Stream(1)
    assert library.cuStreamBeginCapture_v2(ctypes.c_void_p(stream.handle), ctypes.c_int(1)) == 0
    errors = []

    def copy():
        context.push()
        try:
            driver.memcpy_htod(memory, host)
        except driver.LogicError as error:
            errors.append(str(error))
        context.pop()

    thread = threading.Thread(target=copy)
    for run in (copy,) if same_thread else (thread.start, thread.join):
        run()
    broken = blocking or same_thread
    assert [error for error in errors if "capturing" in error] == errors
    assert bool(errors) == broken
    graph = ctypes.c_void_p()
    code = library.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph))
    assert code == (901 if broken else 0)


@pytest.mark.skipif(onnx_file.onnx is None, reason="needs the onnx package")
@pytest.mark.parametrize("name", ["tiny_custom", "tiny_standard", "tiny_offline", "mobilenetv2_tsm"])
def test_onnx_and_the_products_parser_read_the_same(models, name):
    """Both readers of the fakes, so that a test that passes with one passes with the other."""
    onnx = onnx_file.onnx
    with open(os.path.join(models, name + ".onnx"), "rb") as file:
        data = file.read()
    one, other = onnx_file.ByOnnx, onnx_file.ByProduct
    assert one.our_ops(data) == other.our_ops(data)
    bodies = [{op: onnx.FunctionProto.FromString(raw) for op, raw in r.bodies(data).items()} for r in (one, other)]
    assert bodies[0] == bodies[1]
    assert set(bodies[0]) >= one.our_ops(data)
    for kept in ([], sorted(one.bodies(data).values())[:1]):
        made = [onnx.load_model_from_string(reader.with_bodies(data, kept)) for reader in (one, other)]
        assert made[0] == made[1]
        assert len(made[0].functions) == len(kept)
