"""The ops of domain `tsm_edge` as ONNX functions, whose bodies of standard ops travel in the model file.

A runtime with our kernel library runs the kernel; every other one expands the body. So a body must be right for every
attribute value, at opset 13, and cheap: constant folding leaves two slices and a concatenation of a step.
"""

import onnx
from onnx import parser

DOMAIN, VERSION, OPSET, IR_VERSION = "tsm_edge", 1, 13, 8

# y = [cache, x[:, F:]], next = x[:, :F], with F read from the cache's shape.
_STEP = """
<domain: "tsm_edge", opset_import: ["" : 13]>
TemporalShiftStep (x, cache) => (y, next)
{
  zero = Constant <value = int64[1] {0}> ()
  one = Constant <value = int64[1] {1}> ()
  two = Constant <value = int64[1] {2}> ()
  end = Constant <value = int64[1] {9223372036854775807}> ()
  shape = Shape (cache)
  fold = Slice (shape, one, two, zero)
  next = Slice (x, zero, fold, one)
  kept = Slice (x, fold, end, one)
  y = Concat <axis = 1> (cache, kept)
}
"""

# Time is padded with one zero frame at each end, so that frame t lies at t + 1. The first fold is then the window that
# starts at 2 (t + 1) when bidirectional = 1 and at 0 (t - 1) when it is 0; the second fold starts at 0 or at 1 (not
# moved). No branch is needed, and the slices stop by themselves at C where a causal shift has 2 * fold > C.
_CLIP = """
<domain: "tsm_edge", opset_import: ["" : 13]>
TemporalShift <n_segment, fold, bidirectional> (x) => (y)
{
  zero = Constant <value = int64[1] {0}> ()
  one = Constant <value = int64[1] {1}> ()
  two = Constant <value = int64[1] {2}> ()
  minus_one = Constant <value = int64[1] {-1}> ()
  end = Constant <value = int64[1] {9223372036854775807}> ()
  pads = Constant <value = int64[10] {0, 1, 0, 0, 0, 0, 1, 0, 0, 0}> ()
  segment_scalar = Constant <value_int: int = @n_segment> ()
  segment = Reshape (segment_scalar, one)
  fold_scalar = Constant <value_int: int = @fold> ()
  first_end = Reshape (fold_scalar, one)
  second_end = Add (first_end, first_end)
  both_scalar = Constant <value_int: int = @bidirectional> ()
  both = Reshape (both_scalar, one)
  flat_shape = Shape (x)
  frame_shape = Slice (flat_shape, one, end, zero)
  clip_shape = Concat <axis = 0> (minus_one, segment, frame_shape)
  clip = Reshape (x, clip_shape)
  moved = Slice (clip, zero, second_end, two)
  padded = Pad (moved, pads)
  first_from = Mul (both, two)
  first_to = Add (first_from, segment)
  first_time = Slice (padded, first_from, first_to, one)
  first = Slice (first_time, zero, first_end, two)
  second_from = Sub (one, both)
  second_to = Add (second_from, segment)
  second_time = Slice (padded, second_from, second_to, one)
  second = Slice (second_time, first_end, end, two)
  rest = Slice (clip, second_end, end, two)
  joined = Concat <axis = 2> (first, second, rest)
  y = Reshape (joined, flat_shape)
}
"""

FUNCTIONS = {"TemporalShiftStep": _STEP, "TemporalShift": _CLIP}


def function(name: str) -> onnx.FunctionProto:
    """Return the function of one of our ops."""
    return parser.parse_function(FUNCTIONS[name])


def attach(model: onnx.ModelProto) -> None:
    """Add to a model the body of each of our ops that its graph uses."""
    used = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    del model.functions[:]
    model.functions.extend(function(name) for name in sorted(used))
