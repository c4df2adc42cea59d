"""`tsm-edge eval` of a detector, through a session: its boxes, its table and files, and what it refuses."""

import json

import cv2
import numpy as np
import pytest

from tests.export.detection import annotated as an
from tests.export.detection.square_engine import SquareEngine, manifest
from tests.export.evaluation import toy as classifiers
from tests.export.evaluation.test_evaluate import run
from tsm_edge.errors import InputError, SourceError
from tsm_edge_export import models
from tsm_edge_export.detection import draw
from tsm_edge_export.detection.annotations import read_boxes
from tsm_edge_export.detection.evaluate import NamedData, _frame_by_frame, evaluate_detector, find, finished, listed
from tsm_edge_export.detection.predict import boxes_in_source, clip_grids
from tsm_edge_export.detection.report import to_text
from tsm_edge_export.evaluation import evaluate as command
from tsm_edge_export.torch_engine import TorchEngine
from tsm_edge_export.training.config import Speed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three clips of squares, which are all balls."""
    made = tmp_path_factory.mktemp("squares")
    data = an.coco(made, clips=3, frames=6)
    for annotation in data["annotations"]:
        annotation["category_id"] = 7
    an.write(made, data)
    return made


@pytest.fixture(scope="module")
def source(folder):
    return listed(str(folder / "boxes.json"), an.LABELS)


def evaluated(engine, source, repeats=30):
    done = evaluate_detector(engine, source, repeats=repeats)
    return done, finished(done)[0]


def test_every_box_is_found_where_it_is(source):
    """Frames of the model's own size lose nothing on their way through the session and back."""
    clip = source.data.clips[1]
    found = find(SquareEngine(), clip)
    for frame in range(clip.count):
        np.testing.assert_allclose(found[frame].boxes, clip.truth(frame).boxes, atol=1e-4)
        assert found[frame].scores == pytest.approx([0.9]) and found[frame].classes.tolist() == [0]


def test_boxes_come_back_in_source_pixels(tmp_path, source):
    """A model that sees frames of twice the height, with a border to the left and the right."""
    found = find(SquareEngine(height=96, width=200), source.data.clips[0], "exact")
    for frame, predicted in enumerate(found):
        np.testing.assert_allclose(predicted.boxes, source.data.clips[0].truth(frame).boxes, atol=1)


def test_each_clip_begins_anew_and_its_first_frames_count(source):
    """A model that sees nothing before its third frame misses two boxes of each clip, not two of all."""
    done, values = evaluated(SquareEngine(blind=2), source)
    assert values["figures"]["at_threshold"]["recall"] == pytest.approx(4 / 6)
    assert [(row["missed"], row["false"]) for row in values["rows"]] == [(2, 0)] * 3
    assert {(error.clip, error.frame) for error in done.scores.errors() if error.missed} == {
        (clip, frame) for clip in range(3) for frame in range(2)
    }


def test_boxes_below_the_decisions_threshold_count_for_the_precision_alone(source):
    _, values = evaluated(SquareEngine(false=0.1), source)
    found = values["figures"]
    assert found["at_threshold"]["false_per_frame"] == 0 and found["ap50"]["value"] == 1
    assert found["at_false_rates"][0]["threshold"] == pytest.approx(0.9)
    _, values = evaluated(SquareEngine(false=0.95), source)
    assert values["figures"]["at_threshold"]["false_per_frame"] == 1
    assert [row["false"] for row in values["rows"]] == [6, 6, 6]
    assert values["figures"]["at_false_rates"][0]["recall"]["value"] == 0


def test_boxes_that_are_off(source):
    """Boxes that are 5 of 16 pixels off overlap by 11/21: they pass at 0.5, and at no higher threshold."""
    _, values = evaluated(SquareEngine(moved=5.0), source)
    assert values["figures"]["ap50"]["value"] == pytest.approx(1)
    assert values["figures"]["ap50_95"]["value"] == pytest.approx(0.1)


def test_the_pictures(source):
    done, values = evaluated(SquareEngine(blind=2, false=0.4), source)
    pictures = finished(done)[1]()
    assert sorted(pictures) == ["precision-recall", "worst"]
    for picture in pictures.values():
        pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert min(pixels.shape[:2]) > 200 and pixels.std() > 10
    worst = draw.worst_frames(done.scores)
    assert [(error.clip, error.frame, error.missed, error.false) for error in worst[:2]] == [(0, 0, 1, 1), (0, 1, 1, 1)]
    assert len(worst) == 6  # two of each clip
    done, values = evaluated(SquareEngine(), source)
    assert list(finished(done)[1]()) == ["precision-recall"]  # nothing is wrong


def test_two_detectors_are_compared_on_the_same_clips(source):
    (first, _), (second, _) = (evaluated(SquareEngine(blind=blind), source) for blind in (0, 2))
    values, _ = finished(first, second.report)
    assert values["against"]["recall"]["value"] == pytest.approx(1 / 3)
    assert values["against"]["recall"]["low"] == pytest.approx(1 / 3)
    text = to_text(values)
    assert "recall" in text and "+33.3" in text
    short = evaluate_detector(SquareEngine(), NamedData("short", source.data._replace(clips=source.data.clips[:2])))
    with pytest.raises(InputError, match="same clips"):
        finished(first, short.report)


