"""The split keeps sessions whole, gives each label clips on both sides, and says when it cannot."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tsm_edge_export.autotrain.split import split


def recordings(sessions, labels, each):
    """Labels and sessions of `each` clips of each label in each session."""
    rows = [(label, session) for label in range(labels) for session in sessions for _ in range(each)]
    return [label for label, _ in rows], [session for _, session in rows]


def test_whole_sessions_validate():
    labels, sessions = recordings("abcde", 3, 2)
    found = split(labels, sessions)
    assert found.is_by_session and len(found.sessions) == 1
    assert len(found.validation) == 6
    assert {sessions[place] for place in found.validation} == set(found.sessions)
    assert not {sessions[place] for place in found.train} & set(found.sessions)


def test_two_sessions_are_enough():
    found = split(*recordings("ab", 2, 5))
    assert found.is_by_session and len(found.train) == len(found.validation) == 10


def test_one_session_splits_by_clip_and_takes_the_last():
    found = split(*recordings("a", 2, 10))
    assert not found.is_by_session
    assert found.validation == [8, 9, 18, 19]


def test_labels_recorded_apart_split_by_clip():
    labels, sessions = [0] * 10 + [1] * 10, ["a"] * 10 + ["b"] * 10
    found = split(labels, sessions)
    assert not found.is_by_session and len(found.validation) == 4


def test_the_same_seed_splits_alike():
    labels, sessions = recordings("abcdefgh", 4, 1)
    assert split(labels, sessions, 3) == split(labels, sessions, 3)


@given(st.data())
def test_any_split(data):
    kinds = data.draw(st.integers(2, 6))
    labels = [label for label in range(kinds) for _ in range(data.draw(st.integers(2, 9)))]
    names = st.sampled_from("abcdef"[: data.draw(st.integers(1, 6))])
    sessions = data.draw(st.lists(names, min_size=len(labels), max_size=len(labels)))
    found = split(labels, sessions)
    assert sorted(found.train + found.validation) == list(range(len(labels)))
    train, validation = (Counter(labels[place] for place in places) for places in (found.train, found.validation))
    assert set(train) == set(validation) == set(labels)
    assert all(train[label] >= validation[label] for label in train)
    if found.is_by_session:
        assert {sessions[place] for place in found.validation} == set(found.sessions)
        assert not {sessions[place] for place in found.train} & set(found.sessions)
