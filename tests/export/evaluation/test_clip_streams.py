"""Streams made of clips: their events are those of the clips, to the frame."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.evaluation import toy as ev
from tsm_edge.errors import InputError, SourceError
from tsm_edge_export.evaluation import clip_streams
from tsm_edge_export.evaluation.clip_streams import LEAST_EVENTS, MAX_EVENTS, MAX_SECONDS, ROUND_EVENTS, halves

LABELS = ev.LABELS  # wave, nod, turn, nothing


def clip(label, number, count=10, fps=10.0):
    """A clip whose frame i is a picture of one grey level: 40 * label + number, and i in its first pixel."""
    frames = ev.grey([40 * label + number] * count, 8).copy()
    frames[:, 0, 0, 0] = np.arange(count)
    made = ev.Pictures(f"{LABELS[label]} {number}", label, frames)
    made.fps = fps
    return made


def clips(per_label=3, labels=range(3), **options):
    return [clip(label, number, **options) for label in labels for number in range(per_label)]


def stream_of(made, fps=5.0, seconds=2.0, ignored=("nothing",), seed=0, labels=LABELS):
    return clip_streams.of_clips(made, labels, fps, seconds, ignored, seed)


CLIPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 30), st.sampled_from([None, 4.0, 10.0, 29.97])), max_size=12
)


@settings(deadline=None, max_examples=50)
@given(CLIPS, st.sampled_from([1.0, 4.0, 7.5, 30.0]), st.integers(0, 2**32 - 1))
def test_every_event_is_one_clip_whole_and_in_order(rows, fps, seed):
    made = clips(LEAST_EVENTS) + [clip(label, 5, count, rate) for label, count, rate in rows]
    stream = stream_of(made, fps, 2.0, seed=seed)
    assert stream.count == max(1, math.floor(stream.seconds * fps))
    assert stream.pieces[0].begin == 0 and all(a.end == b.begin for a, b in pairwise(stream.pieces))
    gaps = [b.start - a.end for a, b in pairwise(stream.events)]
    gaps += [stream.events[0].start, stream.seconds - stream.events[-1].end]
    assert all(1 - 1e-9 <= gap <= 3 + 1e-9 for gap in gaps)
    for event in stream.events[:3]:
        piece = next(piece for piece in stream.pieces if piece.begin == event.start)
        rate = piece.clip.fps or piece.clip.count / 2.0
        assert event.label == LABELS[piece.clip.label]
        assert event.end - event.start == pytest.approx(piece.clip.count / rate)
        for index in range(math.ceil(event.start * fps), min(stream.count, math.ceil(event.end * fps))):
            shown = stream.read([index])[0]
            expected = min(piece.clip.count - 1, math.floor((index / fps - event.start) * rate))
            assert np.array_equal(shown, piece.clip.frames[expected])


def test_seeds_give_the_same_stream_or_another():
    made = clips()
    first, same, other = stream_of(made), stream_of(made), stream_of(made, seed=1)
    assert first.events == same.events and first.events != other.events
    assert np.array_equal(first.read(range(9)), same.read(range(9)))


def test_pauses_show_clips_of_the_ignored_label():
    stream = stream_of(clips() + clips(2, labels=[3], count=40))
    pauses = [piece for piece in stream.pieces if not any(piece.begin == event.start for event in stream.events)]
    assert all(LABELS[piece.clip.label] == "nothing" and piece.fps == 10.0 for piece in pauses)
    assert len(pauses) == len(stream.events) + 1
    assert len({piece.first for piece in pauses}) > 3  # from anywhere in the clip


def test_without_that_label_pauses_hold_the_frames_beside_them():
    stream = stream_of(clips())
    before, event, after, further = stream.pieces[:4]
    assert (before.clip, before.fps, before.first) == (event.clip, 0.0, 0)
    assert (after.clip, after.fps, after.first) == (event.clip, 0.0, event.clip.count - 1)
    assert after.end - after.begin == pytest.approx(further.end - further.begin)
    shown = stream.read(range(math.ceil(after.begin * 5.0), math.ceil(after.end * 5.0)))
    assert (shown == event.clip.frames[-1]).all()


def test_few_clips_are_played_again_and_many_are_chosen_of_each_label_alike():
    few = stream_of(clips(LEAST_EVENTS))
    assert ROUND_EVENTS <= len(few.events) < ROUND_EVENTS + 6
    many = stream_of([*clips(90, labels=[0]), *clips(90, labels=[1]), *clips(2, labels=[2])])
    counts = {label: sum(event.label == label for event in many.events) for label in LABELS[:3]}
    assert counts["turn"] == 2 and abs(counts["wave"] - counts["nod"]) <= 1
    assert MAX_EVENTS <= len(many.events) < MAX_EVENTS + 3


def test_long_clips_do_not_make_an_endless_stream():
    stream = stream_of(clips(4, count=600))
    assert stream.seconds < MAX_SECONDS + 70


@pytest.mark.parametrize("per_label", [4, 5, 9])
def test_halves_share_no_clip_and_have_all_labels(per_label):
    made = clips(per_label)
    first, second = halves(made)
    assert {id(one) for one in first}.isdisjoint(id(one) for one in second) and len(first + second) == len(made)
    for part in (first, second):
        assert all(sum(one.label == label for one in part) >= LEAST_EVENTS for label in range(3))


def test_too_few_clips_have_no_halves():
    assert halves(clips(3)) is None and halves([]) is None
    assert halves([*clips(9), clip(3, 0)]) is None


@pytest.mark.parametrize(
    "made", [[], clips(1), clips(3, labels=[0, 1]), clips(4, labels=[3])], ids=["none", "one each", "no turn", "quiet"]
)
def test_too_few_clips_make_no_stream(made):
    with pytest.raises(InputError, match="too few clips: .*'turn'.*\n.*at least 2 clips of each label"):
        stream_of(made)


def test_labels_that_are_all_ignored_make_no_stream():
    with pytest.raises(InputError, match="no label that makes an event"):
        stream_of(clips(4), ignored=LABELS)


def test_a_clip_that_cannot_be_read_is_named():
    made = clips()
    made[0].broken = True
    with pytest.raises(SourceError, match="wave 0"):
        stream = stream_of(made)
        for index in range(stream.count):
            stream.read([index])
