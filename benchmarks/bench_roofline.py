"""What share of this machine's peak a step reaches, by kind of layer. roofline_page.py writes docs/roofline.md.

Operations and bytes are counted in the exported graph (budget.py). The two roofs are measured in the same run, in turn
with the step: a single-precision matrix product and a memory copy, both by torch with the same threads. The floor of a
layer is the longer of two times: its operations at the one roof, its bytes at the other. The share of a kind of layers
is the sum of their floors over their time in ONNX Runtime's profiler. (Williams, Waterman and Patterson, "Roofline",
CACM 52(4), 2009.)
"""

import contextlib
import functools
import json
import shutil
import tempfile
from pathlib import Path
from statistics import median

import onnx
import torch

import budget
import common
import forms

PRODUCT = 1024  # rows and columns of the matrices, 12 MB: mostly out of the first caches, as in OpenBLAS's benchmark
COPY = 64 * 2**20  # bytes copied: more than any cache holds
OTHER = "reorder and other"  # nodes that the runtime adds: changes of layout


def peaks(threads):
    """Return {name: function} of the two roofs."""
    torch.set_num_threads(threads)
    a, b, product = torch.randn(PRODUCT, PRODUCT), torch.randn(PRODUCT, PRODUCT), torch.empty(PRODUCT, PRODUCT)
    source, target = torch.zeros(COPY, dtype=torch.uint8), torch.zeros(COPY, dtype=torch.uint8)
    return {"product": lambda: torch.mm(a, b, out=product), "copy": lambda: target.copy_(source)}


def kind_of(op, shapes):
    """Return the kind of a node that ONNX Runtime ran, as budget.py calls it. shapes: of its inputs."""
    if op in ("Conv", "FusedConv"):
        kernel = shapes[1]
        kind = "1x1" if kernel[2:] == [1, 1] else "depthwise" if kernel[1] == 1 else "other"
        return f"{kind} convolution"
    if op in ("Gemm", "FusedGemm", "MatMul", "ReduceMean", "GlobalAveragePool"):
        return "head"
    if op in ("TemporalShiftStep", "Slice", "Concat", "Split"):
        return "shift"
    return "addition" if op == "Add" else OTHER


def seconds_by_kind(engine, frames, warm_up, steps):
    """Return {kind: seconds a step}: the median over the steps of a separate session that ONNX Runtime profiles."""
    folder = tempfile.mkdtemp(prefix="tsm-edge-")
    try:
        twin = engine.profiled(str(Path(folder) / "layers"))
        state = twin.new_state()
        for _ in range(warm_up + steps):
            twin.step(frames, state)
        events = json.loads(Path(twin.session.end_profiling()).read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return sums(events, warm_up, steps)


def sums(events, warm_up, steps):
    """Return {kind: median seconds of a step} from the profiler's events, which come step by step."""
    nodes = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    a_step = len(nodes) // (warm_up + steps)
    if not a_step or len(nodes) % (warm_up + steps):
        raise ValueError(f"{len(nodes)} events of nodes in {warm_up + steps} steps")
    found = []
    for step in range(warm_up, warm_up + steps):
        times = {}
        for event in nodes[step * a_step : (step + 1) * a_step]:
            shapes = [shape for typed in event["args"]["input_type_shape"] for shape in typed.values()]
            kind = kind_of(event["args"]["op_name"], shapes)
            times[kind] = times.get(kind, 0.0) + 1e-6 * event["dur"]
        found.append(times)
    return {kind: median(times.get(kind, 0.0) for times in found) for kind in {k for times in found for k in times}}


def by_kind(layers, seconds, flops, bandwidth):
    """Return {kind: operations, bytes, floor in seconds, measured seconds, share of the roof}, the slowest first."""
    out = {}
    for kind in sorted({layer.kind for layer in layers} | set(seconds), key=lambda kind: -seconds.get(kind, 0.0)):
        some = [layer for layer in layers if layer.kind == kind]
        size = [4 * (layer.weights + layer.tensors) for layer in some]
        pairs = zip(some, size, strict=True)
        floor = sum(max(layer.operations / flops, count / bandwidth) for layer, count in pairs)
        time = seconds.get(kind, 0.0)  # 0: fused into another kind, as an addition into a convolution
        out[kind] = {
            "layers": len(some),
            "operations": sum(layer.operations for layer in some),
            "bytes": sum(size),
            "floor_seconds": floor,
            "seconds": time,
            "share": floor / time if time else None,
        }
    return out


def main():
    chosen = common.options(__doc__, rounds=60)
    name = forms.network_of(chosen)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        maker = forms.Maker(folder, name)
        layers = budget.layers(onnx.load(maker.path(forms.BEST)))
        engine = stack.enter_context(maker.engine(forms.BEST, chosen.threads))
        sides = peaks(chosen.threads)
        sides["step"] = functools.partial(engine.step, maker.frames(), engine.new_state())
        times = common.in_turn(sides, chosen.rounds)
        seconds = seconds_by_kind(engine, maker.frames(), 10, 2 * chosen.rounds)
    flops = 2 * PRODUCT**3 / median(times["product"])
    bandwidth = 2 * COPY / median(times["copy"])  # each byte is read and written
    kinds = by_kind(layers, seconds, flops, bandwidth)
    operations = sum(layer.operations for layer in layers)
    rows = {
        "network": name,
        "shift by": engine.shift_by,
        "step, ms": 1e3 * median(times["step"]),
        "matrix product, GFLOP/s": flops / 1e9,
        "memory copy, GB/s read and written": bandwidth / 1e9,
        "operations a frame, M": operations / 1e6,
        "bytes a frame, MB": sum(kind["bytes"] for kind in kinds.values()) / 1e6,
        "step, GFLOP/s": operations / median(times["step"]) / 1e9,
        "step / matrix product, operations/s": operations / median(times["step"]) / flops,
        "floor of all layers / step": sum(kind["floor_seconds"] for kind in kinds.values()) / median(times["step"]),
    }
    for kind, figures in kinds.items():
        rows[f"{kind}: ms"] = 1e3 * figures["seconds"]
        rows[f"{kind}: floor, ms"] = 1e3 * figures["floor_seconds"]
    common.finish("roofline", rows, chosen)
    if chosen.json:
        import plots

        record = json.loads(Path(chosen.json).read_text(encoding="utf-8"))
        record.update(peak_operations_s=flops, peak_bytes_s=bandwidth, kinds=kinds)
        common.write_json(chosen.json, record)
        plots.roofline(record, chosen.json)


if __name__ == "__main__":
    main()
