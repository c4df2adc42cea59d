"""The energy of a decision: which frames show no label; and the figures that the export measured of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.heads.test_classification import STREAMS, Player, decisions_of, logits, rows_of, span
from tests.device.toys import toy_manifest
from tsm_edge.errors import InputError
from tsm_edge.heads import open_head
from tsm_edge.heads.classification import ClassificationHead, Decision, softmax_and_energy


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), st.floats(-60, 60), STREAMS)
def test_a_frame_of_less_energy_shows_no_label(window, least, stream):
    rows = rows_of(stream)
    gated = decisions_of(Player(Decision(window, 0.0, 1, (), least)), rows)
    open_to_all = decisions_of(Player(Decision(window, 0.0, 1, ())), rows)
    for index, (one, other) in enumerate(zip(gated, open_to_all)):
        mean = np.mean(rows[max(0, index + 1 - window) : index + 1].astype(np.float64), axis=0)
        energy = mean.max() + np.log(np.sum(np.exp(mean - mean.max())))
        if abs(energy - least) > 1e-6:
            assert one.label == (other.label if energy > least else None)
        assert one[1:] == other[1:]  # the probabilities stay


def test_the_energy_sees_what_softmax_cannot():
    """Logits that are all lower by a constant have the same probabilities."""
    gate = Decision(energy=5.0, threshold=0.5)
    sure, low = Player(gate).update(logits("wave"), 0), Player(gate).update(logits("wave") - 10, 0)
    assert (sure.label, low.label) == ("wave", None) and sure.confidence == pytest.approx(low.confidence)


def test_an_event_outlasts_a_short_loss_of_energy():
    player = Player(Decision(1, 0.5, 2, (), 0.0))
    for time, lower in enumerate([0, 0, 30, 0, 30, 30]):
        player.update(logits("wave") - lower, time)
    assert [span(event) for event in player.ends()] == [("wave", 0.0, 3.0)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-3e38, 3e38), min_size=1, max_size=50))
def test_the_energy_is_finite_and_at_least_the_largest_logit(values):
    _, energy = softmax_and_energy(np.array(values, np.float64))
    assert max(values) <= energy <= max(values) + np.log(len(values)) + 1e-9 * abs(max(values))


def test_a_decision_of_an_earlier_release_has_no_gate():
    head = open_head(toy_manifest(window=2, threshold=0.5, hysteresis=2), "toy.model")
    assert head.decision.energy is None and head.decision.measured is None


MEASURED = {"events": 40, "seconds": 150.0, "right": 0.95, "false_per_minute": 0.4, "delay": -0.23, "held_out": True}


def test_the_options_in_words():
    manifest = toy_manifest(window=3, threshold=0.6, energy=1.25, measured=MEASURED)
    assert ClassificationHead.describe(manifest) == (
        "mean of 3 frames, shown from 60% on, after 1 in a row, at an energy of at least 1.25; 95% of 40 events right, "
        "0.4 false a minute, shown 0.2 s before the end (on other clips than those that chose it)"
    )
    manifest = toy_manifest(measured=dict(MEASURED, delay=None, held_out=False, right=0.0))
    assert ClassificationHead.describe(manifest).endswith(
        "0% of 40 events right, 0.4 false a minute (on the clips that chose it, so a little too good)"
    )


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 1e7, -1e300, 10**400, "1", True, [1.0], {}]
)
def test_an_energy_that_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="energy") as caught:
        open_head(toy_manifest(energy=value), "toy.model")
    assert caught.value.do and len(str(caught.value)) < 1000


@pytest.mark.parametrize("value", [0, -3, 2.5, -1e6, 1e6, None])
def test_any_other_energy_is_taken(value):
    assert open_head(toy_manifest(energy=value), "toy.model").decision.energy == value


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(sorted(MEASURED)),
    st.one_of(st.none(), st.booleans(), st.text(), st.floats(), st.integers(-3, 3), st.just([]), st.just({})),
)
def test_figures_are_checked_or_can_be_shown(name, value):
    manifest = toy_manifest(measured=dict(MEASURED, **{name: value}))
    try:
        assert "events right" in ClassificationHead.describe(manifest)
    except InputError as refusal:
        assert "measured" in str(refusal)
