import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.toys import toy_manifest
from tsm_edge.errors import InputError
from tsm_edge.heads import TASKS, head_class, open_head
from tsm_edge.heads.classification import ClassificationHead, Decision, parse_decision, softmax
from tsm_edge.heads.votes import UPDATE_STEP
from tsm_edge.manifest import OutputSpec
from tsm_edge.records import Frame

LABELS = ("nothing", "wave", "swipe", "push", "pull", "turn", "zoom")
SURE = 8.0  # a logit that gives its class a probability of 0.998 among seven


def frame_at(time, stream="door", wall_time=1.5e9):
    return Frame(int(time), float(time), None, (), stream, wall_time + time)


class Player:
    """A head under test, and all the events that it told so far."""

    def __init__(self, spec, labels=LABELS):
        outputs = (OutputSpec("logits", (len(labels),), "float32"),)
        manifest = toy_manifest()._replace(labels=tuple(labels), outputs=outputs)
        decision = {} if spec is None else spec._asdict()
        self.head, self.told = ClassificationHead(manifest, decision, "toy.model"), []

    def update(self, logits, time):
        shown = self.head.update({"logits": logits}, frame_at(time))
        self.told += self.head.take_events()
        return shown

    def reset(self):
        """Reset the head; returns the event that this ended, or None."""
        self.head.reset()
        ended = self.head.take_events()
        self.told += ended
        assert [event.type for event in ended] in ([], ["end"])
        return ended[0] if ended else None

    def ends(self):
        return [event for event in self.told if event.type == "end"]


def span(event):
    return event.label, event.start, event.end


def spec(window=1, threshold=0.5, hysteresis=1, ignored=("nothing",)):
    return Decision(window, threshold, hysteresis, tuple(ignored))


def logits(label=None):
    """Sure of one label; with None equal for all, which is below any gate of these tests."""
    values = np.zeros(len(LABELS), np.float32)
    if label is not None:
        values[LABELS.index(label)] = SURE
    return values


def play(player, script):
    """Feed one letter a second: w(ave), s(wipe), p(ush), n(othing), - (unsure). Returns the labels and events shown."""
    names = {name[0]: name for name in ("wave", "swipe", "push", "nothing")}
    shown = [player.update(logits(names.get(letter)), time) for time, letter in enumerate(script)]
    return (
        "".join(one.label[0] if one.label else "." for one in shown),
        [(event.label[0], event.start, event.end) for event in player.ends()],
    )


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
    assert play(Player(spec(hysteresis=hysteresis)), script) == (shown, events)


def test_a_rival_keeps_its_votes_while_the_old_label_ends():
    decider = Player(spec(hysteresis=3))
    assert play(decider, "wwwsppp") == ("..www.p", [("w", 0, 2)])
    assert span(decider.reset()) == ("push", 4.0, 6.0)  # it starts at its first vote, before the old label ended


def test_an_open_event_ends_at_the_end():
    player = Player(spec())
    play(player, "-www")
    event = player.reset()
    assert span(event) == ("wave", 1.0, 3.0)
    assert event.confidence == pytest.approx(softmax(logits("wave")).max())
    assert player.reset() is None


def test_an_event_carries_its_highest_confidence():
    decider = Player(spec())
    rows = [3.0, 6.0, 4.0]
    for time, value in enumerate(rows):
        decider.update(logits("wave") * np.float32(value / SURE), time)
    assert decider.reset().confidence == pytest.approx(softmax(logits("wave") * 6.0 / SURE).max())


def test_the_gate_is_a_least_confidence():
    exact = float(softmax(logits("wave").astype(np.float64)).max())
    assert Player(spec(threshold=exact)).update(logits("wave"), 0.0).label == "wave"
    above = Player(spec(threshold=min(1.0, exact + 1e-9))).update(logits("wave"), 0.0)
    assert above.label is None and above.confidence == exact and above.top[0] == ("wave", exact)


def test_an_ignored_label_is_in_the_top_but_neither_shown_nor_an_event():
    decider = Player(spec())
    decision = decider.update(logits("nothing"), 0.0)
    assert decision.label is None and decision.top[0][0] == "nothing"
    assert decider.reset() is None


def test_equal_classes_lead_in_the_order_of_the_labels():
    top = Player(spec(threshold=0)).update(logits(), 0.0).top
    assert [label for label, _ in top] == list(LABELS[:5])


def test_fewer_than_five_classes():
    top = Player(None, ("a", "b")).update(np.array([0, 1], np.float32), 0.0).top
    assert [label for label, _ in top] == ["b", "a"]


def test_the_logits_are_copied():
    decider = Player(spec(window=2))
    buffer = logits("wave")
    decider.update(buffer, 0.0)
    buffer[:] = logits("swipe")
    top = decider.update(buffer, 1.0).top
    assert top[0][1] == pytest.approx(top[1][1]) and {top[0][0], top[1][0]} == {"wave", "swipe"}


@pytest.mark.parametrize("shape", [(), (6,), (8,), (1, 7)])
def test_logits_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="logits: got shape"):
        Player(spec()).update(np.zeros(shape, np.float32), 0.0)


def test_an_unknown_ignored_label_is_refused():
    with pytest.raises(InputError, match=r"decision\.ignored\n.*Wave"):
        Player(spec(ignored=("Wave",)))


