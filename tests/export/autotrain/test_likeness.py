import cv2
import numpy as np
import pytest

from tests.export.autotrain.folders import write_pictures
from tsm_edge_export.autotrain.likeness import MOST_CLIPS, alike, like_clips
from tsm_edge_export.training.clips import PictureFolder


def frames(seed, count=20):
    """A disc that crosses a picture of soft blobs."""
    rng = np.random.default_rng(seed)
    room = cv2.resize(rng.integers(0, 256, (6, 8, 3)).astype(np.uint8), (96, 72), interpolation=cv2.INTER_CUBIC)
    begin, end = rng.uniform(10, 60, (2, 2))
    drawn = []
    for moment in np.linspace(0, 1, count):
        x, y = begin + (end - begin) * moment
        drawn.append(cv2.circle(room.copy(), (int(x), int(y)), 12, (200, 160, 140), -1))
    return np.stack(drawn)


def compressed(pictures):
    return np.stack(
        [cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR) for p in pictures]
    )


def clip(folder, name, pictures, label=0):
    write_pictures(folder / name, pictures)
    return PictureFolder(name, folder / name, label, 10.0)


@pytest.mark.parametrize("change", [np.copy, compressed, lambda pictures: pictures[1:]])
def test_a_clip_once_more_is_a_twin(tmp_path, change):
    once = frames(1)
    assert alike([clip(tmp_path, "a", once), clip(tmp_path, "b", change(once))]) == 1


def test_another_movement_in_the_same_room_is_none(tmp_path):
    assert alike([clip(tmp_path, "a", frames(1)), clip(tmp_path, "b", frames(1)[::-1])]) == 0


def test_other_rooms_are_none(tmp_path):
    assert alike([clip(tmp_path, str(seed), frames(seed)) for seed in range(6)]) == 0


def test_the_warning_names_the_label_and_the_count(tmp_path):
    clips = [clip(tmp_path, f"w{n}", frames(1)) for n in range(3)]
    clips += [clip(tmp_path, f"s{n}", frames(10 + n), 1) for n in range(3)]
    (text,) = like_clips(clips, ("wave", "stop"))
    assert text.startswith("2 of 3 clips of wave look the same")


def test_a_clip_that_is_gone_and_thousands(tmp_path):
    gone = clip(tmp_path, "gone", frames(1))
    for path in gone.files():
        (tmp_path / path).unlink()
    kept = clip(tmp_path, "kept", frames(1))
    assert alike([kept, gone]) == 0
    assert alike([kept] * 1000) == MOST_CLIPS - 1
