"""The recording loop on numbered frames: how many clips, how long, of which moment, and what the keys do."""

import contextlib
import io
import shutil
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device import media
from tests.device.recording.clips import Typist, files_in, log_of, numbers_of
from tsm_edge.errors import InputError, StreamError
from tsm_edge.recording.folder import open_folder
from tsm_edge.recording.plan import Plan
from tsm_edge.recording.prompt import Screen
from tsm_edge.recording.recorder import Recorder
from tsm_edge.records import Gap
from tsm_edge.sources.base import Source, Stamp
from tsm_edge.sources.video import VideoFile


class Numbered(Source):
    """A camera without a clock of its own: `media.grey` frames for ever, or `count`; gaps: {frame: reason}."""

    def __init__(self, fps, count=100000, gaps=None):
        self.name, self.fps, self._count, self._gaps = "numbered", fps, count, gaps or {}
        self._index = -1

    def grab(self):
        self._index += 1
        if self._index >= self._count:
            return None
        gaps = (Gap(self._gaps[self._index], 1.0),) if self._index in self._gaps else ()
        return Stamp(self._index, self._index / self.fps, gaps)

    def retrieve(self, into=None):
        return media.grey(self._index)


def record(place, plan, source, keys=None):
    """Record into `place`. Returns (whether the plan is done, what the screen showed)."""
    output = io.StringIO()
    screen = Screen(output, None if keys is None else Typist(keys))
    with open_folder(str(place)) as folder:
        done = Recorder(plan, source, folder, "s", screen, contextlib.suppress).run()
    return done, output.getvalue()


def check_moments(place, fps):
    """Each clip of the log holds the frames that the source had then. Returns [(first frame, frames, label)]."""
    spans = []
    for clip in log_of(place):
        first = int(round(clip["start"] * fps))
        numbers, rate = numbers_of("{}/{}".format(place, clip["file"]))
        assert numbers == [index % 64 for index in range(first, first + clip["frames"])]
        assert rate == pytest.approx(fps, rel=1e-5)
        assert clip["seconds"] == pytest.approx(clip["frames"] / fps, abs=1e-3)
        spans.append((first, clip["frames"], clip["label"]))
    for before, after in zip(spans, spans[1:]):
        assert before[0] + before[1] <= after[0]
    return spans


@settings(max_examples=20, deadline=None)
@given(
    labels=st.integers(1, 3),
    clips=st.integers(1, 3),
    seconds=st.floats(0.2, 3.0),
    countdown=st.floats(0, 4.0),
    fps=st.floats(12.0, 60.0),
    nothing=st.sampled_from([None, "nothing"]),
)
def test_a_plan_is_recorded(labels, clips, seconds, countdown, fps, nothing):
    place = tempfile.mkdtemp()
    try:
        plan = Plan(("a", "b", "c")[:labels], clips, seconds, countdown=countdown, nothing=nothing)
        assert record(place, plan, Numbered(fps))[0]
        spans = check_moments(place, fps)
        gestures = [span for span in spans if span[2] != "nothing"]
        assert [label for _, _, label in gestures] == plan.turns()
        assert len(spans) - len(gestures) == (clips if nothing else 0)
        for _, count, _ in spans:
            assert abs(count - seconds * fps) <= 1
        ends = [0] + [first + count for first, count, _ in gestures]
        for end, (first, _, _) in zip(ends, gestures):
            assert (first - end) / fps >= countdown - 1 / fps
    finally:
        shutil.rmtree(place)


def test_a_video_is_recorded(tmp_path):
    video = media.write_video(tmp_path / "in.mkv", 400, fps=25.0)
    place = tmp_path / "data"
    assert record(place, Plan(("a",), 3, 1.0, countdown=2.0), VideoFile(video))[0]
    assert [count for _, count, _ in check_moments(place, 25.0)] == [25] * 6
    names = ["{}/s_0{}.avi".format(label, number) for label in ("a", "nothing") for number in (1, 2, 3)]
    assert files_in(place) == sorted(names + ["recording.jsonl"])


def test_a_camera_that_comes_back_gives_its_clip_once_more(tmp_path):
    """The interruption is in the first clip (frames 20 to 39); what was there of it goes."""
    done, shown = record(tmp_path, Plan(("a",), 2, 2.0, countdown=2.0, nothing=None), Numbered(10, gaps={30: "away"}))
    assert done and "away; the clip is recorded again" in shown
    spans = check_moments(tmp_path, 10)
    assert [count for _, count, _ in spans] == [20, 20] and spans[0][0] > 30


def test_an_interruption_in_a_pause_begins_the_pause_again(tmp_path):
    plan = Plan(("a",), 1, 2.0, countdown=3.0)
    assert record(tmp_path, plan, Numbered(10, gaps={12: "away"}))[0]
    nothing, gesture = check_moments(tmp_path, 10)
    assert nothing == (17, 20, "nothing") and gesture[0] >= 12 + 30


def test_a_source_that_ends_leaves_what_was_kept(tmp_path):
    with pytest.raises(StreamError, match="ended after 1 of 5 clips") as caught:
        record(tmp_path, Plan(("a",), 5, 1.0, countdown=1.0, nothing=None), Numbered(10, count=35))
    assert caught.value.exit_code == 1
    assert files_in(tmp_path) == ["a/s_01.avi", "recording.jsonl"]  # no draft of the second one