def test_a_clip_that_cannot_be_read_stops(folder, tmp_path):
    made = an.coco(tmp_path, clips=2)
    path = an.write(tmp_path, made)
    (tmp_path / "clip1" / "000003.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="1 of 2 clips are broken"):
        evaluate_detector(SquareEngine(), listed(str(path), an.LABELS))
    for image in made["images"]:
        image.update(width=640, height=480)
    clip = read_boxes(an.write(tmp_path, made)).clips[0]
    with pytest.raises(SourceError, match="as the annotations say"):
        find(SquareEngine(), clip)


def test_a_broken_annotation_is_named_in_the_table(tmp_path):
    made = an.coco(tmp_path, clips=2, frames=60)
    made["annotations"][70]["bbox"] = [900, 10, 5, 5]
    _, values = evaluated(SquareEngine(), listed(str(an.write(tmp_path, made)), an.LABELS), repeats=5)
    assert values["figures"]["boxes"] == 119
    assert "1 broken left out" in to_text(values) and "annotation 71: a box outside the picture" in to_text(values)


@pytest.mark.parametrize("direction", ["causal", "none"])
def test_a_checkpoint_finds_what_its_training_saw(source, direction):
    """The session, frame by frame, gives the boxes of the whole clip in torch, for TSM and for its per-frame twin."""
    made = manifest(mode="online" if direction == "causal" else "offline", direction=direction)
    network = models.build(made.arch, 8)
    models.init_(network, 3)
    clip = source.data.clips[0]
    found = find(_frame_by_frame(TorchEngine(network, made, "toy")), clip, "exact")
    network.eval()
    grids = clip_grids(network, clip.read(range(clip.count)), direction, made.frame, Speed(amp=False), "cpu")
    expected = boxes_in_source(grids.numpy(), 2, made.frame, clip.size)
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours.scores) == len(theirs.scores) > 5
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
        assert len(
            {tuple(box) for box in np.round(ours.boxes)} & {tuple(box) for box in np.round(theirs.boxes)}
        ) > 0.8 * len(ours.boxes)


def test_refused_engines_and_data(source):
    with pytest.raises(InputError, match="an online one"):
        evaluate_detector(SquareEngine(mode="offline"), source)
    with pytest.raises(InputError, match="labels"):
        evaluate_detector(SquareEngine(), source._replace(data=source.data._replace(labels=("cup", "ball"))))
    with pytest.raises(InputError, match="no true box"):
        evaluate_detector(SquareEngine(), source._replace(data=source.data._replace(clips=[])))


# ---------------------------------------------------------------- the command


@pytest.fixture
def squares(monkeypatch):
    """The command opens a file named like an engine here."""
    engines = {"good": SquareEngine(), "late": SquareEngine(blind=2, false=0.4)}
    monkeypatch.setattr(command, "open_engine", lambda path, *model, **more: engines[path])
    return engines


def test_a_list_from_table_to_files(squares, folder, tmp_path, capsys):
    output = tmp_path / "boxes.json"
    more = ["--against", "good", "-o", output]
    code, out, err = run(capsys, "--engine", "late", "--list", folder / "boxes.json", *more)
    assert code == 0, err
    values = json.loads(output.read_text())
    assert (values["kind"], values["figures"]["frames"], values["figures"]["boxes"]) == ("boxes", 18, 18)
    assert len(values["rows"]) == 3 and values["against"]["recall"]["value"] == pytest.approx(-1 / 3)
    assert f"AP50 {values['figures']['ap50']['value']:.1%}" in out and "-33.3" in out
    for row in values["figures"]["per_class"]:
        assert f"{row['label']} " in out
    names = ["boxes.json", "boxes.precision-recall.png", "boxes.worst.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--list", "list.txt"], "for a classifier"),
        (["--list", "clips.csv"], "give it to a classifier"),
        (["--list", "boxes.json", "--clips", 2], "--clips"),
        (["--list", "boxes.json", "--seed", 1], "--seed"),
        (["--list", "boxes.json", "--workers", 1], "--workers"),
        (["--stream", "clip.avi"], "--stream"),
        (["--config", "my.toml"], "--config"),
        (["--synthetic", 2], "a detector of open hand"),
        (["--synthetic", 2, "--root", "."], "--root"),
    ],
)
def test_refusals(squares, folder, tmp_path, monkeypatch, capsys, arguments, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("clip 8 0\n")
    (tmp_path / "clips.csv").write_text("path,start,end,label\nclip.avi,0,1,ball\n")
    (tmp_path / "boxes.json").write_text((folder / "boxes.json").read_text())
    code, out, err = run(capsys, "--engine", "good", *arguments, "-o", "made.json")
    assert code == 2 and part in err and not out
    assert not list(tmp_path.glob("made*"))


def test_a_classifier_refuses_true_boxes(folder, tmp_path, capsys):
    project = classifiers.project(tmp_path)
    for more, part in (
        (["--list", folder / "boxes.json"], "true boxes"),
        (["--list", "x", "--against", "y"], "--against"),
    ):
        code, _, err = run(capsys, "--engine", project.weights, *more)
        assert code == 2 and part in err
