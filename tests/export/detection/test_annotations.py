"""Annotated video from disk: what is read, what is clipped, what is named as broken, and what is refused."""

import json
import math
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.detection import annotated as an
from tests.export.evaluation.toy import write_video
from tsm_edge.errors import InputError, SourceError
from tsm_edge_export.detection import annotated_clip, coco, mot
from tsm_edge_export.detection.annotations import is_annotated, read_boxes

SMALL = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def edges(left, top, width, height):
    return [left, top, left + width, top + height]


def check_squares(clip, clips=0, class_id=0, frames=6):
    """The clip's frames show the squares that its boxes say."""
    assert (clip.count, clip.size) == (frames, an.SIZE)
    for frame in range(frames):
        truth = clip.truth(frame)
        assert truth.boxes.tolist() == [edges(*an.square(frame, clips))]
        assert truth.boxes.dtype == np.float32 and truth.classes.tolist() == [class_id]
        assert truth.ignored.tolist() == [False] and truth.tags == (frozenset(),)
        left, top, right, bottom = truth.boxes[0].astype(int)
        shown = clip.read([frame])[0]
        assert shown[top:bottom, left:right].min() == 255 and shown.sum() == 3 * 255 * (bottom - top) * (right - left)
    with pytest.raises(IndexError):
        clip.truth(frames)


# ---------------------------------------------------------------- COCO


def test_coco_clips_are_folders(tmp_path):
    data = read_boxes(an.write(tmp_path, an.coco(tmp_path)))
    assert data.labels == an.LABELS and (data.broken, data.clipped) == ((), 0)
    assert [clip.name for clip in data.clips] == ["clip0", "clip1"]
    for number, clip in enumerate(data.clips):
        check_squares(clip, number, number)
        assert clip.truth(0).tracks.tolist() == [number]


def test_coco_clips_are_videos_in_the_order_of_their_frames(tmp_path):
    """The images lie in other folders than the videos, and their names say another order."""
    made = an.coco(tmp_path, clips=1)
    made["videos"] = [{"id": 5, "name": "a walk", "fps": 12.5}]
    for place, image in enumerate(reversed(made["images"])):
        image.update(video_id=5, frame_id=place)
    (clip,) = read_boxes(an.write(tmp_path, made)).clips
    assert (clip.name, clip.fps) == ("a walk", 12.5)
    assert clip.truth(0).boxes.tolist() == [edges(*an.square(5))]
    assert np.array_equal(clip.read([0])[0], an.picture(5))


def test_coco_takes_classes_by_the_names_of_the_model(tmp_path):
    path = an.write(tmp_path, an.coco(tmp_path))
    data = read_boxes(path, labels=("key", "cup", "ball"))
    assert data.labels == ("key", "cup", "ball")
    assert [clip.truth(0).classes.tolist() for clip in data.clips] == [[2], [1]]
    with pytest.raises(InputError, match="6 of 12 annotations") as refusal:
        read_boxes(path, labels=("ball",))
    assert "unknown class cup" in str(refusal.value)


def test_coco_crowds_are_ignored_and_tracks_of_cvat_are_read(tmp_path):
    made = an.coco(tmp_path, clips=1)
    made["annotations"][0]["iscrowd"] = 1
    del made["annotations"][1]["track_id"]
    made["annotations"][1]["attributes"] = {"track_id": 9}
    made["annotations"][2]["track_id"] = "x"
    (clip,) = read_boxes(an.write(tmp_path, made)).clips
    assert [clip.truth(frame).ignored.tolist() for frame in (0, 1)] == [[True], [False]]
    assert [clip.truth(frame).tracks.tolist() for frame in (0, 1, 2)] == [[0], [9], [-1]]


def test_coco_without_sizes_reads_them_and_with_wrong_ones_refuses_the_frames(tmp_path):
    made = an.coco(tmp_path, clips=1)
    for image in made["images"]:
        del image["height"], image["width"]
    check_squares(read_boxes(an.write(tmp_path, made)).clips[0])
    for image in made["images"]:
        image.update(height=480, width=640)
    (clip,) = read_boxes(an.write(tmp_path, made)).clips
    with pytest.raises(SourceError, match="64 x 48"):
        clip.read([0])


def test_coco_paths_start_from_a_root(tmp_path):
    made = an.coco(tmp_path / "pictures")
    path = an.write(tmp_path, made)
    assert len(read_boxes(path, root=tmp_path / "pictures").clips) == 2
    with pytest.raises(InputError, match=r"12 of 12 images are broken.*\n.*no such file clip0/000001.png"):
        read_boxes(path)
    with pytest.raises(InputError, match="no such folder"):
        read_boxes(path, root=tmp_path / "nowhere")


