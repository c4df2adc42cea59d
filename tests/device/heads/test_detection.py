"""The head of detectors: boxes in pixels of the source to half a pixel, tracks, events, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.heads.detector import LETTERBOX, detector_manifest, grid_with
from tests.device.toys import toy_manifest
from tsm_edge.errors import InputError
from tsm_edge.geometry import placement
from tsm_edge.heads import head_class, open_head
from tsm_edge.heads.detection import MAX_BOXES, Decision, DetectionHead, parse_decision
from tsm_edge.manifest import FrameSpec, OutputSpec, check
from tsm_edge.preprocess import Preprocessor
from tsm_edge.records import Box, Detections, Frame

CENTER = FrameSpec("NCHW", "RGB", 96, 128, 130, "center", (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


def frame_at(time, height=96, width=128, stream="door"):
    return Frame(int(time), float(time), np.zeros((height, width, 3), np.uint8), (), stream, 1.5e9 + time)


def head_of(frame=LETTERBOX, **decision):
    manifest = detector_manifest(frame, **decision)
    return open_head(manifest, "toy.model"), manifest


# ---------------------------------------------------------------- boxes


def test_a_box_by_hand():
    head, manifest = head_of()
    made = head.update({"grid": grid_with(manifest, ((20, 10, 60, 40), 0.75, 1))}, frame_at(0, 192, 256))
    assert made == Detections((Box("cup", 1, 0.75, pytest.approx((40, 20, 120, 80)), None),))
    assert isinstance(made.boxes[0].confidence, float) and isinstance(made.boxes[0].class_id, int)


def test_a_box_is_cut_at_the_edges_of_the_frame():
    head, manifest = head_of()
    outside = ((0, 0, 12, 12), 0.9, 0)  # in the border: a frame of 96x192 begins at row 24 of the input
    across = ((-20, 20, 30, 60), 0.8, 0)
    made = head.update({"grid": grid_with(manifest, outside, across)}, frame_at(0, 72, 192))
    assert [box.box for box in made.boxes] == [pytest.approx((0, 0, 45, 54))]


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 2)])
def test_frames_smaller_than_a_cell_and_very_long_ones(size):
    head, manifest = head_of()
    frame = frame_at(0, *size)
    tensor = Preprocessor(manifest.frame)(frame.image)
    assert tensor.shape == (1, 3, 96, 128)
    made = head.update({"grid": grid_with(manifest, ((0, 0, 128, 96), 0.9, 0))}, frame)
    assert made.boxes[0].box == pytest.approx((0, 0, size[1], size[0]))


def test_an_input_smaller_than_the_stride():
    frame = LETTERBOX._replace(height=3, width=2, short_side=3)
    head, manifest = head_of(frame)
    assert manifest.outputs[0].shape == (6, 1, 1)
    assert head.update({"grid": grid_with(manifest, ((0, 0, 2, 3), 0.9, 1))}, frame_at(0, 30, 20)).boxes[0].box == (
        pytest.approx((0, 0, 20, 30), abs=1e-3)
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38])
def test_a_grid_that_holds_anything_gives_finite_boxes(value):
    head, manifest = head_of(threshold=0.0)
    random = np.random.RandomState(0)
    grid = random.rand(*manifest.outputs[0].shape).astype(np.float32)
    grid[random.rand(*grid.shape) < 0.3] = value
    made = head.update({"grid": grid}, frame_at(0))
    assert np.isfinite(made.xyxy).all() and (made.confidence <= 1).all() and len(made.boxes) <= 100


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 99), st.sampled_from([0.0, 0.3, 1.0]))
def test_every_box_lies_in_the_frame(height, width, seed, threshold):
    head, manifest = head_of(threshold=threshold, nms=0.5)
    grid = np.random.RandomState(seed).standard_normal(manifest.outputs[0].shape).astype(np.float32) * 2
    made = head.update({"grid": grid}, frame_at(0, height, width))
    assert (made.xyxy[:, :2] >= 0).all() and (made.xyxy[:, 2:] <= [width, height]).all()
    assert (made.xyxy[:, 2:] > made.xyxy[:, :2]).all()
    assert (made.confidence >= threshold).all() and (np.diff(made.confidence) <= 0).all()


def shown_plane(plane, frame, path, turn):
    """Read a linear picture back from the input tensor: returns the picture, and a function of x and y of the input.

    plane: (H, W), linear in both coordinates of the sensor, and from 0 to 1 in the middle third of the picture. It goes
    through the preprocessing as grey levels, and a plane fitted to the tensor reads it back: resizing changes nothing
    linear, whatever its filter.
    """
    cv2 = pytest.importorskip("cv2")
    from tsm_edge.sources.rotation import TURNS

    levels = np.floor(np.clip(plane, 0, 0.99) * 255 + np.random.RandomState(0).rand(*plane.shape)).astype(
        np.uint8
    )  # dithered

    def seen(levels):
        image = cv2.merge([levels] * 3)
        image = image if turn == 0 else cv2.rotate(image, TURNS[turn])
        return image, Preprocessor(frame, path)(image)[0, 1] * frame.std[1] + frame.mean[1]

    (image, light), (_, dark) = seen(levels), seen(255 - levels)
    tensor = (light + 1 - dark) / 2  # OpenCV rounds halves of a level up, in both
    where, (height, width) = placement(frame, *image.shape[:2]), image.shape[:2]
    left, top, right, bottom = where.to_input([[width * 0.38, height * 0.38, width * 0.62, height * 0.62]])[0]
    rows, columns = np.mgrid[: frame.height, : frame.width] + 0.5
    inner = (columns > left) & (columns < right) & (rows > top) & (rows < bottom)
    terms = np.stack([columns[inner], rows[inner], np.ones(inner.sum())], axis=1)
    (of_x, of_y, constant), _, _, _ = np.linalg.lstsq(terms, tensor[inner], rcond=-1)
    return image, lambda x, y: of_x * x + of_y * y + constant


SOURCES = [(480, 640), (333, 517), (641, 359), (719, 1279), (97, 131), (1080, 1920), (205, 205), (59, 83)]


@pytest.mark.parametrize("path", ["exact", "fast"])
@pytest.mark.parametrize("frame", [LETTERBOX, CENTER, CENTER._replace(height=104, width=105, crop="letterbox")])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("size", SOURCES)
def test_a_box_comes_back_to_half_a_pixel_of_the_source(path, frame, turn, size):
    """Pictures whose levels are the coordinates of the sensor: what the input shows is where the box must be."""
    height, width = size
    down, across = 3 * (np.mgrid[:height, :width] + 0.5) / np.array(size)[:, None, None] - 1  # 0 to 1 in the middle
    # Both are slanted, so that no row or column has one level, whose rounding would shift it as a whole.
    image, mostly_x = shown_plane(0.75 * across + 0.25 * down, frame, path, turn)
    _, mostly_y = shown_plane(0.25 * across + 0.75 * down, frame, path, turn)
    head, manifest = head_of(frame)
    upright = image.shape[1], image.shape[0]
    shares = np.array([[0.43, 0.41, 0.58, 0.55]])
    left, top, right, bottom = placement(frame, upright[1], upright[0]).to_input(shares * (upright * 2))[0]
    grid = grid_with(manifest, ((left, top, right, bottom), 0.9, 0))
    x1, y1, x2, y2 = head.update({"grid": grid}, Frame(0, 0.0, image)).boxes[0].box
    for x, y, in_x, in_y in ((x1, y1, left, top), (x2, y2, right, bottom)):
        # From the upright picture back to the sensor.
        back = {0: (x, y), 90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[turn]
        a, b = mostly_x(in_x, in_y), mostly_y(in_x, in_y)
        shown = width * (1.5 * a - 0.5 * b + 1) / 3, height * (1.5 * b - 0.5 * a + 1) / 3
        assert back == pytest.approx(shown, rel=0, abs=0.5)


# ---------------------------------------------------------------- options


def test_the_threshold_the_most_and_the_overlap():
    objects = [((10, 10, 50, 50), 0.9, 0), ((18, 10, 58, 50), 0.8, 0), ((80, 10, 120, 50), 0.2, 1)]
    for decision, scores in (
        ({}, [0.9, 0.8]),
        ({"threshold": 0.1}, [0.9, 0.8, 0.2]),
        ({"threshold": 0.1, "most": 2}, [0.9, 0.8]),
        ({"nms": 0.5}, [0.9]),
        ({"nms": 0.9}, [0.9, 0.8]),
    ):
        head, manifest = head_of(**decision)
        made = head.update({"grid": grid_with(manifest, *objects)}, frame_at(0))
        assert made.confidence.tolist() == pytest.approx(scores)


WRONG = [
    ("threshold", -0.01),
    ("threshold", 1.01),
    ("threshold", float("nan")),
    ("threshold", "0.5"),
    ("most", 0),
    ("most", MAX_BOXES + 1),
    ("most", 2.5),
    ("nms", -0.1),
    ("nms", 1.5),
    ("track", 1),
    ("begin", 1.5),
    ("overlap", -1),
    ("appear", 0),
    ("vanish", 0),
    ("vanish", 10001),
    ("window", 3),
]


@pytest.mark.parametrize("name, value", WRONG)
def test_impossible_options_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        parse_decision({name: value}, "toy.model")
    with pytest.raises(InputError, match="toy.model"):
        open_head(detector_manifest(), "toy.model", {name: value})


@settings(max_examples=30)
@given(st.floats(0, 1), st.integers(1, MAX_BOXES), st.none() | st.floats(0, 1), st.booleans(), st.integers(1, 10000))
def test_possible_options_are_taken(threshold, most, nms, track, vanish):
    given_options = {"threshold": threshold, "most": most, "nms": nms, "track": track, "vanish": vanish}
    assert parse_decision(given_options, "toy.model") == Decision(**given_options)


def test_the_task_is_found_by_its_name_and_described():
    manifest = detector_manifest()
    check(manifest, "toy.model")
    assert head_class(manifest, "toy.model") is DetectionHead
    assert DetectionHead.describe(manifest) == (
        "boxes from 30% on, at most 100; tracks of boxes from 50% on, told after 3 frames, ended after 15 without"
    )
    text = DetectionHead.describe(detector_manifest(nms=0.5, track=False))
    assert text == "boxes from 30% on, at most 100, of those that overlap by more than 50% the best; no tracks"


@pytest.mark.parametrize(
    "outputs",
    [
        (OutputSpec("logits", (2,), "float32"),),
        (OutputSpec("grid", (5, 24, 32), "float32"),),
        (OutputSpec("grid", (6, 24, 31), "float32"),),
        (OutputSpec("grid", (6, 24, 32), "float16"),),
        (OutputSpec("boxes", (6, 24, 32), "float32"),),
    ],
)
def test_outputs_that_are_not_those_of_a_detector_are_refused(outputs):
    with pytest.raises(InputError, match=r"grid float32 \(6, 24, 32\)"):
        open_head(detector_manifest()._replace(outputs=outputs), "toy.model")


def test_a_classifier_is_no_detector_and_a_detector_is_no_classifier():
    with pytest.raises(InputError, match="outputs of a detector"):
        open_head(toy_manifest()._replace(task="detection"), "toy.model")
    with pytest.raises(InputError, match="logits"):
        open_head(detector_manifest()._replace(task="classification"), "toy.model")


# ---------------------------------------------------------------- tracks and events


def walk(head, manifest, count, begin=0):
    """Show a ball that moves 3 pixels a frame. Returns the tracks of its boxes."""
    tracks = []
    for index in range(begin, begin + count):
        x = 3 * index
        made = head.update({"grid": grid_with(manifest, ((x, 20, x + 30, 50), 0.9, 0))}, frame_at(index))
        tracks += [box.track for box in made.boxes]
    return tracks


def test_a_track_and_its_events():
    head, manifest = head_of(appear=3, vanish=4)
    assert walk(head, manifest, 6) == [None, None, 1, 1, 1, 1]
    (new,) = head.take_events()
    assert (new.type, new.label, new.start, new.end, new.stream) == ("new", "ball", 0, 2, "door")
    for index in range(6, 11):
        head.update({"grid": grid_with(manifest)}, frame_at(index))
    update, end = head.take_events()
    assert (update.type, update.leading, end.type, end.end, end.id) == ("update", False, "end", 5, new.id)
    assert walk(head, manifest, 3, begin=20) == [None, None, 2]
    head.reset()
    assert [event.type for event in head.take_events()] == ["new", "end"]
    assert walk(head, manifest, 3) == [None, None, 3]  # no number twice, not after a gap either


def test_without_tracks_there_are_no_events():
    head, manifest = head_of(track=False)
    assert walk(head, manifest, 6) == [None] * 6
    head.reset()
    assert head.take_events() == []


# ---------------------------------------------------------------- the record


def made_detections():
    return Detections((Box("cup", 1, 0.75, (1.0, 2.0, 3.004, 4.0), 7), Box("ball", 0, 0.5, (0.0, 0.0, 9.0, 9.0), None)))


def test_the_record_the_caption_and_the_arrays():
    made = made_detections()
    assert made.record() == {
        "boxes": [
            {"label": "cup", "class_id": 1, "confidence": 0.75, "box": [1.0, 2.0, 3.0, 4.0], "track": 7},
            {"label": "ball", "class_id": 0, "confidence": 0.5, "box": [0.0, 0.0, 9.0, 9.0], "track": None},
        ]
    }
    assert made.caption() == "1 ball, 1 cup"
    assert made.xyxy.tolist() == [[1, 2, np.float32(3.004), 4], [0, 0, 9, 9]] and made.xyxy.dtype == np.float32
    assert (made.confidence.tolist(), made.confidence.dtype) == ([0.75, 0.5], np.float32)
    assert (made.class_id.tolist(), made.class_id.dtype) == ([1, 0], np.int64)
    assert (made.tracker_id.tolist(), made.tracker_id.dtype) == ([7, -1], np.int64)


def test_the_record_of_nothing():
    none = Detections(())
    assert (none.record(), none.caption(), none.tracker_id) == ({"boxes": []}, "-", None)
    assert (none.xyxy.shape, none.confidence.shape, none.class_id.shape) == ((0, 4), (0,), (0,))
