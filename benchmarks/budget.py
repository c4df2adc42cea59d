"""Count the operations and bytes of one step of a model, and the least time that they take on a device.

python benchmarks/budget.py MODEL.onnx [--write README.md]     prints the tables; --write puts them into a page

The counts follow from the graph's shapes, for one stream; nothing is measured. The engine is assumed to fuse well:
activation functions, biases and additions become part of a layer. So a layer reads its input and its weights once and
writes its output once; an addition also reads its other operand. A shift reads a tensor and a cache and writes both.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import onnx

import common

BEGIN = "<!-- figures: benchmarks/budget.py -->\n"
BANDWIDTH = 25.6e9  # bytes/s; NVIDIA, Jetson Nano data sheet: 64-bit LPDDR4 at 1600 MHz
# Operations/s, a multiply-add being two: 128 cores x 2 x 921.6 MHz, twice that in halves (NVIDIA: 472 GFLOP/s).
PEAK = {"fp32": 236e9, "fp16": 472e9}
SIZES = {"fp32": 4, "fp16": 2}
FREE = {"Constant", "Identity", "Clip", "Relu", "Sigmoid"}  # done at build time, or fused into a layer


class Layer(NamedTuple):
    """What one layer costs.

    kind: "1x1 convolution", "depthwise convolution", "other convolution", "shift", "head" or "addition". operations:
    multiplications and additions. weights: elements of weights that are read. tensors: elements of activations and
    caches that are read and written.
    """

    kind: str
    operations: int
    weights: int
    tensors: int


def layers(model):
    """Return the layers of an online model, an onnx.ModelProto, for one stream.

    Raises:
        ValueError: an operator without a rule, so that none goes uncounted.
    """
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    weights = set(sizes)
    for value in [*graph.input, *graph.value_info, *graph.output]:
        sizes[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    found = []
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in weights:
            weights.add(node.output[0])  # one weight under two names
        elif node.op_type not in FREE:
            found.append(_layer(node, sizes, weights))
    return found


def _layer(node, sizes, weights):
    count = {name: math.prod(sizes[name]) for name in [*node.input, *node.output]}
    read = sum(count[name] for name in node.input if name in weights)
    moved = sum(count[name] for name in [*node.input, *node.output] if name not in weights)
    out = count[node.output[0]]
    if node.op_type == "Conv":
        kernel = sizes[node.input[1]]
        kind = "1x1" if kernel[2:] == (1, 1) else "depthwise" if kernel[1] == 1 else "other"
        return Layer(f"{kind} convolution", out * (2 * math.prod(kernel[1:]) + (len(node.input) > 2)), read, moved)
    if node.op_type == "ConvTranspose":
        kernel = sizes[node.input[1]]  # (in, out, height, width): each input adds to out x height x width values
        operations = 2 * count[node.input[0]] * math.prod(kernel[1:]) + (out if len(node.input) > 2 else 0)
        return Layer("other convolution", operations, read, moved)
    if node.op_type == "Concat":
        return Layer("head", 0, 0, moved)
    if node.op_type == "Gemm":
        return Layer("head", 2 * count[node.input[1]] + out, read, moved)
    if node.op_type == "ReduceMean":
        return Layer("head", count[node.input[0]], 0, moved)
    if node.op_type == "Add":
        return Layer("addition", out, 0, count[node.input[0]])  # the sum takes the place of what a convolution writes
    if node.op_type == "TemporalShiftStep":
        return Layer("shift", 0, 0, moved)
    raise ValueError(f"no rule for the operator {node.domain}:{node.op_type} ({node.output[0]})")


def floor_ms(found, precision):
    """Return the least milliseconds that layers take: by their operations, by their bytes, and layer by layer.

    The third is the longest: no layer is faster than the longer of its two times.
    """
    size, peak = SIZES[precision], PEAK[precision]
    compute = [layer.operations / peak * 1e3 for layer in found]
    memory = [(layer.weights + layer.tensors) * size / BANDWIDTH * 1e3 for layer in found]
    return sum(compute), sum(memory), sum(max(pair) for pair in zip(compute, memory, strict=True))


def tables(found):
    """Return the Markdown of what one step costs."""
    lines = ["| layers | count | operations, M | weights, MB fp16 | activations and caches, MB fp16 | floor fp16, ms |"]
    lines.append("|---|---|---|---|---|---|")
    kinds = list(dict.fromkeys(layer.kind for layer in found))
    for kind, some in [*((kind, [x for x in found if x.kind == kind]) for kind in kinds), ("**all**", found)]:
        operations, weight, tensor = (sum(layer[index] for layer in some) for index in (1, 2, 3))
        lines.append(
            f"| {kind} | {len(some)} | {operations / 1e6:.1f} | {weight * 2 / 1e6:.2f} | {tensor * 2 / 1e6:.2f} "
            f"| {floor_ms(some, 'fp16')[2]:.2f} |"
        )
    lines += ["", "| | bytes a frame | by bytes, ms | by operations, ms | layer by layer, ms | frames/s at most |"]
    lines.append("|---|---|---|---|---|---|")
    for precision in ("fp16", "fp32"):
        total = sum(layer.weights + layer.tensors for layer in found) * SIZES[precision]
        compute, memory, both = floor_ms(found, precision)
        lines.append(
            f"| {precision} | {total / 1e6:.1f} MB | {memory:.2f} | {compute:.2f} | **{both:.2f}** | {1e3 / both:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL.onnx")
    parser.add_argument("--write", metavar="README.md", type=Path)
    options = parser.parse_args()
    text = tables(layers(onnx.load(options.model)))
    print(text, end="")
    if options.write:
        common.write_between(options.write, BEGIN, text)


if __name__ == "__main__":
    main()