def test_boxes_that_reach_over_the_edge_are_cut(tmp_path):
    made = an.coco(tmp_path, clips=1)
    made["annotations"][0]["bbox"] = [-10, -5, 30, 200]
    data = read_boxes(an.write(tmp_path, made))
    assert data.clipped == 1
    assert data.clips[0].truth(0).boxes.tolist() == [[0, 0, 20, 48]]


BROKEN = {
    "outside": ({"bbox": [100, 0, 5, 5]}, "outside the picture"),
    "far outside": ({"bbox": [-30, -30, 20, 20]}, "outside the picture"),
    "no width": ({"bbox": [1, 1, 0, 5]}, "no area"),
    "negative": ({"bbox": [1, 1, 5, -5]}, "no area"),
    "too thin": ({"bbox": [1, 1, 1e-12, 5]}, "no area"),
    "nan": ({"bbox": [math.nan, 1, 5, 5]}, "NaN"),
    "infinite": ({"bbox": [1, 1, math.inf, 5]}, "NaN"),
    "overflowing": ({"bbox": [1e308, 1, 1e308, 5]}, "NaN"),
    "huge": ({"bbox": [10**400, 1, 5, 5]}, "four numbers"),
    "text": ({"bbox": ["1", 1, 5, 5]}, "four numbers"),
    "true": ({"bbox": [True, 1, 5, 5]}, "four numbers"),
    "short": ({"bbox": [1, 1, 5]}, "four numbers"),
    "no box": ({"bbox": None}, "no bbox"),
    "unknown class": ({"category_id": 99}, "unknown class 99"),
    "unknown image": ({"image_id": 99999}, "unknown image 99999"),
    "no image": ({"image_id": None}, "unknown image"),
    "list for image": ({"image_id": [1]}, "unknown image"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_annotation_is_named_and_counted(tmp_path, kind):
    change, reason = BROKEN[kind]
    made = an.coco(tmp_path, clips=1)
    good = len(made["annotations"])
    made["annotations"].append({**made["annotations"][0], "id": 1234, **change})
    with pytest.raises(InputError, match=rf"1 of {good + 1} annotations are broken") as refusal:
        read_boxes(an.write(tmp_path, made))
    assert reason in str(refusal.value) and "annotation 1234" in str(refusal.value)
    made["annotations"] += made["annotations"][:good] * 20  # now it is less than one of a hundred
    data = read_boxes(an.write(tmp_path, made))
    assert [where for where, _ in data.broken] == ["annotation 1234"]
    assert reason in data.broken[0][1]
    assert sum(len(data.clips[0].truth(frame).boxes) for frame in range(6)) == 21 * good


def test_more_broken_ones_than_named(tmp_path):
    made = an.coco(tmp_path)
    for annotation in made["annotations"]:
        annotation["category_id"] = 50
    with pytest.raises(InputError, match="and 7 more"):
        read_boxes(an.write(tmp_path, made))


def test_a_picture_that_is_missing_is_counted_once(tmp_path):
    made = an.coco(tmp_path, clips=3, frames=40)
    os.remove(tmp_path / "clip1" / "000005.png")
    data = read_boxes(an.write(tmp_path, made))
    assert data.broken == (("image 45", "no such file clip1/000005.png"),)
    assert [clip.count for clip in data.clips] == [40, 39, 40]
    assert data.clips[1].truth(4).boxes.tolist() == [edges(*an.square(5, 1))]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"images": []}, "no images"),
        ({"images": None}, "no list of images"),
        ({"annotations": 5}, "no list of annotations"),
        ({"categories": []}, "categories"),
        ({"categories": [{"id": 7, "name": "a"}, {"id": 7, "name": "b"}]}, "categories"),
        ({"categories": [{"id": 7, "name": "a\x1b[2J"}]}, "categories"),
    ],
)
def test_files_that_are_no_coco(tmp_path, change, part):
    with pytest.raises(InputError, match="boxes.json") as refusal:
        read_boxes(an.write(tmp_path, {**an.coco(tmp_path), **change}))
    assert part in str(refusal.value) and "\x1b" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, "1" * 5000, "\0", "{}", '"x"', '{"images": {}}', b"\xff\xfe"]
)
def test_damaged_json(tmp_path, text):
    path = tmp_path / "boxes.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match="boxes.json"):
        read_boxes(path)


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = an.write(tmp_path, an.coco(tmp_path))
    monkeypatch.setattr(coco, "MAX_BYTES", 100)
    with pytest.raises(InputError, match="more than 100 bytes"):
        read_boxes(path)