def test_a_camera_too_slow_for_the_clips(tmp_path):
    with pytest.raises(InputError, match="at least 2 frames"):
        record(tmp_path, Plan(("a",), 1, 0.5, nothing=None), Numbered(1.0))
    assert files_in(tmp_path) == []


def test_a_disk_that_takes_no_clip(tmp_path, monkeypatch):
    from tsm_edge.recording import draft

    def full(*_):
        raise OSError(28, "No space left on device")

    place = tmp_path / "data"
    place.mkdir()
    record(place, Plan(("a",), 1, nothing=None), Numbered(10))
    before = files_in(place)
    monkeypatch.setattr(draft.AviFile, "add", full)
    with pytest.raises(InputError, match="No space left"):
        record(place, Plan(("a",), 1, nothing=None), Numbered(10))
    assert files_in(place) == before


# ---------------------------------------------------------------- keys, one look at them a frame

FPS = 10  # the pause before a turn asks once before the first frame: call 1; then once a frame


def test_r_in_the_pause_records_the_last_clip_again(tmp_path):
    plan = Plan(("a",), 2, 1.0, countdown=1.0, nothing=None)
    done, shown = record(tmp_path, plan, Numbered(FPS), {30: "r"})
    assert done and "a/s_01.avi: removed" in shown
    kinds = [record.get("kind") for record in log_of(tmp_path)]
    assert kinds == ["clip", "removed", "clip", "clip"]
    assert files_in(tmp_path) == ["a/s_01.avi", "a/s_02.avi", "recording.jsonl"]
    assert log_of(tmp_path)[2]["file"] == "a/s_01.avi"


def test_r_before_anything_was_kept_does_nothing(tmp_path):
    assert record(tmp_path, Plan(("a",), 1, 1.0, nothing=None), Numbered(FPS), {5: "r"})[0]
    assert [clip["kind"] for clip in log_of(tmp_path)] == ["clip"]


def test_the_last_clip_can_be_recorded_again_too(tmp_path):
    plan = Plan(("a",), 1, 1.0, countdown=1.0, nothing=None)
    done, shown = record(tmp_path, plan, Numbered(FPS), {30: "r"})
    assert done and "removed" in shown and files_in(tmp_path) == ["a/s_01.avi", "recording.jsonl"]


@pytest.mark.parametrize("call", range(1, 70, 4))
def test_q_ends_at_any_moment_and_leaves_whole_clips(tmp_path, call):
    plan = Plan(("a",), 3, 1.0, countdown=1.0)
    done, _ = record(tmp_path, plan, Numbered(FPS), {call: "q"})
    assert not done
    check_moments(tmp_path, FPS) if (tmp_path / "recording.jsonl").exists() else None
    assert not [name for name in files_in(tmp_path) if "draft" in name]


def test_pressed_clips_last_from_key_to_key(tmp_path):
    plan = Plan(("a",), 2, pressed=True, longest=3.0, nothing=None)
    done, _ = record(tmp_path, plan, Numbered(FPS), {12: " ", 40: "\n", 60: " ", 110: "\n"})
    assert done
    first, second = check_moments(tmp_path, FPS)
    assert 20 <= first[1] <= 30  # ended by its key
    assert second[1] == 30  # by --longest


def test_a_pressed_clip_of_one_frame_is_asked_for_again(tmp_path):
    plan = Plan(("a",), 1, pressed=True, longest=2.0, nothing=None)
    done, shown = record(tmp_path, plan, Numbered(FPS), {10: "  ", 20: " "})
    assert done and "are needed; once more" in shown
    assert [count for _, count, _ in check_moments(tmp_path, FPS)] == [20]


def test_nothing_is_as_long_as_the_pressed_clips(tmp_path):
    plan = Plan(("a",), 2, seconds=2.0, pressed=True, longest=1.0)
    done, _ = record(tmp_path, plan, Numbered(FPS), {40: " ", 90: " "})
    assert done
    spans = check_moments(tmp_path, FPS)
    assert [(label, count) for _, count, label in spans] == [
        ("nothing", 20),
        ("a", 10),
        ("nothing", 10),
        ("a", 10),
    ]


def test_a_key_that_comes_early_ends_nothing(tmp_path):
    for call, kept in ((12, 0), (24, 1)):
        place = tmp_path / str(call)
        plan = Plan(("a",), 1, seconds=2.0, pressed=True, longest=1.0)
        record(place, plan, Numbered(FPS), {call: " ", call + 20: " "})
        spans = check_moments(place, FPS)
        assert sum(label == "nothing" and first < 30 for first, _, label in spans) == kept


def test_review_keeps_what_is_kept(tmp_path):
    """Clips end at calls 23, …: k keeps, r records again, q ends without the last one."""
    plan = Plan(("a",), 3, 1.0, countdown=1.0, review=True, nothing=None)
    done, shown = record(tmp_path, plan, Numbered(FPS), {30: "r", 70: "k", 110: "q"})
    assert not done and "keep it?" in shown
    assert files_in(tmp_path) == ["a/s_01.avi", "recording.jsonl"]
    (span,) = check_moments(tmp_path, FPS)
    assert span[0] > 30
