"""The choice of a decision: the head's own answers, the order of what counts, and figures that a session repeats."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.evaluation import toy as ev
from tests.export.evaluation.test_clip_streams import clip, clips, stream_of
from tsm_edge.errors import InputError
from tsm_edge.heads.classification import Decision
from tsm_edge.records import Frame
from tsm_edge_export.evaluation import tuning
from tsm_edge_export.evaluation.clip_streams import ValidationClips
from tsm_edge_export.evaluation.matching import Truth
from tsm_edge_export.evaluation.stream import ClipSource, evaluate_stream
from tsm_edge_export.evaluation.tuning import Recording, Trial, best_of, choose, leaders_of, options_of, record, trial

FPS = 5.0
IGNORED = ("nothing",)
PLAIN = {"ignored": list(IGNORED)}


def alike(per_label, count=10):
    """Clips whose halves differ in nothing that the engine sees."""
    return [clip(label, 0, count) for label in range(3) for _ in range(per_label)]


def material(made, ignored=IGNORED):
    return ValidationClips(made, ev.LABELS, ignored, FPS, 2.0, "toy")


def noisy(seed, frames=60, strength=3.0):
    """A recording of random logits with two events."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, strength, (frames, len(ev.LABELS)))
    logits[10:20, 0] += 4
    logits[35:45, 1] += 4
    stamps = [Frame(index, index / FPS, np.empty(0, np.uint8)) for index in range(frames)]
    return Recording(logits, stamps, (Truth("wave", 2.0, 4.0), Truth("nod", 7.0, 9.0)), frames / FPS)


DECISIONS = st.builds(
    Decision,
    st.integers(1, 12),
    st.sampled_from([0.0, 0.4, 0.8, 0.99]),
    st.integers(1, 6),
    st.just(IGNORED),
    st.sampled_from([None, -1.0, 1.5, 4.0]),
    st.none(),
)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), DECISIONS)
def test_what_is_tried_is_what_the_head_does(seed, decision):
    recording, manifest = noisy(seed), ev.Reader(PLAIN).manifest
    leaders = leaders_of(recording, manifest.labels, decision.window, IGNORED)
    assert tuning._replayed(recording, leaders, decision) == trial(recording, manifest, decision)


def test_the_figures_are_those_of_a_session():
    """The chosen decision on the same stream, through `evaluate_stream`, which is what `tsm-edge run` does."""
    stream = stream_of(clips(4), FPS)
    with ev.Reader(PLAIN, share=0.6, fps=FPS) as engine:
        recording = record(engine, stream)
        for decision in (Decision(1, 0.0, 1, IGNORED), Decision(3, 0.6, 2, IGNORED, -0.5)):
            tried = trial(recording, engine.manifest, decision)
            report = evaluate_stream(engine, ClipSource(stream, FPS), stream.events, decision=options_of(decision))
            expected = report.figures
            assert {key: tried.figures[key] for key in expected} == expected
            assert tried.figures["seconds"] == pytest.approx(report.seconds)


def test_a_good_model_is_chosen_to_be_right_on_other_clips():
    quiet = clips(4, labels=[3], count=60)
    with ev.Reader(PLAIN, fps=FPS) as engine:
        said = []
        choice = choose(engine, material(alike(5) + quiet), progress=said.append)
    measured = choice.decision.measured
    assert (measured.right, measured.false_per_minute, measured.held_out) == (1.0, 0.0, True)
    assert measured.events == choice.checked.figures["events"] != choice.chosen.figures["events"]
    assert choice.decision[:4] == (1, 0.0, 1, IGNORED)  # nothing simpler is as good
    assert "19 clips" in said[0]


