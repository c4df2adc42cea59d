"""What each layer of a network costs, the shifts singled out, from what the engine's own profiler reports."""

from typing import Sequence

from tsm_edge.engines.base import LayerTimes
from tsm_edge.profile.record import Layer, Layers

# The nodes that are left of a shift op where a runtime expands its function body
# (export/tsm_edge_export/functions.py) or where the model was lowered to standard ops.
BODY_OPS = ("Shape", "Slice", "Concat", "Split", "Gather")
SHIFT_OPS = ("TemporalShiftStep", "TemporalShift")
# Conversions between NCHW and ONNX Runtime's blocked layout (NCHWc): a shift works on NCHW, convolutions on NCHWc.
LAYOUT_OPS = ("ReorderInput", "ReorderOutput", "Reformat")
KEPT_LAYERS = 400  # in the file, the slowest


def sort_layers(timed: LayerTimes, places: Sequence[str]) -> Layers:
    """Return the time of each layer, slowest first, and the sums of the shifts and of the layout conversions.

    A custom op or a TensorRT plugin is known as a shift by its op's name. Where a runtime expanded a shift, the nodes
    have lost their names ("Slice_152"; ONNX Runtime 1.10 gives addresses). But our networks hold no other
    concatenation, so each one ends a shift. Where their number is not that of the `places` of the shifts (in the order
    of the manifest), no layer is called a shift.
    """
    shifts = {}  # index of a layer -> the name to show
    for index, (name, op, _) in enumerate(timed.measured):
        if op in SHIFT_OPS or any(kind in name for kind in SHIFT_OPS):
            shifts[index] = name
    ends = sum(op == "Concat" for _, op, _ in timed.measured)
    rule = "known by the name of the op"
    if not shifts and places and ends == len(places):
        rule = "known as the only Shape, Slice, Split, Gather and Concat nodes, one Concat for each shift"
        place = 0
        for index, (_, op, _) in enumerate(timed.measured):
            if op in BODY_OPS:
                shifts[index] = "{} / {}".format(places[min(place, len(places) - 1)], op)
                place += op == "Concat"
    elif not shifts:
        rule = "not known: {} shifts in the model, {} concatenations in the engine".format(len(places), ends)
    layers = []
    for index, (name, op, seconds) in enumerate(timed.measured):
        group = "shift" if index in shifts else "layout" if op in LAYOUT_OPS else "other"
        layers.append(Layer(shifts.get(index, name), op, group, 1e3 * seconds))
    sums = {kind: sum(layer.milliseconds for layer in layers if layer.group == kind) for kind in ("shift", "layout")}
    total = sum(layer.milliseconds for layer in layers)
    slowest = sorted(layers, key=lambda layer: -layer.milliseconds)[:KEPT_LAYERS]
    return Layers(timed.by, timed.steps, 1e3 * timed.step, total, rule=rule, layers=tuple(slowest), **sums)