SPECS = st.builds(
    Decision,
    st.integers(1, 6),
    st.sampled_from([0.0, 0.2, 0.4, 0.9]),
    st.integers(1, 4),
    st.sampled_from([(), ("nothing",), ("nothing", "wave")]),
    st.none(),
    st.none(),
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
    for index, decision in enumerate(decisions_of(Player(spec), rows)):
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
    decider = Player(spec)
    decisions = decisions_of(decider, rows_of(stream))
    decider.reset()
    events = decider.ends()
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
    used = Player(spec)
    decisions_of(used, rows_of(first))
    used.reset()
    assert decisions_of(used, rows_of(second)) == decisions_of(Player(spec), rows_of(second))


# ---------------------------------------------------------------- events while they happen


def types_of(player):
    return [event.type for event in player.told]


def test_an_event_is_told_at_the_vote_that_opens_it():
    player = Player(spec(hysteresis=3))
    play(player, "-www")
    (new,) = player.told
    assert (new.type, new.label, new.start, new.end, new.stream) == ("new", "wave", 1.0, 3.0, "door")
    assert new.wall_time == 1.5e9 + 3


def test_all_that_is_told_of_an_event_has_one_id_and_events_differ():
    player = Player(spec(hysteresis=2))
    play(player, "wwww-wwsspp--ww")
    player.reset()
    by_id = {}
    for event in player.told:
        by_id.setdefault(event.id, []).append(event)
    assert len(by_id) == 4
    for told in by_id.values():
        assert [event.type for event in told][0] == "new" and [event.type for event in told][-1] == "end"
        assert {event.label for event in told} == {told[0].label}


def test_a_rise_in_confidence_is_told_by_steps():
    player = Player(spec(threshold=0.2))
    for time, share in enumerate(np.linspace(0.3, 0.95, 40)):
        others = np.log((1 - share) / 6)
        player.update(np.array([others, np.log(share)] + [others] * 5, np.float32), time)
    assert types_of(player) == ["new"] + ["update"] * 6
    for before, after in zip(player.told, player.told[1:]):
        assert after.confidence >= before.confidence + UPDATE_STEP


def test_a_label_that_falls_behind_and_comes_back_is_told():
    player = Player(spec(hysteresis=4))
    play(player, "wwww--w")
    assert [(event.type, event.leading) for event in player.told] == [
        ("new", True),
        ("update", False),
        ("update", True),
    ]
    play(player, "----")
    assert [(event.type, event.leading) for event in player.told][3:] == [("update", False), ("end", False)]


def test_a_short_flicker_is_not_told():
    player = Player(spec(hysteresis=4))
    play(player, "wwww-w-w-w")
    assert types_of(player) == ["new"]


@settings(deadline=None, max_examples=100)
@given(SPECS, STREAMS)
def test_what_is_told_of_each_event_is_in_order_and_ends(spec, stream):
    player = Player(spec)
    decisions_of(player, rows_of(stream))
    player.reset()
    open_id = None
    for event in player.told:
        if event.type == "new":
            assert open_id is None
            open_id = event.id
        assert event.id == open_id and event.start <= event.end
        if event.type == "end":
            open_id = None
    assert open_id is None
    assert [e.id for e in player.told if e.type == "new"] == [e.id for e in player.told if e.type == "end"]


# ---------------------------------------------------------------- the task


def test_a_model_of_an_unknown_task_is_refused():
    with pytest.raises(InputError, match="task"):
        open_head(toy_manifest()._replace(task="poetry"), "toy.model")


def test_the_task_is_found_by_its_name():
    assert head_class(toy_manifest(), "toy.model") is ClassificationHead
    assert [entry.key for entry in TASKS] == ["classification", "detection"]


@pytest.mark.parametrize(
    "outputs", [(), (OutputSpec("logits", (2,), "float32"),), (OutputSpec("map", (3,), "float32"),)]
)
def test_a_model_without_the_logits_of_its_labels_is_refused(outputs):
    with pytest.raises(InputError, match="logits of 3 labels"):
        open_head(toy_manifest()._replace(outputs=outputs), "toy.model")


def test_one_camera_may_change_the_decision():
    manifest = toy_manifest(hysteresis=2, threshold=0.5)
    head = open_head(manifest, "toy.model", {"threshold": 0.75})
    assert head.decision == Decision(1, 0.75, 2, ())
    assert ClassificationHead.describe(manifest) == "mean of 1 frames, shown from 50% on, after 2 in a row"


@pytest.mark.parametrize(
    "option, value",
    [("window", 10**9), ("window", 10001), ("hysteresis", 2**62), ("hysteresis", 10001), ("window", -1)]
    + [("window", 10**6000), ("threshold", 1.0001), ("threshold", -0.1), ("ignored", ["x" * 10**5])],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_option_that_no_stream_can_use_is_refused(option, value):
    with pytest.raises(InputError, match=option) as caught:
        open_head(toy_manifest(**{option: value}), "toy.model")
    assert caught.value.do and len(str(caught.value)) < 1000


def test_a_window_of_many_labels_is_shorter():
    """The window keeps the logits of each of its frames: 10,000 frames of 32,768 labels would take 2.6 GB."""
    labels = tuple(map(str, range(20000)))
    assert parse_decision({"window": 250}, labels, "m").window == 250
    with pytest.raises(InputError, match="20000 logits") as caught:
        parse_decision({"window": 251}, labels, "m")
    assert "at most 250" in caught.value.expected


# ---------------------------------------------------------------- the energy
