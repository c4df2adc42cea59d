"""What the temporal shift costs a face detector at 256x256, and how fast faces come out of a video file.

The twin is the same network without shift: it sees each frame alone. The two take turns. The weights are random unless
--weights names a checkpoint, which may also be the published centerface.onnx; the time of a step does not depend on
them. The number of boxes does, and so does the time that the tracker takes for them.
"""

import contextlib
import functools
import tempfile
from statistics import median

import onnx

import budget
import common
import forms
import tsm_edge
from tsm_edge_export import checkpoints, models

TWIN = forms.BEST._replace(direction="none")
SIDES = {"TSM": forms.BEST, "twin": TWIN}
CLIP = common.CLIPS.parent / "face_tracking" / "david" / "david.webm"  # 320x240, one face
FRAMES = 300  # of the clip, a turn
QUICK_SIZE = 64


def multiply_adds(path):
    """Return the multiply-adds of one step, without the additions of biases and of residual branches."""
    kinds = ("1x1 convolution", "depthwise convolution", "other convolution")
    return sum(layer.operations for layer in budget.layers(onnx.load(path)) if layer.kind in kinds) // 2


def boxes_rate(engine, frames, found):
    """Return the frames/s of a session from its first boxes to its last. found: gets the mean number of boxes."""
    count, boxes = 0, 0
    with tsm_edge.open_session(engine, str(CLIP), max_frames=frames) as session:
        for result in session:
            count, boxes = count + 1, boxes + len(result.prediction.boxes)
        found.append(boxes / count)
        return session.streams[0].fps


def main():
    parser = common.parser(__doc__, rounds=100)
    parser.add_argument("--weights", metavar="FILE", help="a checkpoint of mobilenetv2_tsm_faces, or centerface.onnx")
    chosen = common.parsed(parser)
    frames, size = (20, QUICK_SIZE) if chosen.quick else (FRAMES, None)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        maker = forms.Maker(folder, forms.TINY_DETECTOR if chosen.quick else forms.DETECTOR, size)
        if chosen.weights:
            maker.load(checkpoints.load(chosen.weights, maker.spec.arch).state)
        rows = {f"{name}: multiply-adds, M": multiply_adds(maker.path(form)) / 1e6 for name, form in SIDES.items()}
        rows["parameters, M"] = sum(weight.numel() for weight in models.outline(maker.spec.arch).parameters()) / 1e6
        engines = {name: stack.enter_context(maker.engine(form, chosen.threads)) for name, form in SIDES.items()}
        frame = maker.frames()
        steps = {name: functools.partial(each.step, frame, each.new_state()) for name, each in engines.items()}
        seconds = common.in_turn(steps, chosen.rounds, warm_up=10)
        rows.update({f"{name}: step, ms": 1e3 * median(values) for name, values in seconds.items()})
        rows["step, TSM / twin"] = common.ratio(seconds, "TSM", "twin")
        rows.update(common.interval(seconds, "TSM", "twin", "step, "))
        found = {name: [] for name in engines}
        sides = {name: functools.partial(boxes_rate, each, frames, found[name]) for name, each in engines.items()}
        rates = common.rates_in_turn(sides, 2 if chosen.quick else 7)
        for name, values in rates.items():
            rows[f"{name}: file to boxes, frames/s"] = median(values)
            rows[f"{name}: boxes a frame"] = median(found[name])
        rows["file to boxes, TSM / twin"] = common.ratio(rates, "TSM", "twin")
    common.finish("detection_cost", rows, chosen)


if __name__ == "__main__":
    main()
