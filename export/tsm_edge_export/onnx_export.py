"""torch -> ONNX: opset 13, IR 8, dynamic batch of streams, the shift as a custom op (or as standard ops)."""

import contextlib
import functools
import io
import warnings

import onnx
import torch
from onnx import numpy_helper

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.manifest import METADATA_KEY, Manifest, to_json
from tsm_edge_export import functions
from tsm_edge_export.models import Network, build_fused


class _Step(torch.nn.Module):
    """One frame of every stream: (frame, cache_00, …) -> (logits, cache_00_next, …)."""

    def __init__(self, network, lowering):
        super().__init__()
        self.network, self.lowering = network, lowering

    def forward(self, frame, *caches):
        logits, nexts = self.network.step(frame, caches, lowering=self.lowering)
        return (logits, *nexts)


class _Clip(torch.nn.Module):
    """Whole clips: frames (N, T, 3, H, W) -> logits (N, classes), the mean over time ("avg" consensus)."""

    def __init__(self, network, direction, lowering):
        super().__init__()
        self.network, self.direction, self.lowering = network, direction, lowering

    def forward(self, frames):
        return self.network.clip(frames, self.direction, lowering=self.lowering).mean(1)


def to_onnx(network: Network, manifest: Manifest) -> onnx.ModelProto:
    """The model file of `network`, whose form `manifest` states (mode, direction, lowering, caches, frame size).

    network: fused (`tsm_edge_export.models.fuse`), in eval mode, so that initialisers keep the names of its state_dict
    and `network_of` can read them back. The manifest is embedded; call `embed` again to change it.
    """
    frame = manifest.frame
    if manifest.mode == "online":
        module = _Step(network, manifest.lowering)
        example = [torch.zeros(2, 3, frame.height, frame.width)]
        example += [torch.zeros(2, *cache.shape) for cache in manifest.caches]
        inputs = ["frame"] + [cache.input for cache in manifest.caches]
        outputs = ["logits"] + [cache.output for cache in manifest.caches]
    else:
        module = _Clip(network, manifest.shift.direction, manifest.lowering)
        example = [torch.zeros(2, manifest.shift.n_segment, 3, frame.height, frame.width)]
        inputs, outputs = ["frames"], ["logits"]
    buffer = io.BytesIO()
    with torch.no_grad(), _call_order(network) as order, warnings.catch_warnings():
        # The TorchScript exporter is deprecated, yet the only one that writes opset 13, which TensorRT 8.2 and
        # ONNX Runtime 1.10 on a Nano read; the torch.export one starts at 18.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            module.eval(),
            tuple(example),
            buffer,
            dynamo=False,
            opset_version=functions.OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={name: {0: "N"} for name in inputs + outputs},
            custom_opsets={functions.DOMAIN: functions.VERSION} if manifest.lowering == "custom" else None,
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
def _call_order(network):
    """Collect the names of the layers with weights as they are called. A trace may run twice: first calls count."""
    order, hooks = [], []
    for name, module in network.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            hooks.append(module.register_forward_pre_hook(functools.partial(_note, order, name)))
    try:
        yield order
    finally:
        for hook in hooks:
            hook.remove()


def _note(order, name, module, inputs):
    if name not in order:
        order.append(name)


def embed(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Put `manifest` into the model's metadata, in place of one that was there."""
    kept = [p for p in model.metadata_props if p.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend([*kept, onnx.StringStringEntryProto(key=METADATA_KEY, value=to_json(manifest))])


def _name_weights(model, network, order):
    """Give every weight one initialiser, named as in the network's state_dict.

    order: names of the layers with weights, in the order of their calls, which is that of their nodes. The exporter
    merges equal tensors (the zero biases of an untrained network, say), after which names could not be read back.
    """
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    if len(layers) != len(order):
        raise TsmEdgeError(f"ONNX export: {len(layers)} layers with weights in the graph, {len(order)} in the network")
    state = network.state_dict()
    for node, name in zip(layers, order, strict=True):
        node.input[1:] = [f"{name}.weight", f"{name}.bias"]
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read and tensor.name not in state]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for name, tensor in state.items():
        model.graph.initializer.append(numpy_helper.from_array(tensor.numpy(), name))


def _state_outputs(model, manifest):
    """Write down the sizes of the outputs, which the exporter loses behind a foreign op or a mean over time."""
    shapes = {"logits": (manifest.arch.num_classes,), **{cache.output: cache.shape for cache in manifest.caches}}
    for value in model.graph.output:
        for dim, size in zip(value.type.tensor_type.shape.dim[1:], shapes[value.name], strict=True):
            dim.dim_value = size


def network_of(model: onnx.ModelProto, manifest: Manifest, where) -> Network:
    """The fused torch network whose weights an exported model holds, for proving the file against itself.

    Raises InputError where a weight is missing or of another shape.
    """
    network = build_fused(manifest.arch, manifest.shift.fold_div)
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    state = {}
    for name, tensor in network.state_dict().items():
        got = tuple(held[name].dims) if name in held else "no such tensor"
        if got != tuple(tensor.shape):
            raise InputError(f"{where}: weight {name}", got, tuple(tensor.shape), "export the model again")
        state[name] = torch.from_numpy(numpy_helper.to_array(held[name]).copy())
    network.load_state_dict(state, strict=True)
    return network
