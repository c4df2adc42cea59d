"""What to record: labels that name folders everywhere, turns, and marks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.recording import plan as planning
from tsm_edge.recording.plan import Mark, Plan, check_label, check_labels, check_session, in_order, parse_mark
from tsm_edge.text import one_line


@given(labels=st.integers(1, 5), clips=st.integers(1, 12))
def test_the_labels_take_turns_and_nothing_is_spread_between_them(labels, clips):
    plan = Plan(tuple("abcde"[:labels]), clips)
    turns = plan.turns()
    assert turns == list("abcde"[:labels]) * clips
    taken, pauses = 0, []
    for turn in range(len(turns)):
        if plan.nothing_is_due(turn, taken):
            taken += 1
            pauses.append(turn)
    assert taken == clips  # as many as of each label
    assert pauses == list(range(0, len(turns), labels))
    assert not plan._replace(nothing=None).nothing_is_due(0, 0)


@pytest.mark.parametrize("label", ["wave", "Wink left", "winken – öfter", "挥手", "a" * 200, "-x", "1"])
def test_labels_that_name_folders(label):
    check_label(label, "--label")


REFUSED = ["", " ", "a/b", "..", ".", ".hidden", "a\\b", "C:", "a\0b", "a\nb", "a\x1b[31m", "\udcff", " a", "a ", "a."]
REFUSED += ["a" * 201, "é" * 101, 'say "hi"', "a|b", "*", "?", "<a>", "\u202ea"]


@pytest.mark.parametrize("label", REFUSED)
def test_labels_that_do_not(label):
    with pytest.raises(InputError) as caught:
        check_label(label, "--label")
    assert caught.value.do


@given(st.text(max_size=30))
def test_a_label_passes_or_is_refused(label):
    try:
        check_label(label, "--label")
    except InputError:
        return
    assert "/" not in label and label not in (".", "..") and one_line(label) == label and label.strip() == label


@pytest.mark.parametrize(
    "labels, nothing",
    [
        ((), "nothing"),
        (("a", "a"), None),
        (("wave", "Wave"), None),
        (("straße", "STRASSE"), None),
        (("e\u0301", "\u00e9"), None),
        (("Nothing",), "nothing"),
        (tuple(map(str, range(101))), None),
        (("a",), "x/y"),
    ],
)
def test_labels_that_meet(labels, nothing):
    with pytest.raises(InputError):
        check_labels(labels, nothing)


def test_labels_that_do_not_meet():
    check_labels(("wave", "push"), "nothing")
    check_labels(("nothing",), None)


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "_x", "a b", "x" * 61, "ä", "a\n", "a.b"])
def test_sessions_that_are_refused(name):
    with pytest.raises(InputError, match="--session"):
        check_session(name)


@pytest.mark.parametrize("name", ["20261124-101500", "kitchen_2", "A"])
def test_sessions(name):
    assert check_session(name) == name


@given(start=st.integers(0, 10**6), length=st.integers(1, 600))
def test_a_mark(start, length):
    text = "{}-{}".format(start / 8.0, start / 8.0 + length)
    assert parse_mark(text, "a") == Mark(start / 8.0, start / 8.0 + length, "a", "--mark " + text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3-",
        "-3",
        "3-2",
        "2-2",
        "a-b",
        "1-2-3",
        "nan-3",
        "1-inf",
        "0-601",
        "1e3-2e3",
        "1..2-3",
        "9" * 30 + "-1",
    ],
)
def test_no_mark(text):
    with pytest.raises(InputError) as caught:
        parse_mark(text, "a")
    assert caught.value.do


def test_marks_of_a_file(tmp_path):
    path = tmp_path / "marks.csv"
    path.write_bytes("\ufeffstart,end,label\r\n1.5, 2.5 ,wave\n\n3,4,\n".encode("utf-8"))
    assert planning.read_marks(str(path), "push") == [
        Mark(1.5, 2.5, "wave", "{}: line 2".format(path)),
        Mark(3.0, 4.0, "push", "{}: line 4".format(path)),
    ]
    path.write_text("start,end\n1,2\n")
    assert planning.read_marks(str(path), "push")[0].label == "push"


BAD_FILES = [
    b"",
    b"start,end,label\n",
    b"1,2,wave\n",
    b"start,end,label\n1,2\n",
    b"start,end,label\n1,2,a,b\n",
    b"start,end,label\n2,1,a\n",
    b"start,end,label\n1,2,\n",
    b"start,end,label\n1,2,a/b\n",
    b"start,end,label\nx,2,a\n",
    b"start,end,label\n1,2,a\0b\n",
    b"\xff\xfe",
    b"start,end,label\n1,2," + b"a" * 140000 + b"\n",
    b"start,end,label\n" + b"1" * 200 + b",2,a\n",
]


@pytest.mark.parametrize("data", BAD_FILES, ids=range(len(BAD_FILES)))
def test_files_of_marks_that_are_refused(tmp_path, data):
    path = tmp_path / "marks.csv"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        planning.read_marks(str(path), None)
    assert str(path) in str(caught.value) and caught.value.do


def test_a_file_of_marks_that_is_missing(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError):
            planning.read_marks(str(path), "a")


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)), min_size=1, max_size=8))
def test_marks_share_no_frame(parts):
    marks = [Mark(float(start), float(start + length), "a", "") for start, length in parts]
    seconds = [second for mark in marks for second in range(int(mark.start), int(mark.end))]
    if len(set(seconds)) == len(seconds):
        assert in_order(marks) == sorted(marks)
    else:
        with pytest.raises(InputError, match="overlaps"):
            in_order(marks)