def test_stills_of_several_sizes_are_no_video(tmp_path):
    made = an.coco(tmp_path, clips=1)
    made["images"][2].update(width=100)
    with pytest.raises(InputError, match="48.*100 x 48|64 x 48, 100 x 48"):
        read_boxes(an.write(tmp_path, made))


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.lists(st.floats(), max_size=5)
)


@settings(max_examples=60, **SMALL)
@given(st.data())
def test_any_values_are_read_or_refused_in_words(tmp_path, data):
    made = an.coco(tmp_path, clips=1, frames=2)
    for part in ("images", "annotations", "categories"):
        for entry in made[part]:
            for key in data.draw(st.lists(st.sampled_from([*entry, "iscrowd", "video_id", "frame_id"]), max_size=1)):
                entry[key] = data.draw(values)
    try:
        read = read_boxes(an.write(tmp_path, made))
    except InputError as error:
        assert error.do
        return
    for clip in read.clips:
        for frame in range(clip.count):
            truth = clip.truth(frame)
            left, top, right, bottom = truth.boxes.T
            assert ((left >= 0) & (top >= 0) & (right <= clip.size[1]) & (bottom <= clip.size[0])).all()
            assert ((left < right) & (top < bottom)).all()


# ---------------------------------------------------------------- MOT


def test_a_sequence(tmp_path):
    data = read_boxes(an.sequence(tmp_path / "walk"))
    (clip,) = data.clips
    assert (data.labels, clip.name, clip.fps, data.broken) == (an.LABELS, "walk", 12.5, ())
    check_squares(clip)
    assert clip.truth(0).tracks.tolist() == [3]


def test_a_folder_of_sequences(tmp_path):
    for name in ("b2", "b10"):
        an.sequence(tmp_path / name)
    assert [clip.name for clip in read_boxes(tmp_path).clips] == ["b2", "b10"]
    assert is_annotated(tmp_path) and is_annotated(tmp_path / "b2") and not is_annotated(tmp_path / "b2" / "img1")


def test_a_sequence_without_sizes_and_names(tmp_path):
    an.sequence(tmp_path, ini={"imWidth": None}, labels=None)
    check_squares(read_boxes(tmp_path, ("person",)).clips[0])
    with pytest.raises(InputError, match=r"no gt.labels.txt"):
        read_boxes(tmp_path)


def test_flags_classes_and_visibility(tmp_path):
    lines = [
        "1,1,5,9,16,12,0,1,1",  # ignored
        "2,1,5,9,16,12,1,2,0.25",  # half hidden
        "3,-1,5,9,16,12,0,9,1",  # no object of the challenge: left out
        "4,1,5,9,16,12",  # no class, one label of the model
    ]
    an.sequence(tmp_path, lines=lines[:3])
    (clip,) = read_boxes(tmp_path, ("cup", "ball")).clips
    assert [clip.truth(frame).ignored.tolist() for frame in range(3)] == [[True], [False], []]
    assert [clip.truth(frame).classes.tolist() for frame in range(2)] == [[1], [0]]
    assert clip.truth(1).tags == (frozenset({"occluded"}),)
    an.sequence(tmp_path, lines=[lines[3], "5,1,5,9,16,12,1,-1,-1,-1"])
    (tmp_path / "gt" / "labels.txt").unlink()
    clip = read_boxes(tmp_path, ("face",)).clips[0]
    assert [clip.truth(frame).classes.tolist() for frame in (3, 4)] == [[0], [0]]
    with pytest.raises(InputError, match="no class, of 2"):
        read_boxes(tmp_path, ("face", "hand"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,3", "3 values"),
        ("1,2,3,4,5,6,7,8,9,10,11", "11 values"),
        ("1,2,x,4,5,6", "no number"),
        ("1,2,1_0,4,5,6", "no number"),
        ("1,2,,4,5,6", "no number"),
        ("0,2,3,4,5,6,1,1", "frame 0 of a video of 6"),
        ("7,2,3,4,5,6,1,1", "frame 7 of a video of 6"),
        ("1.5,2,3,4,5,6,1,1", "frame 1.5"),
        ("nan,2,3,4,5,6,1,1", "frame nan"),
        ("1,2.5,3,4,5,6,1,1", "track 2.5"),
        ("1,2,nan,4,5,6,1,1", "NaN"),
        ("1,2,3,4,0,6,1,1", "no area"),
        ("1,2,300,4,5,6,1,1", "outside the picture"),
        ("1,2,3,4,5,6,1,7", "unknown class 7"),
        ("1,2,3,4,5,6,1,0", "unknown class 0"),
        ("1,2,3,4,5,6,1,nan", "unknown class nan"),
    ],
)
def test_a_broken_line_is_named_and_counted(tmp_path, line, reason):
    an.sequence(tmp_path, lines=[*an.mot_lines(6), line])
    with pytest.raises(InputError, match="1 of 7 annotations are broken") as refusal:
        read_boxes(tmp_path)
    assert f"{os.path.join('gt', 'gt.txt')}: line 7" in str(refusal.value) and reason in str(refusal.value)
    an.sequence(tmp_path, lines=[*an.mot_lines(6), line, *(an.mot_lines(6) * 20)])
    data = read_boxes(tmp_path)
    assert len(data.broken) == 1 and reason in data.broken[0][1]


