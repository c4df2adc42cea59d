"""Containers of video files: damage, number of frames and rotation, read without decoding."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.device.damage import damaged
from tests.device.sources.test_video import CLIPS, clip
from tsm_edge.sources.container import Contents, inspect
from tsm_edge.sources.iso import MOST_BOXES, MOST_FRAMES, VideoTrack, read_video_track


@pytest.mark.parametrize("name", sorted(CLIPS))
def test_whole_clips_have_no_damage_and_state_their_frames(data, name):
    assert inspect(clip(data, name)) == Contents(None, CLIPS[name][0])


@pytest.mark.parametrize("name", ["decord_flipping_a_pancake.mkv", "decord_video_90.mov", "mmaction2_part_0.mp4"])
def test_every_cut_is_damage(data, tmp_path, name):
    with open(clip(data, name), "rb") as file:
        content = file.read()
    path = tmp_path / name
    for size in sorted(
        {16, 20, 40, 100, 1000, len(content) - 1} | set(range(0, len(content), len(content) // 50)) - {0}
    ):
        path.write_bytes(content[:size])
        assert inspect(str(path)).damage is not None, size


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"plain text that is no container at all",
        b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(40),
    ],
)
def test_unknown_or_open_ended_files_count_as_whole(tmp_path, content):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert inspect(str(path)) == Contents()


def test_track_is_what_the_container_states(data):
    assert read_video_track(clip(data, "mmaction2_demo_skeleton.mp4")) == VideoTrack(72, 0)
    assert read_video_track(clip(data, "decord_video_90.mov")) == VideoTrack(3, 90)
    assert read_video_track(clip(data, "decord_flipping_a_pancake.mkv")) is None


@settings(deadline=None, max_examples=300)
@given(changes=st.dictionaries(st.integers(0, 753), st.integers(0, 255), max_size=8), keep=st.integers(1, 754))
def test_any_bytes_in_an_index_are_survived(data, tmp_path_factory, changes, keep):
    with open(clip(data, "decord_video_0.mov"), "rb") as file:
        moov = bytearray(file.read()[-754:])
    for at, value in changes.items():
        moov[at] = value
    path = tmp_path_factory.getbasetemp() / "changed.mov"
    path.write_bytes(bytes(moov[:keep]))
    track = read_video_track(str(path))
    assert track is None or track.rotation in (0, 90, 180, 270)
    assert track is None or track.frames is None or 0 <= track.frames <= MOST_FRAMES
    assert isinstance(inspect(str(path)), Contents)


# Containers made by hand: what OpenCV cannot write


def chunk(kind, content):
    """A RIFF chunk."""
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def avi(lengths, stated, index="idx1", key=0, riff=None):
    """An AVI of chunks of these lengths; stated: the count in its header; key: the number of its first key frame.

    index: "idx1", "indx" (of two standard indices) or None. riff: the length that the RIFF header states, None for it.
    """
    strh = b"vids" + b"MJPG" + bytes(24) + struct.pack("<I", stated) + bytes(20)
    movi = [chunk(b"00dc", b"x" * length) for length in lengths]

    def head(indx):
        hdrl = chunk(b"LIST", b"strl" + chunk(b"strh", strh) + chunk(b"strf", bytes(40)) + indx)
        return b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56)) + hdrl)

    indx, tail = b"", b""
    if index == "idx1":
        flags = [16 if number >= key else 0 for number in range(len(lengths))]
        tail = chunk(b"idx1", b"".join(struct.pack("<4sIII", b"00dc", f, 0, n) for f, n in zip(flags, lengths)))
    elif index == "indx":
        half = len(lengths) // 2
        parts = [list(enumerate(lengths))[:half], list(enumerate(lengths))[half:]]
        bits = [[struct.pack("<II", 0, n | (0 if i >= key else 1 << 31)) for i, n in part] for part in parts]
        standard = [
            chunk(b"ix00", struct.pack("<HBBI4sQI", 2, 0, 1, len(b), b"00dc", 0, 0) + b"".join(b)) for b in bits
        ]
        at = 8 + len(head(chunk(b"indx", bytes(24 + 32)))) + 12
        entries = [
            struct.pack("<QII", at, len(standard[0]), 0),
            struct.pack("<QII", at + len(standard[0]), len(standard[1]), 0),
        ]
        indx = chunk(b"indx", struct.pack("<HBBI4s12x", 4, 0, 0, 2, b"00dc") + b"".join(entries))
        movi = standard + movi
    data = head(indx) + chunk(b"LIST", b"movi" + b"".join(movi)) + tail
    return b"RIFF" + struct.pack("<I", len(data) if riff is None else riff) + data


@pytest.mark.parametrize("index", ["idx1", "indx", None])
@settings(deadline=None, max_examples=40)
@given(lengths=st.lists(st.sampled_from([0, 1, 8, 9, 300]), min_size=2, max_size=30), key=st.integers(0, 3))
def test_frames_of_an_avi(tmp_path_factory, index, lengths, key):
    """Empty chunks and those before the first key frame give no picture; without an index every chunk is looked at."""
    path = tmp_path_factory.getbasetemp() / "made.avi"
    path.write_bytes(avi(lengths, len(lengths) if index else 0, index, key, riff=None if index else 0))
    first = key if index and key < len(lengths) else 0
    pictures = sum(length > 8 for length in lengths[first:])
    assert inspect(str(path)) == Contents(None, max(1, pictures) if index else pictures or None)


@settings(deadline=None, max_examples=200)
@given(cut=st.integers(0, 3000), seed=st.integers(0, 10**6), index=st.sampled_from(["idx1", "indx", None]))
def test_any_bytes_in_an_avi_are_survived(tmp_path_factory, cut, seed, index):
    path = tmp_path_factory.getbasetemp() / "changed.avi"
    content = damaged(avi([100, 0, 200] * 5, 15, index), seed)[1]
    path.write_bytes(content[: max(1, len(content) - cut)])
    assert isinstance(inspect(str(path)), Contents)


def element(ident, content, unknown=False):
    """An EBML element, its length in 8 bytes."""
    return ident + (b"\x01" + b"\xff" * 7 if unknown else b"\x01" + len(content).to_bytes(7, "big")) + content


def block(track, time, key=True, data=b"picture"):
    return element(b"\xa3", bytes([0x80 | track]) + struct.pack(">h", time) + (b"\x80" if key else b"\0") + data)


def matroska(clusters, unknown=False, codec=b"V_MJPEG"):
    """A Matroska file of lists of blocks; unknown: the lengths of its segment and clusters."""
    video = element(b"\xae", element(b"\xd7", b"\1") + element(b"\x83", b"\1") + element(b"\x86", codec))
    sound = element(b"\xae", element(b"\xd7", b"\2") + element(b"\x83", b"\2"))
    content = element(b"\x16\x54\xae\x6b", video + sound)
    for number, blocks in enumerate(clusters):
        time = element(b"\xe7", (100 * number).to_bytes(2, "big"))
        content += element(b"\x1f\x43\xb6\x75", time + b"".join(blocks), unknown)
    return element(b"\x1a\x45\xdf\xa3", b"") + element(b"\x18\x53\x80\x67", content, unknown)


@pytest.mark.parametrize("unknown", [False, True])
@settings(deadline=None, max_examples=60)
@given(clusters=st.lists(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6), min_size=1, max_size=5))
def test_frames_of_a_matroska_file(tmp_path_factory, unknown, clusters):
    """Blocks of the sound and those before the first key frame do not count."""
    path = tmp_path_factory.getbasetemp() / "made.mkv"
    made = [[block(1 if video else 2, time, key) for time, (video, key) in enumerate(one)] for one in clusters]
    path.write_bytes(matroska(made, unknown))
    keys = [key for one in clusters for video, key in one if video]
    assert inspect(str(path)) == Contents(None, len(keys) - keys.index(True) if True in keys else 0)


def test_other_blocks_that_hold_no_picture_of_their_own(tmp_path):
    shown, hidden = b"\x10\0\0", b"\0\0\0"
    group = element(b"\xa0", element(b"\xa1", b"\x81\0\5\0" + shown))
    early = block(1, -3, key=False, data=shown)  # belongs before the first key frame, and follows it: open GOP
    blocks = [block(1, 0, data=shown), block(1, 1, False, hidden), early, group, element(b"\xec", b"\0" * 9)]
    (tmp_path / "a.webm").write_bytes(matroska([blocks], codec=b"V_VP8"))
    assert inspect(str(tmp_path / "a.webm")) == Contents(None, 2)
    (tmp_path / "b.mkv").write_bytes(matroska([blocks]))
    assert inspect(str(tmp_path / "b.mkv")) == Contents(None, 3)
    for wrong in (block(3, 0), element(b"\xa2", b"x"), element(b"\xa0", b""), element(b"\xe7", bytes(9))):
        (tmp_path / "c.mkv").write_bytes(matroska([blocks + [wrong]]))
        assert "broken" in inspect(str(tmp_path / "c.mkv")).damage


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 10**6), unknown=st.booleans())
def test_any_bytes_in_a_matroska_file_are_survived(tmp_path_factory, seed, unknown):
    path = tmp_path_factory.getbasetemp() / "changed.mkv"
    path.write_bytes(damaged(matroska([[block(1, 0), block(2, 0)]] * 4, unknown), seed)[1])
    assert isinstance(inspect(str(path)), Contents)


def box(kind, content):
    return struct.pack(">I", 8 + len(content)) + kind + content


def full(kind, content, flags=0):
    return box(kind, struct.pack(">I", flags) + content)


def fragmented(runs, stated=None, extra=b""):
    """An MP4 of fragments with so many frames each; stated: the counts in their headers."""
    hdlr = full(b"hdlr", bytes(4) + b"vide" + bytes(12))
    mdia = box(b"mdia", full(b"mdhd", struct.pack(">8xII", 30, 0)) + hdlr)
    trak = box(b"trak", full(b"tkhd", struct.pack(">8xI68x", 7)) + mdia)
    data = box(b"ftyp", b"isom") + box(b"moov", full(b"mvhd", struct.pack(">8xII", 1000, 0)) + trak + box(b"mvex", b""))
    for frames, count in zip(runs, stated or runs):
        trun = full(b"trun", struct.pack(">I", count) + struct.pack(">I", 9) * frames, flags=0x200)
        data += box(b"moof", box(b"traf", full(b"tfhd", struct.pack(">I", 7)) + trun)) + box(b"mdat", bytes(9 * frames))
    return data + extra


def test_frames_of_a_fragmented_mp4(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented([3, 4, 5]))
    assert inspect(str(path)) == Contents(None, 12)
    for wrong in (fragmented([3, 4, 5], [3, 3, 5]), fragmented([3], extra=bytes(99)), fragmented([])):
        path.write_bytes(wrong)
        assert "states no frames" in inspect(str(path)).damage
    path.write_bytes(fragmented([3, 4])[:-1])
    assert "cut off" in inspect(str(path)).damage


def test_boxes_without_end_are_survived(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"ftyp", b"") + box(b"free", b"") * (MOST_BOXES + 9))
    assert "missing" in inspect(str(path)).damage
    nested = b""
    for _ in range(3000):
        nested = box(b"mdia", nested)
    path.write_bytes(box(b"ftyp", b"") + box(b"moov", box(b"trak", nested)))
    assert "states no frames" in inspect(str(path)).damage


def test_an_index_that_states_more_frames_than_the_file_has_bytes(data, tmp_path):
    with open(clip(data, "mmaction2_demo.mp4"), "rb") as file:
        content = bytearray(file.read())
    struct.pack_into(">I", content, content.find(b"stts") + 12, 2**32 - 1)
    (tmp_path / "a.mp4").write_bytes(bytes(content))
    assert "states no frames" in inspect(str(tmp_path / "a.mp4")).damage
