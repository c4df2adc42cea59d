"""The files of boxes: COCO results and MOT text, what they refuse, and that they are whole or plainly not."""

import json
import os

import numpy as np
import pytest

from tests.device.toys import make_event, make_infos, make_result
from tsm_edge.errors import InputError
from tsm_edge.records import Box, Detections, Frame, Result
from tsm_edge.sinks import SINKS, check_outputs

CUP, BALL = Box("cup", 1, 0.75, (1.0, 2.0, 3.5, 7.0), 7), Box("ball", 0, 0.5, (0.0, 0.0, 9.0, 9.0), None)


def result_of(index, *boxes, stream="door"):
    frame = Frame(index, index / 25.0, np.zeros((48, 64, 3), np.uint8), (), stream)
    return Result(frame, Detections(boxes), 20.0)


def opened(key, path, *names):
    return SINKS.load(key).open_sink(str(path), make_infos(*names))


def test_coco_results_by_hand(tmp_path):
    with opened("coco", tmp_path / "o.json") as sink:
        for number in (4, 5, 7):
            sink.write(result_of(number, *{4: (CUP, BALL), 5: (), 7: (BALL,)}[number]))
            sink.event(make_event())
    assert json.loads((tmp_path / "o.json").read_text()) == [
        {"image_id": 4, "category_id": 2, "bbox": [1.0, 2.0, 2.5, 5.0], "score": 0.75, "track_id": 7},
        {"image_id": 4, "category_id": 1, "bbox": [0.0, 0.0, 9.0, 9.0], "score": 0.5},
        {"image_id": 7, "category_id": 1, "bbox": [0.0, 0.0, 9.0, 9.0], "score": 0.5},
    ]


def test_coco_images_of_several_streams_have_ids_of_their_own(tmp_path):
    with opened("coco", tmp_path / "o.json", "door", "yard", "desk") as sink:
        for index in (0, 1, 9):
            for stream in ("yard", "door", "desk"):
                sink.write(result_of(index, CUP, stream=stream))
    ids = [row["image_id"] for row in json.loads((tmp_path / "o.json").read_text())]
    assert ids == [1, 0, 2, 4, 3, 5, 28, 27, 29]


def test_coco_results_without_a_box_and_without_a_frame(tmp_path):
    with opened("coco", tmp_path / "o.json") as sink:
        sink.write(result_of(0))
    assert json.loads((tmp_path / "o.json").read_text()) == []
    for key in ("coco", "mot"):
        opened(key, tmp_path / "none").close()
        assert os.listdir(str(tmp_path)) == ["o.json"]


def test_coco_results_that_were_not_closed_are_no_json(tmp_path):
    sink = opened("coco", tmp_path / "o.json")
    sink.write(result_of(0, CUP))
    sink.write(result_of(1))
    with pytest.raises(ValueError):
        json.loads((tmp_path / "o.json").read_text())
    sink.close()
    sink.close()
    assert len(json.loads((tmp_path / "o.json").read_text())) == 1


def test_mot_text_by_hand(tmp_path):
    with opened("mot", tmp_path / "o.txt") as sink:
        for number, boxes in ((0, (CUP, BALL)), (1, ()), (2, (BALL,))):
            sink.write(result_of(number, *boxes))
            sink.event(make_event())
    assert (tmp_path / "o.txt").read_text().splitlines() == [
        "1,7,2.00,3.00,2.50,5.00,0.750000,2,-1",
        "1,-1,1.00,1.00,9.00,9.00,0.500000,1,-1",
        "3,-1,1.00,1.00,9.00,9.00,0.500000,1,-1",
    ]


def test_mot_text_takes_one_stream(tmp_path):
    for refuse in (
        lambda: opened("mot", tmp_path / "o.txt", "door", "yard"),
        lambda: check_outputs({"mot": str(tmp_path / "o.txt")}, ["door", "yard"], []),
    ):
        with pytest.raises(InputError, match="2 streams"):
            refuse()
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("key", ["coco", "mot"])
def test_a_model_of_another_task_is_refused_and_destroys_nothing(key, tmp_path):
    path = tmp_path / "old"
    path.write_text("before")
    for target, left in ((path, ["old"]), (tmp_path / "new", ["old"])):
        with opened(key, target) as sink, pytest.raises(InputError, match="--" + key):
            sink.write(make_result(0))
        assert path.read_text() == "before" and os.listdir(str(tmp_path)) == left


@pytest.mark.parametrize("key", ["coco", "mot"])
def test_two_sinks_on_one_file(key, tmp_path):
    with opened(key, tmp_path / "o"), pytest.raises(InputError, match="writes it"):
        opened(key, tmp_path / "o")


@pytest.mark.parametrize("key", ["coco", "mot"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_is_told(key):
    with pytest.raises(InputError, match="/dev/full"), opened(key, "/dev/full") as sink:
        sink.write(result_of(0, CUP))


def test_the_outputs_of_a_run_are_told_apart(tmp_path):
    same = str(tmp_path / "o")
    with pytest.raises(InputError, match="same file"):
        check_outputs({"coco": same, "mot": same}, ["door"], [])
