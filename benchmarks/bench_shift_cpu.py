"""Measure the shift on the CPU: the kernel against memcpy, and a network with the library, without it, without shifts.

    make kernels && make export MODEL=mobilenetv2_tsm && python benchmarks/bench_shift_cpu.py --threads 1

The 2D network is the same graph without shifts. All sides take turns, and a ratio is the median over the rounds. With
one thread the clock is the CPU time of this thread, which other programs disturb less.
"""

import functools
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime

import common
from tsm_edge.native import library as kernel_library

MODEL = common.ROOT / "build" / "mobilenetv2_tsm.onnx"
KERNELS = common.ROOT / "kernels"
STEPS = 5  # network steps per turn


def kernel_alone(rounds):
    """Return {figure: value} of kernels/tests/core_bench.cpp: the CPU kernel, memcpy of the same bytes, their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = KERNELS / "tests" / "core_bench.cpp", Path(folder) / "core_bench"
        subprocess.run(["g++", "-std=c++14", "-O3", str(source), "-o", str(program)], check=True)
        lines = subprocess.run([str(program), str(rounds)], check=True, stdout=subprocess.PIPE, text=True).stdout
    rows = {}
    for form, *sizes, op, copy, relative in map(str.split, lines.splitlines()):
        name = "{} {}x{}x{}x{} fold {}".format(form, *sizes)
        rows[name + ": op, us"] = float(op) / 1000
        rows[name + ": memcpy, us"] = float(copy) / 1000
        rows[name + ": op / memcpy"] = float(relative)
    return rows


def without_shifts(path):
    """Return the 2D network as bytes: each TemporalShiftStep is replaced by its x, and the caches are removed."""
    model = onnx.load(str(path))
    graph = model.graph
    shifts = [node for node in graph.node if node.op_type == "TemporalShiftStep"]
    x_of = {node.output[0]: node.input[0] for node in shifts}
    caches = {name for node in shifts for name in (node.input[1], node.output[1])}
    for node in shifts:
        graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [x_of.get(name, name) for name in node.input]
    for side in (graph.input, graph.output):
        for value in [value for value in side if value.name in caches]:
            side.remove(value)
    del model.functions[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def step(model, library, threads):
    """Return a function that runs one step of `model` on fixed buffers."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    if library:
        options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    binding, random = session.io_binding(), np.random.default_rng(0)
    for node, bind in [(n, binding.bind_ortvalue_input) for n in session.get_inputs()] + [
        (n, binding.bind_ortvalue_output) for n in session.get_outputs()
    ]:
        shape = [1 if isinstance(size, str) else size for size in node.shape]
        bind(node.name, onnxruntime.OrtValue.ortvalue_from_numpy(random.random(shape, np.float32)))
    return functools.partial(session.run_with_iobinding, binding)


def milliseconds(clock, call):
    """Return the mean milliseconds of STEPS calls."""
    start = clock()
    for _ in range(STEPS):
        call()
    return (clock() - start) / STEPS * 1000


def network(rounds, threads):
    """Return {figure: value} of one step: the 2D network, the online one by its function body and by the library."""
    library, model = kernel_library.find("onnxruntime"), MODEL.read_bytes()
    if library is None:
        raise SystemExit("no libtsm_edge_onnxruntime.so: make kernels")
    clock = time.thread_time if threads == 1 else time.perf_counter
    sides = {
        "2D network": step(without_shifts(MODEL), None, threads),
        "function body": step(model, None, threads),
        "library": step(model, library, threads),
    }
    calls = {name: functools.partial(milliseconds, clock, call) for name, call in sides.items()}
    values = common.rates_in_turn(calls, rounds)
    rows = {f"{MODEL.stem}: {name}, ms": median(times) for name, times in values.items()}
    rows[f"{MODEL.stem}: function body / 2D network"] = common.ratio(values, "function body", "2D network")
    rows[f"{MODEL.stem}: library / 2D network"] = common.ratio(values, "library", "2D network")
    rows[f"{MODEL.stem}: library / function body"] = common.ratio(values, "library", "function body")
    return rows


def main():
    chosen = common.options(__doc__, rounds=100)
    rows = kernel_alone(chosen.rounds)
    rows.update(network(chosen.rounds, chosen.threads))
    common.finish("shift_cpu", rows, chosen)


if __name__ == "__main__":
    main()
