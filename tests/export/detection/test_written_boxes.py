"""The files of boxes that a run writes are read by others: COCO results by pycocotools, MOT text by our own reader."""

import json

import cv2
import numpy as np
import pytest

from tests.device.sinks.test_boxes import BALL, CUP, opened, result_of
from tsm_edge_export.detection.mot import read_videos


def test_pycocotools_reads_the_results(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    with opened("coco", tmp_path / "o.json") as sink:
        sink.write(result_of(3, CUP, BALL))
        sink.write(result_of(4))
    truth = {"images": [{"id": 3}, {"id": 4}], "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "cup"}]}
    (tmp_path / "truth.json").write_text(json.dumps({**truth, "annotations": []}))
    results = coco.COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "o.json"))
    assert [row["category_id"] for row in results.loadAnns(results.getAnnIds(imgIds=[3]))] == [2, 1]
    assert results.getAnnIds(imgIds=[4]) == []


def test_mot_text_comes_back_as_truth(tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(3):
        cv2.imwrite(str(frames / f"{number}.png"), np.zeros((48, 64, 3), np.uint8))
    with opened("mot", tmp_path / "o.txt") as sink:
        sink.write(result_of(0, CUP, BALL))
        sink.write(result_of(1))
        sink.write(result_of(2, CUP))
    (tmp_path / "list.csv").write_text("path,truth\nframes,o.txt\n")
    data = read_videos(tmp_path / "list.csv", ("ball", "cup"))
    (clip,) = data.clips
    first, second, third = (clip.truth(index) for index in range(3))
    assert data.broken == () and len(second.boxes) == 0
    found = {int(k): (box.tolist(), int(t)) for box, k, t in zip(first.boxes, first.classes, first.tracks, strict=True)}
    assert found == {1: (list(CUP.box), 7), 0: (list(BALL.box), -1)}
    assert third.boxes.tolist() == [list(CUP.box)]
