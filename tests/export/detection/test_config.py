"""Configurations of detectors: what is refused, by name, before anything is read or written."""

from pathlib import Path

import pytest

from tests.device.running import tsm_edge
from tests.export.detection import toy
from tsm_edge.errors import InputError
from tsm_edge_export.detection import config
from tsm_edge_export.detection.rendered import LABELS
from tsm_edge_export.detection.train import recipe_of, train
from tsm_edge_export.training.config import decided

CAMERA = {"kind": "video", "train": ".", "test": "."}


def test_paths_start_from_the_configuration(tmp_path):
    data = {"kind": "coco", "root": "frames", "train": "a.json", "test": "b.json"}
    path = toy.project(tmp_path, data=data, start={"weights": "w.safetensors"}, teacher={"weights": "start"})
    loaded = config.load(path)
    assert loaded.name == "toy"
    assert loaded.data.train == str(tmp_path / "a.json") and loaded.data.root == str(tmp_path / "frames")
    assert loaded.start.weights == loaded.teacher.weights == str(tmp_path / "w.safetensors")


def test_what_changes_no_result_is_not_compared(tmp_path):
    first = decided(config.load(toy.project(tmp_path)))
    assert first == decided(config.load(toy.project(tmp_path, run={"workers": 2})))
    assert first != decided(config.load(toy.project(tmp_path, loss={"size": 0.5})))


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"lable": ["a"]}, "unknown key lable"),
        ({"task": "detecting"}, "task"),
        ({"direction": "bidirectional"}, "direction"),
        ({"frame": {"crop": "stretch"}}, "frame.crop"),
        ({"frame": {"height": 16, "width": 16}}, "frame"),
        ({"data": {"kind": "folders"}}, "data.kind"),
        ({"data": {"train": "x.json"}}, "data.train"),
        ({"data": {"rendered": {"size": 8}}}, "data.rendered.size"),
        ({"data": {"rendered": {"sise": 64}}}, "unknown key sise"),
        ({"augment": {"degraded": 1.5}}, "augment.degraded"),
        ({"augment": {"degraded": 0.5, "kinds": ["foggy"]}}, "augment.kinds"),
        ({"augment": {"degraded": 0.5, "kinds": []}}, "augment.kinds"),
        ({"augment": {"rotate": 5}}, "unknown key rotate"),
        ({"loss": {"heat": 0.0, "size": 0.0, "offset": 0.0}}, "loss"),
        ({"loss": {"heat": -1.0}}, "loss.heat"),
        ({"optimiser": {"rate": 0.0}}, "optimiser.rate"),
        ({"schedule": {"warmup": 2.0}}, "schedule.warmup"),
        ({"regular": {"frozen": 2}}, "regular.frozen"),
        ({"regular": {"batch_norm": "no"}}, "regular.batch_norm"),
        ({"teacher": {"threshold": 0.0}}, "teacher.threshold"),
        ({"data": {**CAMERA, "rendered": {}}, "labels": ["face"]}, "teacher.weights"),
        ({"data": CAMERA, "teacher": {"weights": "w.onnx"}}, "labels"),
        ({"batch": 0}, "batch"),
        ({"shift": {"n_segment": 0}}, "n_segment"),
    ],
)
def test_refused(tmp_path, sections, part):
    path = toy.project(tmp_path, **sections)
    with pytest.raises(InputError) as refusal:
        config.load(path)
    assert part in str(refusal.value) and "toy.toml" in str(refusal.value)


@pytest.mark.parametrize(
    ("sections", "part"),
    [
        ({"labels": ["hand"]}, "labels"),
        ({"decision": {"threshold": 2.0}}, "threshold"),
        ({"decision": {"thresold": 0.2}}, "thresold"),
        ({"arch": {"name": "mobilenetv2"}}, "arch"),
        ({"start": {"weights": "nowhere.safetensors"}}, "nowhere.safetensors"),
    ],
)
def test_refused_before_anything_is_written(tmp_path, sections, part):
    path = toy.project(tmp_path, **sections)
    with pytest.raises(InputError) as refusal:
        train(path, {"run": {"output": str(tmp_path / "out")}})
    assert part in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["objects_192", "faces_256"])
@pytest.mark.parametrize("direction", ["causal", "none"])
def test_the_shipped_configurations(name, direction):
    path = Path(config.__file__).parents[1] / "training_configs" / f"{name}.toml"
    loaded = config.load(path, {"start": {"weights": "centerface.onnx"}, "direction": direction})
    assert loaded.direction == direction
    assert (loaded.teacher.weights is None) == (name == "objects_192")
    recipe_of(loaded, loaded.labels or LABELS)


@pytest.mark.parametrize(("task", "part"), [("classification", "unknown key"), ("pose", "task")])
def test_the_command_says_which_tasks_there_are(tmp_path, capsys, task, part):
    done = tsm_edge(capsys, "train", toy.project(tmp_path, task=task), "-o", tmp_path / "out")
    assert done.code == 2 and part in done.err
    assert not (tmp_path / "out").exists()
