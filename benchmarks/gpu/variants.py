"""The engines that streaming.py compares. All have the same network and weights."""

import copy

import onnx
import torch

from tsm_edge.native import library as kernel_library
from tsm_edge_export import models, recipe
from tsm_edge_export.exporter import load_network
from tsm_edge_export.onnx_export import to_onnx
from tsm_edge_export.torch_engine import CudaShift, TorchEngine, _Shift

RECIPE = "mobilenetv2_tsm"


def why_not(kind, dry):
    """Return the reason why engines of `kind` cannot run here, or None."""
    if dry:
        return None
    if not torch.cuda.is_available():
        return "torch {} sees no GPU".format(torch.__version__)
    if kind == "onnxruntime":
        import onnxruntime

        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return "ONNX Runtime {} has no CUDA provider (onnxruntime-gpu)".format(onnxruntime.__version__)
    return None


def build(kind, half, device, folder, tiny=False):
    """Build the engines to compare.

    Args:
        kind: "torch" or "onnxruntime".
        half: whether to use float16 (torch).
        device: "cuda" or "cpu".
        folder: where to write ONNX files.
        tiny: whether to make the network small, for a dry run.

    Returns:
        The fused float32 network, and {name: engine}. "2D" is the same network without shifts.
    """
    spec = recipe.load(RECIPE)
    if tiny:
        frame = spec.frame._replace(height=32, width=32, short_side=32)
        weights = spec.weights._replace(file=None)  # random weights, because the recipe's do not fit this width
        spec = spec._replace(arch=spec.arch._replace(width=0.25), frame=frame, weights=weights)
    network, weights, labels = load_network(spec, None, "online")
    fused = models.fuse(network)
    manifest = recipe.manifest_of(spec._replace(labels=labels), "online", "custom", network, weights, RECIPE)
    if kind == "torch":
        return fused, _torch(fused, manifest, half, device)
    return fused, _onnxruntime(fused, manifest, device, folder)


def _torch(fused, manifest, half, device):
    flat = manifest._replace(shift=manifest.shift._replace(direction="none", places=()), caches=())
    library = kernel_library.find("cuda") if device == "cuda" else None

    def engine(form, shift=None, graphs=True):
        return TorchEngine(copy.deepcopy(fused), form, RECIPE, device, half, shift, graphs)

    made = {"2D": engine(flat), "streaming": engine(manifest, CudaShift(library) if library else None)}
    if library:
        made["streaming, torch copies"] = engine(manifest)
    made["streaming, no graphs"] = engine(manifest, CudaShift(library) if library else None, False)
    made["2D, no graphs"] = engine(flat, graphs=False)
    return made


def _onnxruntime(fused, manifest, device, folder):
    from tsm_edge.engines.onnxruntime.cuda import OnnxRuntimeCudaEngine, cuda_kernels

    made = {}

    def add(name, form, kernels=None, graphs=False):
        path = folder / "{}.onnx".format(len(made))
        onnx.save(to_onnx(fused if form.caches else without_shift, form), path)
        made[name] = OnnxRuntimeCudaEngine(str(path), form, kernels=kernels, graphs=graphs, place=device)

    without_shift = copy.copy(fused)
    without_shift.step = lambda frame, caches, lowering, direction: (fused.frame(frame), [])
    flat = manifest._replace(shift=manifest.shift._replace(direction="none", places=()), caches=(), lowering="standard")
    add("2D", flat)
    add("function body", manifest)
    add("standard", manifest._replace(lowering="standard"))
    add("standard, graphs", manifest._replace(lowering="standard"), graphs=True)
    library = cuda_kernels(manifest) if device == "cuda" else None
    if library:
        add("library", manifest, library)
        add("library, graphs", manifest, library, True)
    add("2D, graphs", flat, graphs=True)
    return made


def shifts_alone(engine, state, seconds):
    """Measure all shifts of an online step alone, in one CUDA graph, and their share of the time of a whole step.

    Args:
        engine: a TorchEngine. Its network runs once, for the inputs of the shifts.
        state: a state of `engine`.
        seconds: a function (launch) -> seconds of one call of `launch`.
    """
    inputs = []

    def keep_input(x, fold):
        inputs.append(x.clone())
        return x

    with torch.inference_mode():
        engine.network(engine.as_input(state.frame), keep_input)

    @torch.inference_mode()
    def shifts():
        shift = _Shift(*state.caches, engine.shift)
        for x, spec in zip(inputs, engine.manifest.caches, strict=True):
            shift(x, spec.shape[0])

    launch = shifts
    if engine.graphs:
        with torch.cuda.stream(engine.stream):
            shifts()
        engine.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=engine.stream):
            shifts()
        launch = graph.replay
    alone, step = seconds(launch), seconds(lambda: state.launch(0))
    return {"ms": 1e3 * alone, "step ms": 1e3 * step, "share": alone / step, "shift_by": engine.shift_by}
