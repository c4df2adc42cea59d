"""Is every shift of an exported file a copy, to the bit? Asked of the file itself, with its inner tensors exposed."""

import numpy as np
import onnx
import onnxruntime

from tsm_edge.manifest import Manifest
from tsm_edge.shift import shift_step
from tsm_edge_export import functions


def copy_errors(model: onnx.ModelProto, manifest: Manifest):
    """Yield (name, error) for each shift: the largest difference between what the file computes and the reference.

    Runs one step of two streams with random frames and caches; needs the names of the shifts' tensors, so the graph is
    run as written, without the optimiser that would fuse them away. The model has been loaded by ONNX Runtime before.
    """
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    shifts = [_tensors(exposed.graph, cache) for cache in manifest.caches]
    known = {value.name for value in [*exposed.graph.input, *exposed.graph.output]}
    for name in dict.fromkeys(name for pair in shifts for name in pair or ()):
        if name not in known:
            exposed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options, ["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {"frame": rng.standard_normal((2, 3, manifest.frame.height, manifest.frame.width), np.float32)}
    feed.update({c.input: rng.standard_normal((2, *c.shape), np.float32) for c in manifest.caches})
    names = [output.name for output in session.get_outputs()]
    got = {**feed, **dict(zip(names, session.run(names, feed), strict=True))}
    for cache, place, tensors in zip(manifest.caches, manifest.shift.places, shifts, strict=True):
        yield f"shift at {place} = reference, bit-exact", _copy_error(got, cache, tensors)


def _copy_error(got, cache, tensors):
    """got: name -> array. Infinity where nothing shifts by this cache, or by other sizes."""
    if tensors is None:
        return float("inf")
    x, y = (got[name] for name in tensors)
    try:
        expected = shift_step(x, got[cache.input])
    except ValueError:
        return float("inf")
    return max(_difference(y, expected[0]), _difference(got[cache.output], expected[1]))


def _difference(a, b):
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.abs(a - b).max())


def _tensors(graph, cache):
    """Names of the shifted input x and the output y of the shift that reads `cache`, in either lowering; or None."""
    reader = next((node for node in graph.node if cache.input in node.input), None)
    if reader is None:
        return None
    if reader.domain == functions.DOMAIN:
        return reader.input[0], reader.output[0]
    kept = [node for node in graph.node for name in reader.input if name != cache.input and name in node.output]
    if reader.op_type != "Concat" or len(kept) != 1 or kept[0].op_type != "Slice":  # not Concat(cache, Slice(x))
        return None
    return kept[0].input[0], reader.output[0]
