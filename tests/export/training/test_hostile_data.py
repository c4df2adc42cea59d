"""Lists, labels and frames that no training can use: each is refused in words, or counted as a broken clip."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.training import toy
from tsm_edge.errors import InputError, SourceError
from tsm_edge_export.evaluation import data as sets
from tsm_edge_export.evaluation import merge, truth
from tsm_edge_export.training import clips, config, lists
from tsm_edge_export.training.clips import FrameFolder
from tsm_edge_export.training.crops import eval_crops, train_crop

SMALL = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}
FRAME = config.FrameSpec("NCHW", "RGB", 32, 32, 36, "center", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height):
    """A PNG file whose header states a size; its pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@settings(max_examples=30, **SMALL)
@given(st.sampled_from([(40000, 40000), (8193, 8193), (2**31 - 1, 1), (1, 2**30), (65535, 65535), (100_000, 1000)]))
def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path, size):
    path = tmp_path / "img_00001.jpg"
    path.write_bytes(png(*size))
    clip = FrameFolder("clip", tmp_path, 1, 0, "img_{:05d}.jpg")
    with pytest.raises(SourceError, match="img_00001"):
        clip.read([0])


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "huge"])
def test_a_frame_that_is_no_file(tmp_path, kind):
    path = tmp_path / "img_00001.jpg"
    if kind == "huge":
        path.touch()
        os.truncate(path, 1 << 40)
    else:
        {"pipe": os.mkfifo, "folder": os.mkdir, "device": lambda at: os.symlink("/dev/zero", at)}[kind](path)
    with pytest.raises(SourceError, match="img_00001"):
        FrameFolder("clip", tmp_path, 1, 0, "img_{:05d}.jpg").read([0])


def test_a_clip_that_takes_too_much_memory(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "img_00001.jpg"), np.zeros((100, 100, 3), np.uint8))
    clip = FrameFolder("clip", tmp_path, 1, 0, "img_{:05d}.jpg")
    assert clip.read([0] * 8).shape == (8, 100, 100, 3)
    monkeypatch.setattr(clips, "MAX_CLIP_BYTES", 200_000)
    with pytest.raises(SourceError, match="8 frames of 100 x 100"):
        clip.read([0] * 8)


@settings(max_examples=40, **SMALL)
@given(st.integers(1, 40), st.integers(1, 3000), st.booleans())
def test_frames_of_any_shape_are_cropped_or_refused(height, width, turned):
    frames = np.zeros((2, width, height, 3) if turned else (2, height, width, 3), np.uint8)
    rng = np.random.default_rng(0)
    assert train_crop(frames, FRAME, (1.0, 0.1), rng).shape == (2, 32, 32, 3)
    try:
        assert eval_crops(frames, FRAME).shape == (1, 2, 32, 32, 3)
    except SourceError as error:
        assert max(width / height, height / width) > 30, error


# ---------------------------------------------------------------- lists

DIGITS = st.integers(1, 7000).map(lambda count: "9" * count)
CELLS = st.one_of(
    DIGITS,
    DIGITS.map(lambda digits: "-" + digits),
    st.sampled_from(
        ["", " ", "1_0", "٣", "²", "nan", "inf", "-1", "0", "1e400", "0x10", "a\tb", '"', "\ufeff", "\x1b[31m"]
    ),
    st.text(st.characters(blacklist_categories=["Cs"]), max_size=10),
)
READERS = {
    "frames": lambda path: lists.load_list(config.DataSpec("frames", "."), path, ("a", "b"), path),
    "segments": lambda path: lists.load_list(config.DataSpec("segments", "."), path, ("a", "b"), path),
    "a list without labels": lambda path: sets.from_list(path, ("a", "b")),
    "events": lambda path: truth.read(path, "v.mp4", ("a", "b")),
    "labels": lambda path: lists.named_labels(
        config.Config("x", "causal", FRAME, config.DataSpec("frames", ".", labels_file=str(path)))
    ),
    "a report": merge.read,
}


@settings(max_examples=150, **SMALL)
@given(st.sampled_from(sorted(READERS)), st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=4), st.booleans())
def test_any_rows_are_read_or_refused(tmp_path, reader, rows, headed):
    separator = "," if reader in ("segments", "events") else " "
    lines = [separator.join(cells) for cells in rows]
    if headed:
        lines.insert(0, ",".join(lists.COLUMNS))
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        READERS[reader](path)
    except InputError as error:
        assert len(str(error)) < 3000


@settings(max_examples=60, **SMALL)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path, reader, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    try:
        READERS[reader](path)
    except InputError as error:
        assert error.got and error.expected and error.do


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("kind", ["nothing", "a folder", "a pipe", "a device", "huge", "NUL", "no UTF-8"])
def test_what_is_no_list(tmp_path, reader, kind):
    path = tmp_path / "list.txt"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        path.touch()
        os.truncate(path, 1 << 40)
    elif kind != "nothing":
        path.write_bytes(b"a\0b 1 0\n" if kind == "NUL" else b"\xff\xfe a 1 0\n")
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert caught.value.do


def test_more_lines_than_any_list_has(tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "MAX_CLIPS", 2)
    for reader, text in (("frames", "a 1 0\n" * 3), ("segments", "path,start,end,label\n" + "v.mp4,0,1,a\n" * 3)):
        (tmp_path / "list.txt").write_text(text)
        with pytest.raises(InputError, match="at most 2"):
            READERS[reader](tmp_path / "list.txt")


@pytest.mark.parametrize("label", [b"\xff", b"\x1b[31m", b"x" * 230, b"a\nb"])
def test_a_folder_whose_name_is_no_label(tmp_path, label):
    folder = os.path.join(os.fsencode(tmp_path), b"data", label)
    os.makedirs(folder)
    open(os.path.join(folder, b"v.mp4"), "w").close()
    path = tmp_path / "c.toml"
    path.write_text('direction = "causal"\n[data]\nkind = "folders"\ntrain = "data"\ntest = "data"\n')
    with pytest.raises(InputError, match="rename the label"):
        lists.load_data(config.load(path), path)


def test_what_a_training_writes_follows_the_umask(tmp_path):
    from tsm_edge_export.training.train import train

    path = toy.project(tmp_path, train=1, test=1, schedule={"epochs": 1, "warmup": 0.0})
    before = os.umask(0o022)
    try:
        output = train(path, {"run": {"output": str(tmp_path / "out")}}).output
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in output.iterdir()}
    assert len(modes) == 6 and set(modes.values()) == {0o644}, modes
