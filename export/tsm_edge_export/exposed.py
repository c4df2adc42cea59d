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
    run as written, without the optimiser that would fuse them away.
    """
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    shifts = [_tensors(exposed.graph, cache) for cache in manifest.caches]
    known = {value.name for value in [*exposed.graph.input, *exposed.graph.output]}
    for name in dict.fromkeys(name for pair in shifts for name in pair):
        if name not in known:
            exposed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(exposed.SerializeToString(), options, ["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feed = {"frame": rng.standard_normal((2, 3, manifest.frame.height, manifest.frame.width), np.float32)}
    feed.update({c.input: rng.standard_normal((2, *c.shape), np.float32) for c in manifest.caches})
    names = [output.name for output in session.get_outputs()]
    got = {**feed, **dict(zip(names, session.run(names, feed), strict=True))}
    for cache, place, (x, y) in zip(manifest.caches, manifest.shift.places, shifts, strict=True):
        expected_y, expected_next = shift_step(got[x], feed[cache.input])
        error = max(np.abs(got[y] - expected_y).max(), np.abs(got[cache.output] - expected_next).max(initial=0))
        yield f"shift at {place} = reference, bit-exact", float(error)


def _tensors(graph, cache):
    """Names of the shifted input x and the output y of the shift that reads `cache`, in either lowering."""
    reader = next(node for node in graph.node if cache.input in node.input)
    if reader.domain == functions.DOMAIN:
        return reader.input[0], reader.output[0]
    kept = next(node for node in graph.node if reader.input[1] in node.output)  # Concat(cache, Slice(x))
    return kept.input[0], reader.output[0]