@settings(max_examples=100, **SMALL)
@given(st.lists(st.text("0123456789.,-+eEnaif_ \t", max_size=30), max_size=4))
def test_any_text_is_read_or_refused_in_words(tmp_path, lines):
    an.sequence(tmp_path, lines=lines, frames=2)
    try:
        read_boxes(tmp_path)
    except InputError as error:
        assert error.do


@pytest.mark.parametrize(
    ("ini", "part"),
    [
        ({"seqLength": 7}, "6 pictures in img1"),
        ({"seqLength": "many"}, "seqlength"),
        ({"imWidth": -5}, "imwidth"),
        ({"imHeight": 10**9}, "imheight"),
        ({"frameRate": "nan"}, "framerate"),
        ({"imDir": "img2"}, "img2"),
    ],
)
def test_wrong_facts_of_a_sequence(tmp_path, ini, part):
    an.sequence(tmp_path, ini=ini)
    with pytest.raises(InputError) as refusal:
        read_boxes(tmp_path)
    assert part in str(refusal.value)


def test_damaged_facts_of_a_sequence(tmp_path):
    an.sequence(tmp_path)
    (tmp_path / "seqinfo.ini").write_text("imWidth=5")
    with pytest.raises(InputError, match=r"seqinfo.ini"):
        read_boxes(tmp_path)


def test_a_list_of_videos(tmp_path):
    """The frames of a video file that are streamed are those that are read, and the boxes fit them."""
    frames = np.stack([an.picture(frame) for frame in range(6)])
    write_video(tmp_path / "walk.avi", frames, 10.0)
    an.write_frames(tmp_path / "folder", 6)
    an.sequence(tmp_path / "seq")
    (tmp_path / "walk.txt").write_text("\n".join(an.mot_lines(6)))
    path = tmp_path / "list.csv"
    path.write_text("path,truth\nwalk.avi,walk.txt\nfolder,walk.txt\nseq,\n\n")
    data = read_boxes(path, an.LABELS)
    assert [(clip.name, clip.count, clip.fps) for clip in data.clips] == [
        ("walk.avi", 6, 10.0),
        ("folder", 6, None),
        ("seq", 6, 12.5),
    ]
    for clip in data.clips[1:]:
        check_squares(clip)
    video = data.clips[0]
    assert video.size == an.SIZE and video.truth(2).boxes.tolist() == [edges(*an.square(2))]
    streamed = [frame.image.copy() for frame in video.source()]
    assert np.array_equal(np.stack(streamed)[..., ::-1], video.read(range(6)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("path,start,end,label\nwalk.avi,0,1,ball\n", "give it to a classifier"),
        ("", "path,truth"),
        ("path,truth\n", "no videos"),
        ("path,truth\nwalk.avi\n", "line 2"),
        ("path,truth\nwalk.avi,\n", "no truth"),
        ("path,truth\nmissing.avi,walk.txt\n", "missing.avi"),
    ],
)
def test_wrong_lists_of_videos(tmp_path, text, part):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        read_boxes(path, an.LABELS)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [("list.txt", "for a classifier"), ("none.json", "no such file"), ("folder", "class folders"), ("a.csv", "labels")],
)
def test_lists_of_another_form(tmp_path, name, part):
    (tmp_path / "list.txt").write_text("clip 8 0\n")
    (tmp_path / "a.csv").write_text("path,truth\n")
    an.write_frames(tmp_path / "folder" / "ball", 2)
    with pytest.raises(InputError) as refusal:
        read_boxes(tmp_path / name)
    assert part in str(refusal.value)


def test_the_facts_and_boxes_have_bounds(tmp_path, monkeypatch):
    an.sequence(tmp_path)
    monkeypatch.setattr(mot, "MAX_BYTES", 50)
    with pytest.raises(InputError, match="more than 50 bytes"):
        read_boxes(tmp_path)
    made = an.coco(tmp_path)
    made["images"][0]["width"] = annotated_clip.MAX_SIDE + 1
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(made))
    with pytest.raises(InputError, match="1 of 12 images are broken"):
        read_boxes(path)
