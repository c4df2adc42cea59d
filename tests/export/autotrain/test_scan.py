"""What is found in a data folder, and what is refused or left out, by name."""

import json

import numpy as np
import pytest

from tests.export.autotrain.folders import write_data, write_pictures, write_video
from tests.export.training import toy
from tsm_edge.errors import InputError
from tsm_edge_export.autotrain import scan


def names(contents):
    return [clip.name for clip in contents.clips]


def test_videos_and_folders_of_pictures(tmp_path):
    write_data(tmp_path, ("S1",), clips=1)
    write_data(tmp_path, ("S2",), clips=1, video=False)
    found = scan.scan(tmp_path, fps=12.0)
    assert found.labels == toy.LABELS
    expected = ["move left/S1_00.avi", "move left/S2_00", "move right/S1_00.avi", "move right/S2_00"]
    assert names(found) == expected
    assert [clip.label for clip in found.clips] == [0, 0, 1, 1]
    assert [clip.fps for clip in found.clips] == pytest.approx([10.0, 12.0, 10.0, 12.0])
    assert found.sessions == ["S1", "S2", "S1", "S2"]
    assert not found.left_out
    frames = found.clips[1].read([3, 0])
    np.testing.assert_array_equal(frames, toy.frames(0, 0)[[3, 0], :, :, ::-1])


@pytest.mark.parametrize(
    ("label", "is_nothing"),
    [("nothing", True), ("Nothing", True), ("no gesture", True), ("idle", True), ("notes", False)],
)
def test_the_label_without_a_gesture(tmp_path, label, is_nothing):
    write_data(tmp_path, ("S1",), labels=("wave", label))
    assert scan.scan(tmp_path).nothing == (label if is_nothing else None)


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("wave/20261124-101500_01.avi", "20261124-101500"),
        ("wave/S03_a_007.mp4", "S03_a"),
        ("wave/S03_007", "S03"),
        ("wave/clip.mp4", ""),
        ("wave/a.b.mp4", ""),
        ("wave/_1.mp4", ""),
    ],
)
def test_a_session_is_a_name_up_to_its_last_part(tmp_path, name, session):
    assert scan.sessions_of(tmp_path, [name]) == [session]


def test_the_log_of_the_recording_names_sessions(tmp_path):
    lines = [
        {"kind": "clip", "file": "wave/a_01.avi", "session": "kitchen"},
        {"kind": "removed", "file": "wave/b_01.avi"},
        {"kind": "clip", "file": ["wave"], "session": 3},
    ]
    text = "\n".join(map(json.dumps, lines)) + '\nnot JSON\n{"kind": "clip"'
    (tmp_path / "recording.jsonl").write_text(text)
    assert scan.sessions_of(tmp_path, ["wave/a_01.avi", "wave/b_01.avi"]) == ["kitchen", "b"]


def test_one_label_is_refused(tmp_path):
    write_data(tmp_path, labels=("wave",))
    with pytest.raises(InputError, match="one label, 'wave'"):
        scan.scan(tmp_path)


@pytest.mark.parametrize("other", ["Wave", "WAVE"])
def test_labels_that_differ_by_case(tmp_path, other):
    write_data(tmp_path, labels=("wave", other))
    with pytest.raises(InputError, match="differ by more than case"):
        scan.scan(tmp_path)


def test_the_same_clip_under_two_labels(tmp_path):
    write_data(tmp_path)
    (tmp_path / "move left" / "S9_00.avi").write_bytes((tmp_path / "move right" / "S1_00.avi").read_bytes())
    with pytest.raises(InputError, match="same clip under two labels") as caught:
        scan.scan(tmp_path)
    assert "move left/S9_00.avi" in str(caught.value) and "move right/S1_00.avi" in str(caught.value)


def test_a_copy_within_a_label_is_left_out(tmp_path):
    write_data(tmp_path)
    for video in (True, False):
        if not video:
            write_pictures(tmp_path / "move left" / "S4_00", toy.frames(77, 0))
            write_pictures(tmp_path / "move left" / "S5_00", toy.frames(77, 0))
    (tmp_path / "move left" / "S9_00.avi").write_bytes((tmp_path / "move left" / "S1_00.avi").read_bytes())
    left_out = scan.scan(tmp_path).left_out
    assert left_out == {
        "move left/S5_00": "a copy of move left/S4_00",
        "move left/S9_00.avi": "a copy of move left/S1_00.avi",
    }


def test_broken_and_too_short_clips_are_left_out_by_name(tmp_path):
    write_data(tmp_path, clips=4)
    (tmp_path / "move left" / "bad_1.avi").write_bytes(b"no video")
    write_pictures(tmp_path / "move right" / "short_1", toy.frames(5, 1)[:1])
    found = scan.scan(tmp_path)
    assert set(found.left_out) == {"move left/bad_1.avi", "move right/short_1"}
    assert "1 frame" in found.left_out["move right/short_1"]
    assert len(found.clips) == 24
    text = scan.warnings_of(found, found.clips)[0]
    assert "2 clips are left out" in text and "move left/bad_1.avi" in text


def test_many_broken_clips_are_refused(tmp_path):
    write_data(tmp_path, clips=1)
    for number in range(4):
        (tmp_path / "move left" / f"bad_{number}.avi").write_bytes(b"no video")
    with pytest.raises(InputError, match="4 of 10 clips cannot be used"):
        scan.scan(tmp_path)


def test_a_label_with_a_single_usable_clip(tmp_path):
    write_data(tmp_path)
    write_video(tmp_path / "push" / "S1_00.avi", toy.frames(99, 0))
    with pytest.raises(InputError, match="at least 2 clips of each label"):
        scan.scan(tmp_path)


@pytest.mark.parametrize("what", ["empty", "file", "missing"])
def test_no_data_folder(tmp_path, what):
    path = tmp_path / "data"
    if what == "empty":
        path.mkdir()
    elif what == "file":
        path.write_text("x")
    with pytest.raises(InputError):
        scan.scan(path)


def test_an_empty_label(tmp_path):
    write_data(tmp_path)
    (tmp_path / "push").mkdir()
    with pytest.raises(InputError, match="no videos"):
        scan.scan(tmp_path)


def test_hidden_files_are_passed_over(tmp_path):
    write_data(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "move left" / ".draft.avi").write_bytes(b"")
    assert len(scan.scan(tmp_path).clips) == 12


def test_warnings_about_few_clips(tmp_path):
    write_data(tmp_path, clips=7, sessions=("S1",))
    write_data(tmp_path, clips=2, sessions=("S1",), labels=("push", "pull"), count=12)
    found = scan.scan(tmp_path)
    texts = scan.warnings_of(found, found.clips)
    assert any("few training clips: pull 2, push 2" in text for text in texts)
    assert any("14 clips have fewer than 8 frames" in text for text in texts)
