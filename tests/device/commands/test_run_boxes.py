"""`tsm-edge run` with a detector: boxes in every output, and the options that are about boxes."""

import json
import os

import pytest

from tests.device.commands.conftest import COUNT
from tests.device.commands.test_run_refusals import refused
from tests.device.running import all_records, played, records, tsm_edge
from tsm_edge.engines import load_manifest

EVERYTHING = "0.05"  # a threshold that the boxes of an untrained detector pass


@pytest.fixture
def detector(models):
    return os.path.join(models, "tiny_detector.onnx")


def run(capsys, detector, video, *more):
    return tsm_edge(capsys, "run", "--engine", detector, "--source", video, "--threads", 1, *more)


def test_the_boxes_of_all_outputs_are_the_same(detector, video, tmp_path, capsys):
    lines, coco, mot, clip = (tmp_path / name for name in ("o.jsonl", "o.json", "o.txt", "o.avi"))
    outputs = ("--jsonl", lines, "--coco", coco, "--mot", mot, "--save", clip)
    done = run(capsys, detector, video, "--threshold", EVERYTHING, *outputs)
    assert done.code == 0, done.err
    frames, _, _ = records(lines)
    boxes = [(frame["frame"], box) for frame in frames for box in frame["boxes"]]
    assert len(frames) == COUNT and boxes
    labels = load_manifest(detector).labels
    width, height = 64, 48  # of the video
    for _, box in boxes:
        x1, y1, x2, y2 = box["box"]
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        assert labels[box["class_id"]] == box["label"] and box["confidence"] >= float(EVERYTHING)
    rows = json.loads(coco.read_text())
    assert [(row["image_id"], row["category_id"] - 1, row["score"], row.get("track_id")) for row in rows] == [
        (index, box["class_id"], box["confidence"], box["track"]) for index, box in boxes
    ]
    words = [line.split(",") for line in mot.read_text().splitlines()]
    assert [(int(w[0]) - 1, int(w[1]), float(w[6])) for w in words] == [
        (index, -1 if box["track"] is None else box["track"], box["confidence"]) for index, box in boxes
    ]
    assert played(clip)[0] == COUNT


def test_the_threshold_replaces_the_models(detector, video, tmp_path, capsys):
    counts = []
    for threshold in ("0", EVERYTHING, "1"):
        lines = tmp_path / "o.jsonl"
        assert run(capsys, detector, video, "--threshold", threshold, "--jsonl", lines).code == 0
        frames, _, _ = records(lines)
        confidences = [box["confidence"] for frame in frames for box in frame["boxes"]]
        assert all(confidence >= float(threshold) for confidence in confidences)
        counts.append(len(confidences))
    assert counts[0] >= counts[1] > counts[2] == 0


def test_the_threshold_of_a_classifier(model, video, tmp_path, capsys):
    shown = []
    for threshold in ("0", "1"):
        lines = tmp_path / "o.jsonl"
        assert run(capsys, model, video, "--threshold", threshold, "--jsonl", lines).code == 0
        shown.append([frame["label"] for frame in records(lines)[0]])
    assert any(shown[0]) and not any(shown[1])


def test_a_camera_keeps_a_threshold_of_its_own(detector, video, tmp_path, capsys):
    site, lines = tmp_path / "site.toml", tmp_path / "o.jsonl"
    table = "[[camera]]\nname = '{}'\nsource = '" + str(video) + "'\n"
    site.write_text(table.format("door") + table.format("yard") + "[camera.decision]\nthreshold = 1.0\n")
    how = ("--cameras", site, "--threshold", EVERYTHING, "--jsonl", lines, "--threads", 1)
    done = tsm_edge(capsys, "run", "--engine", detector, *how)
    assert done.code == 0, done.err
    counts = {"door": 0, "yard": 0}
    for frame in all_records(lines)[0]:
        counts[frame["stream"]] += len(frame["boxes"])
    assert counts["door"] > 0 == counts["yard"]


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "nan", "inf", "much", ""])
def test_an_impossible_threshold_is_refused(detector, video, capsys, threshold):
    done = run(capsys, detector, video, "--threshold=" + threshold)
    assert done.code == 2 and "argument --threshold: " in done.err


@pytest.mark.parametrize("parts", ["", "boxes", "box,", "box,label", "box;conf", "x" * 500])
def test_an_unknown_part_of_the_overlay_is_refused(detector, video, capsys, parts):
    done = run(capsys, detector, video, "--overlay=" + parts)
    assert done.code == 2 and "is none of box, labels, conf, track" in done.err and len(done.err) < 3000


def test_fewer_parts_of_the_overlay_change_fewer_pixels(detector, video, tmp_path, capsys):
    cv2, changed = pytest.importorskip("cv2"), []
    for parts in ("box", "box,labels,conf,track"):
        clip = tmp_path / "o.avi"
        how = ("--threshold", EVERYTHING, "--overlay", parts, "--max-frames", 3, "--save", clip)
        assert run(capsys, detector, video, *how).code == 0
        capture = cv2.VideoCapture(str(clip))
        changed.append(capture.read()[1])
        capture.release()
    assert (changed[0] != changed[1]).any()


@pytest.mark.parametrize("option", ["--coco", "--mot"])
def test_a_classifier_gives_no_boxes(model, video, tmp_path, capsys, option):
    refused(run(capsys, model, video, option, tmp_path / "o"), "a detector")
    assert not (tmp_path / "o").exists()


def test_mot_text_of_two_streams_is_refused(detector, video, tmp_path, capsys):
    refused(run(capsys, detector, video, "--source", video, "--mot", tmp_path / "o.txt"), "2 streams")
    assert not (tmp_path / "o.txt").exists()


@pytest.mark.parametrize("option", ["--coco", "--mot"])
def test_no_file_of_boxes_destroys_what_the_run_reads(detector, video, capsys, option):
    with open(str(video), "rb") as file:
        before = file.read()
    refused(run(capsys, detector, video, option, video), "the same file as")
    with open(str(video), "rb") as file:
        assert file.read() == before


def test_info_says_what_a_detector_decides(detector, capsys):
    done = tsm_edge(capsys, "info", detector)
    assert done.code == 0
    assert "whole, in 104x72" in done.out and "boxes from 15% on" in done.out and "grid" in done.out
