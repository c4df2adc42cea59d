"""Writes a torch network as ONNX: opset 13, IR 8, a dynamic batch, the shift as a custom op or as standard ops."""

import contextlib
import io
import warnings
from typing import Any, Collection, Iterator

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.manifest import METADATA_KEY, Manifest, to_json
from tsm_edge.onnx.digest import DIGEST_KEY, digest_of
from tsm_edge.onnx.protobuf import fields
from tsm_edge_export import functions
from tsm_edge_export.models import Network, build_fused


class _Form(torch.nn.Module):
    """What is traced: a step of every stream, (frame, cache_00, …) -> (outputs …, cache_00_next, …), or whole clips.

    Clips give the mean of each output over time, (N, T, ...) -> (N, ...): the published "avg" consensus.
    """

    def __init__(self, network: Network, manifest: Manifest) -> None:
        super().__init__()
        self.network, self.manifest = network, manifest

    def forward(self, frames: Tensor, *caches: Tensor) -> tuple[Tensor, ...]:
        manifest = self.manifest
        if manifest.mode == "online":
            outputs, nexts = self.network.step(frames, caches, manifest.lowering, manifest.shift.direction)
            return (*_declared(outputs, manifest, 1), *nexts)
        outputs = self.network.clip(frames, manifest.shift.direction, manifest.lowering)
        return tuple(output.mean(1) for output in _declared(outputs, manifest, 2))


def _declared(outputs: tuple[Tensor, ...], manifest: Manifest, axes: int) -> tuple[Tensor, ...]:
    """Return `outputs`, which start with `axes` batch axes. Raises TsmEdgeError where the manifest says otherwise."""
    got = [([int(n) for n in output.shape[axes:]], str(output.dtype).split(".")[1]) for output in outputs]
    declared = [(list(spec.shape), spec.dtype) for spec in manifest.outputs]
    if got != declared:
        raise TsmEdgeError(f"{manifest.arch.name}: forward gave {got}, but outputs() declared {declared}")
    return outputs


def to_onnx(network: Network, manifest: Manifest) -> onnx.ModelProto:
    """Return the ONNX model of a fused network in eval mode, in the form that the manifest states.

    The initialisers keep the names of the network's state_dict, so that `network_of` can read them back.

    Raises:
        InputError: an offline model of outputs that have no mean over time.
        TsmEdgeError: the network gives other outputs than its `outputs` declares.
    """
    frame = manifest.frame
    if manifest.mode == "offline" and not network.has_mean_over_time:
        expected = "a classifier: an offline model gives the mean of its outputs over time"
        raise InputError(f"{manifest.arch.name}: mode", "offline", expected, "export it with --mode online")
    whole = [f"{spec.name} {spec.dtype}" for spec in manifest.outputs if not spec.dtype.startswith("float")]
    if manifest.mode == "offline" and whole:
        expected = "float outputs: an offline model gives their mean over time"
        raise InputError(f"{manifest.arch.name}: outputs", ", ".join(whole), expected, "export it with --mode online")
    inputs = ["frame"] + [cache.input for cache in manifest.caches]
    shapes: list[tuple[int, ...]] = [(3, frame.height, frame.width), *(cache.shape for cache in manifest.caches)]
    if manifest.mode == "offline":
        inputs, shapes = ["frames"], [(manifest.shift.n_segment, 3, frame.height, frame.width)]
    outputs = [each.name for each in manifest.outputs] + [cache.output for cache in manifest.caches]
    has_custom_ops = manifest.lowering == "custom" and manifest.shift.direction != "none"
    buffer: Any = io.BytesIO()
    with torch.no_grad(), _call_order(network) as order, warnings.catch_warnings():
        # The TorchScript exporter is deprecated, but alone writes opset 13, which TensorRT 8.2 and ONNX Runtime 1.10 on
        # a Nano read. The one by torch.export starts at opset 18.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            _Form(network, manifest).eval(),
            tuple(torch.zeros(2, *shape) for shape in shapes),
            buffer,
            dynamo=False,
            opset_version=functions.OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "N"} for name in inputs + outputs},
            custom_opsets={functions.DOMAIN: functions.VERSION} if has_custom_ops else None,
            do_constant_folding=True,
        )
    model = onnx.load_from_string(buffer.getvalue())
    model.ir_version = functions.IR_VERSION
    _name_weights(model, network, order)
    _state_outputs(model, manifest)
    functions.attach(model)
    embed(model, manifest)
    onnx.checker.check_model(model, full_check=manifest.lowering == "standard")
    return model


@contextlib.contextmanager
def _call_order(network: Network) -> Iterator[dict[str, None]]:
    """Collect the names of the layers with weights as they are called. A trace may run twice: first calls count."""
    order: dict[str, None] = {}
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: order.setdefault(name))
        for name, module in network.named_modules()
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d, torch.nn.Linear))
    ]
    try:
        yield order
    finally:
        for hook in hooks:
            hook.remove()


def embed(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Put a manifest into the metadata of the model, replacing an older one, and then the checksum.

    Nothing of the model may be changed afterwards: every loader compares the checksum with the file.
    """
    kept = [p for p in model.metadata_props if p.key not in (METADATA_KEY, DIGEST_KEY)]
    del model.metadata_props[:]
    model.metadata_props.extend([*kept, onnx.StringStringEntryProto(key=METADATA_KEY, value=to_json(manifest))])
    digest = digest_of(fields(model.SerializeToString()))
    model.metadata_props.append(onnx.StringStringEntryProto(key=DIGEST_KEY, value=digest))


def _name_weights(model: onnx.ModelProto, network: Network, order: Collection[str]) -> None:
    """Give every weight one initialiser, named as in the network's state_dict.

    The exporter merges equal tensors, such as the zero biases of an untrained network. Names could then not be read
    back. order: names of the layers with weights, in the order of their calls, which is that of their nodes.
    """
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose", "Gemm")]
    if len(layers) != len(order):
        raise TsmEdgeError(f"ONNX export: {len(layers)} layers with weights in the graph, {len(order)} in the network")
    state = network.state_dict()
    for node, name in zip(layers, order, strict=True):
        node.input[1:] = [key for key in (f"{name}.weight", f"{name}.bias") if key in state]
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read and tensor.name not in state]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for name, tensor in state.items():
        model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))


def _state_outputs(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Write down the sizes of the outputs, which the exporter loses behind a foreign op or a mean over time."""
    shapes = {spec.name: spec.shape for spec in manifest.outputs}
    shapes.update({cache.output: cache.shape for cache in manifest.caches})
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        del dims[1:]
        for size in shapes[value.name]:
            dims.add().dim_value = size


def network_of(model: onnx.ModelProto, manifest: Manifest, where: object) -> Network:
    """Return the fused torch network whose weights an exported model holds, to prove the file against itself.

    Raises InputError, which names the file `where`, for a weight that is missing or of another shape.
    """
    network = build_fused(manifest.arch, manifest.shift.fold_div)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    state = {}
    for name, tensor in network.state_dict().items():
        got: object = tuple(held[name].dims) if name in held else "no such tensor"
        if got != tuple(tensor.shape):
            raise InputError(f"{where}: weight {name}", got, tuple(tensor.shape), "export the model again")
        state[name] = torch.from_numpy(numpy_helper.to_array(held[name]).copy())
    network.load_state_dict(state, strict=True)
    return network
