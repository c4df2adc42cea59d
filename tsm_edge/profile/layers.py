"""What each layer costs, with the shifts singled out: sorted from what the engine's own profiler reports."""

from tsm_edge.profile.record import Layer, Layers

# The nodes that are left of our ops where a runtime expands them (export/tsm_edge_export/functions.py), or where the
# model was lowered to them: slices and concatenations, and what ONNX Runtime's optimiser makes of two slices.
BODY = ("Shape", "Slice", "Concat", "Split", "Gather")
OPS = ("TemporalShiftStep", "TemporalShift")
# Conversions between NCHW and ONNX Runtime's blocked layout (NCHWc): a shift works on NCHW, convolutions on NCHWc.
LAYOUT = ("ReorderInput", "ReorderOutput", "Reformat")
MOST = 400  # layers kept in the file, the slowest


def sorted_out(by, measured, steps, step, places):
    """:class:`Layers` of what an engine measured.

    measured: (name, op, seconds a step) in the order of execution. by: what measured it. steps: how many.
    step: seconds of the whole step in that run. places: the manifest's, in the order of the shifts.

    A shift is known by its op's name (custom op, TensorRT plugin). Where a runtime expanded it, its nodes have lost
    their names ("Slice_152"; ONNX Runtime 1.10 gives addresses), but networks of ours hold no other concatenation: each
    one ends a shift, and there are as many as places. Where the counts differ, none is called a shift.
    """
    by_op = [op in OPS or any(kind in name for kind in OPS) for name, op, _ in measured]
    ends = [index for index, (_, op, _) in enumerate(measured) if op == "Concat"]
    rule = "known by its op's name"
    shift = set()
    names = {}
    if any(by_op):
        shift = {index for index, known in enumerate(by_op) if known}
    elif places and len(ends) == len(places):
        rule = "known as the only Shape, Slice, Split, Gather and Concat nodes, one Concat for each shift"
        place = 0
        for index, (_, op, _) in enumerate(measured):
            if op in BODY:
                shift.add(index)
                at = min(place, len(places) - 1)
                names[index] = "{} / {}".format(places[at], op)
                place += op == "Concat"
    else:
        rule = "not known: {} shifts in the model, {} concatenations in the engine".format(len(places), len(ends))
    layers = []
    for index, (name, op, seconds) in enumerate(measured):
        group = "shift" if index in shift else "layout" if op in LAYOUT else "other"
        layers.append(Layer(names.get(index, name), op, group, 1e3 * seconds))
    sums = {kind: sum(layer.milliseconds for layer in layers if layer.group == kind) for kind in ("shift", "layout")}
    total = sum(layer.milliseconds for layer in layers)
    kept = sorted(layers, key=lambda layer: -layer.milliseconds)[:MOST]
    return Layers(by, steps, 1e3 * step, total, sums["shift"], sums["layout"], rule, tuple(kept))
