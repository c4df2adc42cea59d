"""Training of detectors: it learns, goes on to the bit, exports what it trained, and takes each kind of start."""

import json

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.device.running import tsm_edge
from tests.export.detection import toy
from tsm_edge.errors import InputError
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.detection import config, start
from tsm_edge_export.detection.clip_sets import load_sets
from tsm_edge_export.detection.dataset import collate
from tsm_edge_export.detection.task import Detection
from tsm_edge_export.detection.train import train
from tsm_edge_export.exporter import export
from tsm_edge_export.training import journal, loop, state
from tsm_edge_export.training.loop import Trainer

LABELS = ("open hand", "fist", "pointing hand", "face")


def contents(path):
    """The tensors of a safetensors file as bytes."""
    with safe_open(str(path), framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118


def run(path, output, resume=False, **changes):
    return train(path, {**changes, "run": {"output": str(output)}}, resume)


def saved_network(path, kind="mobilenetv2_centernet", labels=LABELS, seed=3):
    """Save an untrained network as a checkpoint. Returns its state."""
    network = models.init_(models.build(ArchSpec(kind, 0.25, len(labels)), 8), seed)
    checkpoints.save(path, network, "none", 3, labels)
    return network.state_dict()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short training with everything that has a state. Returns what train returned, and the configuration."""
    folder = tmp_path_factory.mktemp("trained")
    path = toy.project(
        folder,
        schedule={"epochs": 2},
        regular={"ema": 0.9},
        augment={"degraded": 0.5},
        decision={"threshold": 0.2},
        fps=15.0,
    )
    return run(path, folder / "out"), path


def test_the_folder(trained):
    result, _ = trained
    files = {path.name for path in result.output.iterdir()}
    assert files == {
        "best.safetensors",
        "last.safetensors",
        "state.safetensors",
        "recipe.toml",
        "log.jsonl",
        "curves.png",
        "validation.json",
    }
    spec = recipe.load(str(result.recipe))
    assert (spec.arch.name, spec.labels, spec.decision) == ("mobilenetv2_centernet", LABELS, {"threshold": 0.2})
    assert (spec.mode, spec.fps, spec.frame.crop) == ("online", 15.0, "letterbox")
    figures = json.loads((result.output / "validation.json").read_text())
    assert {key: figures[key] for key in result.best} == result.best
    assert set(result.best) == {"epoch", "loss", "ap50", "ap50_95"} and "groups" in figures
    with safe_open(str(result.weights), framework="pt") as file:
        assert file.get_tensor("features.0.0.weight").dtype == torch.float16
    rows = journal.read(result.output / "log.jsonl")
    assert [row["kind"] for row in rows] == ["start", "train", "test", "train", "test", "end"]
    assert all(row["loss"] == pytest.approx(row["heat"] + row["size"] + row["offset"]) for row in rows[1:5:2])


def test_what_was_trained_can_be_exported(trained, tmp_path):
    result, _ = trained
    said = []
    export(result.output, output=tmp_path / "toy.onnx", progress=said.append)
    names = [comparison.name for comparison in said]
    assert "torch steps = causal clip, grid, 7 frames, batch 1" in names
    assert all(comparison.passed for comparison in said)
    manifest = json.loads((tmp_path / "toy.json").read_text())
    assert manifest["task"] == "detection" and manifest["weights"]["trained"]


def test_resume_goes_on_to_the_bit(trained, tmp_path, monkeypatch):
    whole, path = trained
    real, steps = loop.Trainer._train_step, []

    def interrupted(self, *arguments):
        if len(steps) == 4:  # in the second epoch, of which one step is saved
            raise KeyboardInterrupt
        steps.append(1)
        real(self, *arguments)

    monkeypatch.setattr(loop.Trainer, "_train_step", interrupted)
    changes = {"run": {"output": str(tmp_path / "out"), "save_steps": 1}}
    with pytest.raises(KeyboardInterrupt):
        train(path, changes)
    assert not (tmp_path / "out" / "validation.json").exists()
    monkeypatch.setattr(loop.Trainer, "_train_step", real)
    train(path, changes, resume=True)
    for name in ("last.safetensors", "best.safetensors", state.NAME):
        assert contents(tmp_path / "out" / name) == contents(whole.output / name), name


def test_another_configuration_is_no_resume(trained, tmp_path):
    result, path = trained
    with pytest.raises(InputError, match="loss.size"):
        run(path, result.output, resume=True, loss={"size": 0.5})


def test_a_few_steps_lower_the_loss(tmp_path):
    spec = config.load(toy.project(tmp_path, augment={"zoom": 0.0, "move": 0.0, "flip": False, "colour": 0.0}))
    sets = load_sets(spec, "toy")
    task = Detection(spec, sets, None, "cpu")
    network, _ = start.make_start(spec, sets.labels)
    trainer = Trainer(spec, network, task, tmp_path, "cpu")
    batch = collate([task.train_set[0, number] for number in range(4)])
    losses = []
    for step in range(6):
        before = task.step(trainer._forward, batch, step).loss.item()
        trainer._train_step(batch, 1.0 / 2, 100)
        losses.append(before)
    assert min(losses[3:]) < 0.9 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in network.named_parameters() if "heat" in n)
    assert all(any(p is q for g in trainer.optimiser.param_groups for q in g["params"]) for p in network.parameters())


def test_the_twin_sees_the_same_clips(tmp_path):
    path = toy.project(tmp_path, augment={"degraded": 0.5})
    batches = []
    for direction in ("causal", "none"):
        spec = config.load(path, {"direction": direction})
        task = Detection(spec, load_sets(spec, "toy"), None, "cpu")
        batches.append((collate([task.train_set[1, number] for number in range(3)]), start.make_start(spec, LABELS)[0]))
    (first, causal), (second, twin) = batches
    assert torch.equal(first.frames, second.frames) and torch.equal(first.targets.heat, second.targets.heat)
    assert all(torch.equal(a, b) for a, b in zip(causal.state_dict().values(), twin.state_dict().values(), strict=True))


def test_the_recipe_of_the_twin_has_no_shift(tmp_path):
    path = toy.project(tmp_path, direction="none", data={"rendered": {"train": 2, "test": 2}})
    result = run(path, tmp_path / "out")
    spec = recipe.load(str(result.recipe))
    assert recipe.direction_of(spec, spec.mode) == "none"
    assert checkpoints.load(result.weights, spec.arch).direction == "none"


@pytest.mark.parametrize("labels", [LABELS, ("face", "cup")])
def test_a_start_from_a_detector(tmp_path, labels):
    weights = saved_network(tmp_path / "w.safetensors", labels=labels)
    path = toy.project(tmp_path, start={"weights": "w.safetensors"})
    network, origin = start.make_start(config.load(path), LABELS)
    same = {name for name, tensor in network.state_dict().items() if torch.equal(tensor, weights[name])}
    assert origin["head"] == ("kept" if labels == LABELS else "new")
    assert weights.keys() - same - {"heat.bias"} == (set() if labels == LABELS else {"heat.weight"})
    assert network.get_parameter("heat.bias").detach().numpy() == pytest.approx(-2.197, abs=1e-3)


def test_a_start_from_a_classifier(tmp_path):
    weights = saved_network(tmp_path / "w.safetensors", "mobilenetv2", ("left", "right"))
    path = toy.project(tmp_path, start={"weights": "w.safetensors"})
    network, origin = start.make_start(config.load(path), LABELS)
    state_dict = network.state_dict()
    taken = [name for name in weights if name.startswith("features.") and not name.startswith("features.18.")]
    assert len(taken) > 200 and all(torch.equal(state_dict[name], weights[name]) for name in taken)
    assert origin["head"] == "new" and "first 18 layers" in origin["text"]


def test_statistics_of_a_network_that_has_none():
    network = models.init_(models.build(ArchSpec("mobilenetv2_centernet", 0.25, 2), 8), 0)
    x = torch.rand(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network.eval().clip(x, "causal")[0]
        start.measure_statistics(network, x, "causal")
        after = network.eval().clip(x, "causal")[0]
        trained = network.train().clip(x, "causal")[0]
    assert float((after - before).abs().max()) < 1e-3 * float(before.abs().max())
    assert float((trained - before).abs().max()) < 1e-3 * float(before.abs().max())  # batches have these statistics


def faces(folder, count=2):
    """Videos without boxes: folders of pictures."""
    rng = np.random.default_rng(0)
    for number in range(count):
        clip = folder / f"clip_{number}"
        clip.mkdir(parents=True)
        for index in range(5):
            cv2.imwrite(str(clip / f"{index}.png"), rng.integers(0, 256, (48, 72, 3), np.uint8))
    return folder


def test_a_teacher_labels_videos(tmp_path):
    faces(tmp_path / "videos")
    weights = saved_network(tmp_path / "w.safetensors", labels=("face",))
    network = models.build(ArchSpec("mobilenetv2_centernet", 0.25, 1), 8)
    weights["heat.bias"] += 2.0  # so that it finds boxes
    network.load_state_dict(weights)
    checkpoints.save(tmp_path / "w.safetensors", network, "none", 3, ("face",))
    path = toy.project(
        tmp_path,
        labels=["face"],
        data={"kind": "video", "train": "videos", "test": "videos", "repeats": 2, "hold": 40, "rendered": {}},
        start={"weights": "w.safetensors"},
        teacher={"weights": "start", "sure": 0.4},
        augment={"degraded": 1.0, "kinds": ["dark"]},
        regular={"batch_norm": "statistics"},
    )
    result = run(path, tmp_path / "out")
    rows = journal.read(result.output / "log.jsonl")
    assert [row["epoch"] for row in rows if row["kind"] == "test"] == [0, 1]  # the head is kept: measured before, too
    assert all(row["teacher"] > 0 for row in rows if row["kind"] == "train")
    tensors = checkpoints.load(result.output / "last.safetensors", ArchSpec("mobilenetv2_centernet", 0.25, 1)).state
    assert torch.equal(tensors["shared.1.running_var"], weights["shared.1.running_var"])
    assert not torch.equal(tensors["shared.1.bias"], weights["shared.1.bias"])


def test_a_teacher_of_other_classes(tmp_path):
    saved_network(tmp_path / "w.safetensors", labels=("face",))
    path = toy.project(tmp_path, teacher={"weights": "w.safetensors"})
    with pytest.raises(InputError, match="1 classes"):
        run(path, tmp_path / "out")


def test_own_boxes_from_a_coco_file(tmp_path):
    names = []
    (tmp_path / "frames").mkdir()
    for index in range(6):
        picture = np.zeros((60, 80, 3), np.uint8)
        picture[20:40, 10 + 5 * index : 30 + 5 * index] = 255
        names.append(f"frames/a_{index:03d}.png")
        cv2.imwrite(str(tmp_path / names[-1]), picture)
    images = [
        {"id": n, "file_name": name, "width": 80, "height": 60, "video_id": 1, "frame_id": n}
        for n, name in enumerate(names)
    ]
    boxes = [
        {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [10 + 5 * n, 20, 20, 20], "area": 400, "iscrowd": 0}
        for n in range(6)
    ]
    whole = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cup"}]}
    whole["videos"] = [{"id": 1, "name": "a"}]
    (tmp_path / "boxes.json").write_text(json.dumps(whole))
    data = {"kind": "coco", "train": "boxes.json", "test": "boxes.json", "rendered": {}}
    result = run(toy.project(tmp_path, batch=1, data=data), tmp_path / "out")
    assert result.labels == ("cup",) and recipe.load(str(result.recipe)).labels == ("cup",)
    with pytest.raises(InputError, match="mot"):
        run(toy.project(tmp_path, data={**data, "kind": "mot"}), tmp_path / "other")


def test_the_command(tmp_path, capsys):
    path, override = toy.project(tmp_path), tmp_path / "fewer.toml"
    override.write_text("[data.rendered]\ntrain = 2\n")
    done = tsm_edge(capsys, "train", path, "-o", tmp_path / "out", "--override", override, "--direction", "none")
    assert done.code == 0, done.err
    assert "2 clips to train" in done.out
    assert journal.read(tmp_path / "out" / "log.jsonl")[0]["config"]["direction"] == "none"
    assert "AP50" in done.out and "next: tsm-edge export" in done.out
    again = tsm_edge(capsys, "train", path, "-o", tmp_path / "out")
    assert again.code == 2 and "--resume" in again.err