def test_a_model_that_flickers_is_steadied():
    """Every fifth frame shows another label: with no window and no hysteresis each is an event."""
    made = alike(5, count=20)
    for one in made:
        one.frames = one.frames.copy()
        one.frames[::5] = (one.label + 1) % 3 * ev.STEP
    with ev.Reader(PLAIN, fps=10.0) as engine:
        found = choose(engine, material(made + clips(4, labels=[3], count=60))._replace(fps=10.0))
    unset = Decision(ignored=IGNORED)
    assert found.decision.window + found.decision.hysteresis > 2
    assert found.decision.measured.right > 0.9 and found.decision.measured.false_per_minute <= 1
    with ev.Reader(PLAIN, fps=10.0) as engine:
        assert trial(record(engine, stream_of(made, 10.0)), engine.manifest, unset).false_per_minute > 10


def test_few_clips_choose_and_measure_on_the_same():
    with ev.Reader(PLAIN, fps=FPS) as engine:
        choice = choose(engine, material(clips(2) + clips(2, labels=[3])))
    assert not choice.held_out and choice.checked is choice.chosen and not choice.decision.measured.held_out


def test_too_few_clips_choose_nothing():
    with ev.Reader(PLAIN, fps=FPS) as engine, pytest.raises(InputError, match="too few clips"):
        choose(engine, material(clips(1)))


def test_the_same_clips_choose_the_same():
    with ev.Reader(PLAIN, share=0.5, fps=FPS) as engine:
        made = material([*clips(4), clip(0, 9, count=3)])
        assert choose(engine, made) == choose(engine, made)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_energy_costs_no_right_event(seed):
    recording, manifest = noisy(seed, strength=1.0), ev.Reader(PLAIN).manifest
    decision, tried = tuning.search(recording, manifest, IGNORED)
    gated, open_to_all = (trial(recording, manifest, one) for one in (decision, decision._replace(energy=None)))
    assert tried > 100 and gated.right >= open_to_all.right
    assert gated.false_per_minute <= open_to_all.false_per_minute
    assert gated.delay <= open_to_all.delay + 1 / FPS + 1e-9


def made_trial(right, false, delay, window=1, threshold=0.0, hysteresis=1, fragments=0):
    figures = {
        "right_share": right,
        "false": false,
        "fragments": fragments,
        "seconds": 60.0,
        "delay_from_end": None if delay is None else {"median": delay, "p90": delay},
    }
    return Trial(Decision(window, threshold, hysteresis), figures)


@pytest.mark.parametrize(
    "better, worse",
    [
        (made_trial(0.9, 1, 0.5), made_trial(0.8, 0, 0.1)),  # more right events within one false event a minute
        (made_trial(0.8, 1, 0.5), made_trial(0.84, 2, 0.5)),  # a second one must be worth 5 % of the events
        (made_trial(0.86, 2, 0.5), made_trial(0.8, 1, 0.5)),
        (made_trial(0.6, 1, 0.5), made_trial(0.95, 80, 0.5)),  # being right by showing every label now and then
        (made_trial(0.9, 0, 0.2), made_trial(0.9, 0, 0.5)),  # as many right: the faster
        (made_trial(0.9, 0, 0.22), made_trial(0.9, 1, 0.18)),  # as fast: fewer false events
        (made_trial(0.9, 0, 0.2, 1, 0.5, 2), made_trial(0.9, 0, 0.2, 3, 0.5, 2)),  # all else alike: the simplest
        (made_trial(0.9, 0, 0.2), made_trial(0.9, 0, 0.2, threshold=0.5)),
        (made_trial(0.9, 1, 0.2), made_trial(0.9, 1, 0.1, fragments=1)),  # told twice counts as false
        (made_trial(0.9, 0, 0.2), made_trial(0.0, 0, None)),
    ],
)
def test_the_order_of_what_counts(better, worse):
    assert best_of([better, worse]) is better and best_of([worse, better]) is better


def test_without_a_right_event_there_is_still_an_answer():
    only = made_trial(0.0, 0, None)
    assert best_of([only, made_trial(0.0, 50, None)]) is only and math.isinf(only.delay)
