import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.heads.classification import Decider, Event, softmax
from tsm_edge.manifest import DecisionSpec

LABELS = ("nothing", "wave", "swipe", "push", "pull", "turn", "zoom")
SURE = 8.0  # a logit that gives its class a probability of 0.998 among seven


def spec(window=1, threshold=0.5, hysteresis=1, ignored=("nothing",)):
    return DecisionSpec(window, threshold, hysteresis, tuple(ignored))


def logits(label=None):
    """Sure of one label; with None equal for all, which is below any gate of these tests."""
    values = np.zeros(len(LABELS), np.float32)
    if label is not None:
        values[LABELS.index(label)] = SURE
    return values


def play(decider, script):
    """Feed one letter a second: w(ave), s(wipe), p(ush), n(othing), - (unsure). Returns the labels and events shown."""
    names = {name[0]: name for name in ("wave", "swipe", "push", "nothing")}
    decisions = [decider.update(logits(names.get(letter)), float(time)) for time, letter in enumerate(script)]
    shown = "".join(d.label[0] if d.label else "." for d in decisions)
    return shown, [(d.event.label[0], d.event.start, d.event.end) for d in decisions if d.event]


@pytest.mark.parametrize(
    "hysteresis, script, shown, events",
    [
        (1, "-ww-ss", ".ww.ss", [("w", 1, 2)]),
        (1, "wsw", "wsw", [("w", 0, 0), ("s", 1, 1)]),
        (1, "wwnn", "ww..", [("w", 0, 1)]),
        (2, "w-w-w-", "......", []),  # never twice in a row
        (2, "-ww-ww--", "..wwwww.", [("w", 1, 5)]),  # one unsure step does not end it
        (2, "wwswww", ".wwwww", []),  # nor does one step of another label
        (2, "wwssp", ".wwss", [("w", 0, 1)]),
        (2, "wwsp", ".ww.", [("w", 0, 1)]),  # two steps without a vote end it, whoever led meanwhile
        (3, "wwwspppp", "..www.pp", [("w", 0, 2)]),
        (3, "wwwnnnsss", "..www...s", [("w", 0, 2)]),
        (3, "wwwssws", "..wwwww", []),
    ],
)
def test_hysteresis_and_events(hysteresis, script, shown, events):
    decider = Decider(spec(hysteresis=hysteresis), LABELS)
    assert play(decider, script) == (shown, events)


def test_a_rival_keeps_its_votes_while_the_old_label_ends():
    decider = Decider(spec(hysteresis=3), LABELS)
    assert play(decider, "wwwsppp") == ("..www.p", [("w", 0, 2)])
    assert decider.finish()[:3] == ("push", 4.0, 6.0)  # it starts at its first vote, before the old label ended


@pytest.mark.parametrize("end", ["finish", "reset"])
def test_an_open_event_is_given_at_the_end(end):
    decider = Decider(spec(), LABELS)
    play(decider, "-www-"[:4])
    event = getattr(decider, end)()
    assert isinstance(event, Event) and event[:3] == ("wave", 1.0, 3.0)
    assert event.confidence == pytest.approx(softmax(logits("wave")).max())
    assert getattr(decider, end)() is None


def test_an_event_carries_its_highest_confidence():
    decider = Decider(spec(), LABELS)
    rows = [3.0, 6.0, 4.0]
    for time, value in enumerate(rows):
        decider.update(logits("wave") * np.float32(value / SURE), time)
    assert decider.finish().confidence == pytest.approx(softmax(logits("wave") * 6.0 / SURE).max())


def test_the_gate_is_a_least_confidence():
    exact = float(softmax(logits("wave").astype(np.float64)).max())
    assert Decider(spec(threshold=exact), LABELS).update(logits("wave"), 0.0).label == "wave"
    above = Decider(spec(threshold=min(1.0, exact + 1e-9)), LABELS).update(logits("wave"), 0.0)
    assert above.label is None and above.confidence == exact and above.top[0] == ("wave", exact)


def test_an_ignored_label_is_in_the_top_but_neither_shown_nor_an_event():
    decider = Decider(spec(), LABELS)
    decision = decider.update(logits("nothing"), 0.0)
    assert decision.label is None and decision.top[0][0] == "nothing"
    assert decider.finish() is None


