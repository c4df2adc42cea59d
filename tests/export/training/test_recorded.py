"""What `tsm-edge record` writes is what training reads: the same frames, labels and numbers of clips."""

import pytest

from tests.device import media
from tests.export.training.test_data import config
from tsm_edge.cli import main
from tsm_edge_export.training.lists import load_data

FPS = 30.0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A folder with the data folders of two recordings, "train" with a camera's clips and "test" with cut ones."""
    folder = tmp_path_factory.mktemp("recorded")
    video = media.write_video(folder / "in.avi", 500, fps=FPS)
    options = ["--clips", "2", "--seconds", "0.5", "--countdown", "0.2", "--no-display", "--session", "s"]
    labels = ["--label", "wave", "--label", "push"]
    assert main(["record", "--source", video, "-o", str(folder / "train"), *labels, *options]) == 0
    (folder / "marks.csv").write_text("start,end,label\n1,1.5,wave\n2,2.5,push\n4,5,nothing\n")
    marks = ["--marks", str(folder / "marks.csv"), "--session", "s"]
    assert main(["record", "--source", video, "-o", str(folder / "test"), *marks]) == 0
    return folder


def test_training_reads_what_was_recorded(recorded):
    data = load_data(config(recorded, 'kind = "folders"\ntrain = "train"\ntest = "test"\n'), "x")
    assert data.labels == ("nothing", "push", "wave") and not list(data.broken.reasons)
    labels = ("nothing", "nothing", "push", "push", "wave", "wave")
    assert [data.labels[clip.label] for clip in data.train] == list(labels)
    assert [clip.name for clip in data.train[-2:]] == ["wave/s_01.avi", "wave/s_02.avi"]
    for clip in data.train:
        assert 10 <= clip.count <= 16


def test_the_frames_are_those_of_the_marks(recorded):
    data = load_data(config(recorded, 'kind = "folders"\ntrain = "train"\ntest = "test"\n'), "x")
    for clip, (start, count) in zip(data.test, ((120, 30), (60, 15), (30, 15)), strict=True):
        assert clip.count == count
        levels = clip.read(range(count)).mean((1, 2, 3))
        expected = [index * media.GREY_STEP % 256 for index in range(start, start + count)]
        assert levels == pytest.approx(expected, abs=3.2)
