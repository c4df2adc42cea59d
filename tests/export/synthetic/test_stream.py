"""Synthetic streams: the truth that is written is what is rendered, and files are whole or absent."""

import itertools
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tsm_edge.errors import InputError
from tsm_edge_export import synthetic
from tsm_edge_export.synthetic.clip import Event, cached_scene
from tsm_edge_export.synthetic.scene import Scene

SMALL = 48, 64


@pytest.fixture(scope="module")
def stream():
    return synthetic.Stream(1, 90, fps=12, split="validation", size=SMALL)


def test_the_same_seed_gives_the_same_stream(stream):
    again = synthetic.Stream(1, 90, fps=12, split="validation", size=SMALL)
    assert again.events == stream.events and again.stays == stream.stays
    indices = [500, 3, 1079, 250]
    first = stream.read(indices)
    cached_scene.cache_clear()
    assert np.array_equal(again.read(sorted(indices)), first[np.argsort(indices)])
    assert synthetic.Stream(2, 90, fps=12, split="validation", size=SMALL).events != stream.events


def test_events_lie_apart_inside_the_stream_and_take_turns():
    stream = synthetic.Stream(5, 600, split="test", size=SMALL)
    assert stream.name.startswith("synthetic/") and stream.count == 9000
    for event, later in itertools.pairwise(stream.events):
        assert event.end + 0.9 < later.start
    assert stream.events[0].start > 0 and stream.events[-1].end < stream.seconds
    assert 0.12 < sum(event.end - event.start for event in stream.events) / stream.seconds < 0.6
    assert all(0.49 < event.end - event.start < 2.01 for event in stream.events)
    counts = [sum(event.label == label for event in stream.events) for label in synthetic.LABELS]
    assert counts[synthetic.NO_GESTURE] == 0 and min(counts[:11]) >= 5 and max(counts[:11]) - min(counts[:11]) <= 1


def test_hands_are_rendered_where_the_truth_has_events(stream, monkeypatch):
    """Pixels of the stream against pixels of the same stream without hands: they differ in every event but only there,
    on the way up and down, and where something meaningless is done."""
    scenes, render = [], Scene.render

    def without(self, motion, *rest):
        scenes.append(motion)
        return render(self, None, *rest)

    middles = [int((event.start + event.end) / 2 * stream.fps) for event in stream.events]
    idle = [index for index in range(0, stream.count, 40) if not _busy(stream, index)]
    real = stream.read(middles + idle)
    monkeypatch.setattr(Scene, "render", without)
    empty = stream.read(middles + idle)
    differs = [np.any(a != b) for a, b in zip(real, empty, strict=True)]
    assert all(differs[: len(middles)]) and not any(differs[len(middles) :])
    assert len(idle) > 5 and len(scenes) == len(differs)


def _busy(stream, index):
    clock = (index + 0.5) / stream.fps
    return any(act.begin - 0.1 < clock < act.end + 0.1 for act in stream._acts)


@pytest.mark.parametrize("label", ["swipe left", "swipe right"])
def test_swipes_of_a_stream_move_as_they_are_called(label):
    """Both with and without a mirrored scene: the hand's path through the event, in picture coordinates."""
    stream = synthetic.Stream(8, 400, size=SMALL)
    seen = set()
    for act in stream._acts:
        event = next((e for e in stream.events if act.begin <= e.start and e.end <= act.end), None)
        if event is None or event.label != label:
            continue
        stay = [stay for stay in stream.stays if stay.begin <= act.begin][-1]
        motion = stream._motion(act.playback, act.number)
        times = [
            act.end - t if act.playback.backward else t - act.begin for t in (event.start + 0.05, event.end - 0.05)
        ]
        first, last = (motion.poses(time)[0].x * (-1 if stay.mirror else 1) for time in times)
        assert (last < first - 0.2) if label == "swipe left" else (last > first + 0.2)
        seen.add(stay.mirror)
    assert seen == {False, True}


def test_scenes_change_while_no_hand_is_raised(stream):
    long = synthetic.Stream(6, 300, size=SMALL)
    assert len(long.stays) >= 5 and long.stays[0].begin == 0
    for stay in long.stays[1:]:
        assert not any(act.begin < stay.begin < act.end for act in long._acts)
    gaps = np.diff([stay.begin for stay in long.stays])
    assert gaps.min() >= 15 and gaps.max() < 55
    before, after = long.read([int(long.stays[1].begin * long.fps) - 1, int(long.stays[1].begin * long.fps) + 1])
    assert np.abs(before.astype(int) - after).mean() > 5


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": -1},
        {"seconds": 7},
        {"seconds": "60"},
        {"seconds": float("nan")},
        {"fps": 0},
        {"split": "all"},
        {"size": (8, 8)},
    ],
)
def test_bad_arguments_of_a_stream_are_refused(arguments):
    with pytest.raises(InputError) as caught:
        synthetic.Stream(**{"seed": 0, "seconds": 60, **arguments})
    assert next(iter(arguments)) in caught.value.where


def test_frames_beyond_the_stream_are_refused(stream):
    for index in (-1, stream.count):
        with pytest.raises(IndexError):
            stream.read([index])


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_a_stream_is_written_with_its_truth(tmp_path, ending):
    stream = synthetic.Stream(3, 10, fps=12, size=(96, 128))
    passed = []
    truth_path = synthetic.write_stream(tmp_path / ("demo" + ending), stream, progress=lambda r: passed.append(r) or r)
    assert sorted(os.listdir(tmp_path)) == sorted(["demo" + ending, "demo.json"]) and len(passed) == 1
    with open(truth_path, encoding="utf-8") as file:
        truth = json.load(file)
    assert truth["synthetic"] is True and truth["frames"] == stream.count and truth["size"] == [96, 128]
    assert [Event(**event) for event in truth["events"]] == stream.events
    reader = cv2.VideoCapture(str(tmp_path / ("demo" + ending)))
    assert reader.get(cv2.CAP_PROP_FPS) == pytest.approx(12)
    for index in range(stream.count):
        whole, picture = reader.read()
        assert whole
        if index % 50 == 0:
            error = np.abs(picture[..., ::-1].astype(int) - stream.read([index])[0]).mean()
            assert error < 12, "colours or frames out of order"
    assert not reader.read()[0]


def test_nothing_is_left_of_a_stream_that_breaks_off(tmp_path):
    def stop(indices):
        yield from indices[:5]
        raise KeyboardInterrupt

    stream = synthetic.Stream(3, 10, fps=12, size=SMALL)
    with pytest.raises(KeyboardInterrupt):
        synthetic.write_stream(tmp_path / "demo.avi", stream, progress=stop)
    assert os.listdir(tmp_path) == []


FULL_DISK = """
import resource, signal, sys
from tsm_edge.errors import InputError
from tsm_edge_export import synthetic
stream = synthetic.Stream(3, 10, fps=12, size=(96, 128))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
try:
    synthetic.write_stream(sys.argv[1], stream)
except InputError as error:
    print(error)
"""


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_a_full_disk_is_noticed_and_the_old_video_survives(tmp_path, ending):
    path = tmp_path / ("demo" + ending)
    path.write_bytes(b"the previous one")
    said = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert "frames could be written" in said.stdout and "disk space" in said.stdout
    assert path.read_bytes() == b"the previous one" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["demo.gif", "demo", "missing/demo.mp4"])
def test_bad_names_of_a_video_are_refused(tmp_path, name):
    with pytest.raises(InputError):
        synthetic.write_stream(tmp_path / name, synthetic.Stream(3, 8, size=SMALL))