def test_equal_classes_lead_in_the_order_of_the_labels():
    top = Decider(spec(threshold=0), LABELS).update(logits(), 0.0).top
    assert [label for label, _ in top] == list(LABELS[:5])


def test_fewer_than_five_classes():
    top = Decider(DecisionSpec(1, 0.0, 1, ()), ("a", "b")).update(np.array([0, 1], np.float32), 0.0).top
    assert [label for label, _ in top] == ["b", "a"]


def test_the_logits_are_copied():
    decider = Decider(spec(window=2), LABELS)
    buffer = logits("wave")
    decider.update(buffer, 0.0)
    buffer[:] = logits("swipe")
    top = decider.update(buffer, 1.0).top
    assert top[0][1] == pytest.approx(top[1][1]) and {top[0][0], top[1][0]} == {"wave", "swipe"}


@pytest.mark.parametrize("shape", [(), (6,), (8,), (1, 7)])
def test_logits_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="logits: got shape"):
        Decider(spec(), LABELS).update(np.zeros(shape, np.float32), 0.0)


def test_an_unknown_ignored_label_is_refused():
    with pytest.raises(ValueError, match="ignored: got Wave"):
        Decider(spec(ignored=("Wave",)), LABELS)


SPECS = st.builds(
    DecisionSpec,
    st.integers(1, 6),
    st.sampled_from([0.0, 0.2, 0.4, 0.9]),
    st.integers(1, 4),
    st.sampled_from([(), ("nothing",), ("nothing", "wave")]),
)
STREAMS = st.lists(st.tuples(st.integers(0, 3), st.floats(-100, 100)), max_size=40)


def rows_of(stream):
    rows = np.zeros((len(stream), len(LABELS)), np.float32)
    for row, (label, value) in zip(rows, stream):
        row[label] = value
    return rows


def decisions_of(decider, rows):
    return [decider.update(row, index / 30.0) for index, row in enumerate(rows)]


@settings(deadline=None, max_examples=60)
@given(SPECS, STREAMS)
def test_running_mean_and_softmax_are_the_plain_formula(spec, stream):
    rows = rows_of(stream)
    for index, decision in enumerate(decisions_of(Decider(spec, LABELS), rows)):
        mean = np.mean(rows[max(0, index + 1 - spec.window) : index + 1].astype(np.float64), axis=0)
        expected = np.exp(mean - mean.max()) / np.exp(mean - mean.max()).sum()
        np.testing.assert_allclose([p for _, p in decision.top], np.sort(expected)[::-1][:5], rtol=1e-9, atol=1e-12)
        assert decision.confidence == decision.top[0][1]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-3e38, 3e38), min_size=1, max_size=400))
def test_probabilities_sum_to_one(values):
    probabilities = softmax(np.array(values, np.float64))
    assert probabilities.sum() == pytest.approx(1) and (probabilities >= 0).all()


@settings(deadline=None, max_examples=100)
@given(SPECS, STREAMS)
def test_events_are_in_order_and_never_overlap(spec, stream):
    decider = Decider(spec, LABELS)
    decisions = decisions_of(decider, rows_of(stream))
    last = decider.finish()
    events = [d.event for d in decisions if d.event] + ([last] if last else [])
    shown = {d.label for d in decisions} - {None}
    assert {event.label for event in events} == shown and not shown & set(spec.ignored)
    for event in events:
        votes = [
            d for i, d in enumerate(decisions) if event.start <= i / 30.0 <= event.end and d.top[0][0] == event.label
        ]
        assert len(votes) >= spec.hysteresis and event.start <= event.end
        assert event.confidence == max(d.confidence for d in votes) >= spec.threshold
    for before, after in zip(events, events[1:]):
        assert before.end < after.start


@settings(deadline=None, max_examples=60)
@given(SPECS, STREAMS, STREAMS)
def test_reset_is_as_good_as_new(spec, first, second):
    used = Decider(spec, LABELS)
    decisions_of(used, rows_of(first))
    used.reset()
    assert decisions_of(used, rows_of(second)) == decisions_of(Decider(spec, LABELS), rows_of(second))
