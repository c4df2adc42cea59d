"""The loop: it learns order where that can be learned, goes on after a kill to the bit, and writes what is usable."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors import safe_open

from tests.export.training import toy
from tsm_edge import cli
from tsm_edge.errors import InputError
from tsm_edge.files import locked_folder
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.exporter import export
from tsm_edge_export.training import journal, state
from tsm_edge_export.training.train import train

FULL = {  # a configuration with everything in it that has a state
    "batch": 4,
    "optimiser": {"name": "sgd", "rate": 0.01},
    "regular": {"dropout": 0.3, "ema": 0.9},
    "schedule": {"epochs": 2},
}
TIMES = ("clips_per_second",)


def lines_of(output):
    """The log without what time and interruptions put into it."""
    rows = journal.read(output / "log.jsonl")
    return [{key: row[key] for key in row if key not in TIMES} for row in rows if row["kind"] != "resume"]


def run(path, output, resume=False, report=lambda text: None, **changes):
    return train(path, {**changes, "run": {"output": str(output)}}, resume, report)


def contents(path):
    """The tensors of a safetensors file as bytes, and its metadata: their order in the file is a matter of chance."""
    with safe_open(str(path), framework="np") as file:
        return {name: file.get_tensor(name).tobytes() for name in file.keys()}, file.metadata()  # noqa: SIM118


def same_training(first, second):
    for name in ("last.safetensors", "best.safetensors"):
        assert contents(first / name) == contents(second / name), name
    assert lines_of(first) == lines_of(second)
    (ours, said), (theirs, wanted) = contents(first / state.NAME), contents(second / state.NAME)
    assert ours == theirs
    values, expected = json.loads(said["state"]), json.loads(wanted["state"])
    assert {**values, "log": 0} == {**expected, "log": 0}


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A causal network that learned the toy gestures. Returns (configuration, what train returned)."""
    folder = tmp_path_factory.mktemp("learned")
    path = toy.project(folder, train=32, test=8)
    return path, run(path, folder / "out", schedule={"epochs": 8})


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A short training with every kind of state. Returns (configuration, output folder)."""
    folder = tmp_path_factory.mktemp("unbroken")
    path = toy.project(folder, **FULL)
    run(path, folder / "out")
    return path, folder / "out"


def test_a_causal_network_learns_order(learned):
    _, trained = learned
    assert trained.best["top1"] >= 0.9
    assert not trained.broken


def test_a_network_without_shift_cannot(learned, tmp_path):
    path, _ = learned
    trained = run(path, tmp_path / "out", direction="none", schedule={"epochs": 2})
    tests = [line["top1"] for line in lines_of(tmp_path / "out") if line["kind"] == "test"]
    assert tests == [0.5] * 2  # each pair of clips has the same frames: one answer for both
    assert trained.best["top1"] == 0.5


def test_what_was_trained_is_ready_for_export(learned, tmp_path):
    _, trained = learned
    spec = recipe.load(str(trained.recipe))
    assert (spec.name, spec.mode, spec.labels, spec.shift.n_segment) == ("toy", "online", toy.LABELS, 4)
    model = export(str(trained.recipe), str(trained.weights), output=tmp_path / "toy.onnx")
    manifest = json.loads((tmp_path / "toy.json").read_text())
    assert model.exists()
    assert manifest["weights"]["trained"]
    assert manifest["labels"] == list(toy.LABELS)
    assert manifest["shift"]["direction"] == "causal"


def test_two_trainings_in_one_folder(learned, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    with locked_folder(str(output)), pytest.raises(InputError, match="writes it"):
        run(learned[0], output)
    assert list(output.iterdir()) == []


def test_log_and_curves(learned):
    _, trained = learned
    rows = journal.read(trained.output / "log.jsonl")
    assert [row["kind"] for row in rows] == ["start", *["train", "test"] * 8, "end"]
    assert rows[0]["clips"] == {"train": 64, "test": 16, "broken": 0}
    assert rows[0]["config"]["schedule"]["epochs"] == 8
    assert [row["epoch"] for row in rows if row["kind"] == "train"] == list(range(1, 9))
    assert rows[-1]["best"] == trained.best
    assert all(row["clips_per_second"] > 0 for row in rows if row["kind"] == "train")
    assert (trained.output / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_bidirectional_to_causal_by_fine_tuning(learned, tmp_path):
    path, _ = learned
    offline = run(path, tmp_path / "offline", direction="bidirectional", schedule={"epochs": 1})
    with pytest.raises(InputError, match="bidirectional"):
        export(str(learned[1].recipe), str(offline.weights), output=tmp_path / "wrong.onnx")
    said = []
    online = run(
        path, tmp_path / "online", report=said.append, start={"weights": str(offline.weights)}, schedule={"epochs": 1}
    )
    assert "fine-tuned from bidirectional to causal" in said[0]
    rows = lines_of(tmp_path / "online")
    assert (rows[0]["direction"], rows[0]["head"]) == ("bidirectional", "kept")
    assert (rows[1]["kind"], rows[1]["epoch"]) == ("test", 0)  # what the unconverted weights answer online
    assert checkpoints.load(online.weights, ArchSpec("mobilenetv2", 0.25, 2)).direction == "causal"


def test_a_training_with_frozen_blocks_changes_only_the_others(learned, tmp_path):
    path, trained = learned
    augment = {"crop": "view", "colour": 0.3, "rotate": 5.0}
    changes = {"start": {"weights": str(trained.weights)}, "augment": augment, "schedule": {"epochs": 1}}
    tuned = run(path, tmp_path / "tuned", regular={"frozen": 6}, **changes)
    (before, _), (after, _) = contents(trained.weights), contents(tuned.output / "last.safetensors")
    same = {name for name in before if before[name] == after[name]}
    assert same == {name for name in before if re.match(r"features\.[0-6]\.", name)}


def test_a_start_with_other_labels_gets_a_new_classifier(learned, tmp_path):
    path, trained = learned
    changes = {"labels": ["left", "right"], "schedule": {"epochs": 1}, "optimiser": {"rate": 1e-9}}
    run(path, tmp_path / "out", start={"weights": str(trained.weights)}, **changes)
    assert lines_of(tmp_path / "out")[0]["head"] == "new"
    fresh = checkpoints.load(tmp_path / "out" / "last.safetensors", ArchSpec("mobilenetv2", 0.25, 2)).state
    kept = checkpoints.load(trained.weights, ArchSpec("mobilenetv2", 0.25, 2)).state
    assert torch.allclose(fresh["features.3.conv.0.weight"], kept["features.3.conv.0.weight"], atol=1e-4)
    assert fresh["classifier.weight"].abs().max() < 0.01 < kept["classifier.weight"].abs().max()


def test_torchvision_names_are_a_start(tmp_path):
    path = toy.project(tmp_path)
    network = models.init_(models.build(ArchSpec("mobilenetv2", 0.25, 10)), 7)
    renamed = {}
    for name, tensor in network.state_dict().items():
        renamed[re.sub(r"^classifier", "classifier.1", name)] = tensor
    names = {  # torchvision nests the convolutions of a block
        **{f"features.{i}.conv.{a}.": f"features.{i}.conv.{b}." for i in range(2, 18) for a, b in NESTED},
        **{f"features.1.conv.{a}.": f"features.1.conv.{b}." for a, b in NESTED_FIRST},
    }
    torch.save(
        {next((b + k[len(a) :] for a, b in names.items() if k.startswith(a)), k): v for k, v in renamed.items()},
        tmp_path / "start.pth",
    )
    run(path, tmp_path / "out", start={"weights": str(tmp_path / "start.pth")}, schedule={"epochs": 1})
    row = lines_of(tmp_path / "out")[0]
    assert (row["dialect"], row["direction"], row["head"]) == ("torchvision", "none", "new")


NESTED = (("0", "0.0"), ("1", "0.1"), ("3", "1.0"), ("4", "1.1"), ("6", "2"), ("7", "3"))
NESTED_FIRST = (("0", "0.0"), ("1", "0.1"), ("3", "1"), ("4", "2"))


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("at", [1, 3], ids=["in the first epoch", "in the second"])
def test_a_resumed_training_equals_an_unbroken_one(unbroken, tmp_path, monkeypatch, at):
    path, whole = unbroken
    written, write = [], state.write

    def stop(*arguments):
        write(*arguments)
        written.append(arguments)
        if len(written) == at + 1:  # the first one is the start
            raise Stopped

    monkeypatch.setattr(state, "write", stop)
    saving = {"run": {"output": str(tmp_path / "out"), "save_steps": 1}}
    with pytest.raises(Stopped):
        train(path, saving)
    monkeypatch.undo()
    with open(tmp_path / "out" / "log.jsonl", "a") as log:
        log.write('{"kind": "train", "epoch":')  # a line that the kill cut off
    run(path, tmp_path / "out", resume=True)
    same_training(tmp_path / "out", whole)


def test_a_real_kill(unbroken, tmp_path):
    path, whole = unbroken
    output = tmp_path / "out"
    text = path.read_text().replace("[run]", "[run]\nsave_steps = 1")
    killed = path.with_name("toy_killed.toml")
    killed.write_text('name = "toy"\n' + text)
    command = [sys.executable, "-m", "tsm_edge", "train", str(killed), "-o", str(output)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        if (output / state.NAME).exists() and _position(output / state.NAME) >= (0, 1):
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.02)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert cli.main(["train", str(killed), "-o", str(output), "--resume"]) == 0
    same_training(output, whole)


def _position(path):
    with safe_open(str(path), framework="pt") as file:
        values = json.loads(file.metadata()["state"])
    return values["epoch"], values["step"]


def test_workers_change_nothing(unbroken, tmp_path):
    path, whole = unbroken
    train(path, {"run": {"output": str(tmp_path / "out"), "workers": 2}})
    same_training(tmp_path / "out", whole)


def test_a_finished_training_resumes_to_itself(unbroken, tmp_path):
    path, whole = unbroken
    best = (whole / "best.safetensors").read_bytes()
    run(path, whole, resume=True)
    assert (whole / "best.safetensors").read_bytes() == best


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"seed": 1}, "seed"),
        ({"optimiser": {"rate": 0.02}}, "optimiser.rate"),
        ({"direction": "none"}, "direction"),
        ({"schedule": {"epochs": 3}}, "schedule.epochs"),
    ],
)
def test_a_resume_with_another_configuration_is_refused(unbroken, changes, word):
    path, whole = unbroken
    before = (whole / state.NAME).read_bytes()
    with pytest.raises(InputError, match="another configuration: " + word):
        run(path, whole, resume=True, **changes)
    assert (whole / state.NAME).read_bytes() == before


def test_a_resume_with_other_clips_is_refused(unbroken):
    path, whole = unbroken
    listed = path.parent / "data" / "list_0.txt"
    text = listed.read_text()
    listed.write_text("".join(reversed(text.splitlines(keepends=True))))
    try:
        with pytest.raises(InputError, match="other clips"):
            run(path, whole, resume=True)
    finally:
        listed.write_text(text)


def test_nothing_to_resume_and_nothing_to_overwrite(unbroken, tmp_path):
    path, whole = unbroken
    with pytest.raises(InputError, match="without --resume"):
        run(path, tmp_path / "none", resume=True)
    with pytest.raises(InputError, match="another training"):
        run(path, whole)


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_a_damaged_state_is_refused(unbroken, tmp_path, damage):
    path, whole = unbroken
    content = (whole / state.NAME).read_bytes()
    (tmp_path / state.NAME).write_bytes(
        content[:1000] if damage == "cut" else (whole / "best.safetensors").read_bytes()
    )
    with pytest.raises(InputError, match="damaged"):
        run(path, tmp_path, resume=True)


def test_a_full_disk_keeps_what_was_saved(unbroken, tmp_path):
    path, whole = unbroken
    written, write = [], state.write
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(*arguments):
        if len(written) == 2:  # from here on no file may grow beyond 100 kB, as little as a full disk lets one
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        written.append(arguments)
        write(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "write", fill)
        try:
            with pytest.raises(InputError, match=r"state\.safetensors"):
                train(path, {"run": {"output": str(tmp_path / "out"), "save_steps": 1}})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert _position(tmp_path / "out" / state.NAME) == (0, 1)
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".draft-")]
    run(path, tmp_path / "out", resume=True)
    same_training(tmp_path / "out", whole)


def test_a_full_disk_under_the_weights_is_an_input_error(tmp_path):
    network = models.build(ArchSpec("mobilenetv2", 0.25, 2))
    checkpoints.save(tmp_path / "w.safetensors", network, "causal", 4, toy.LABELS)
    before = (tmp_path / "w.safetensors").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match=r"w\.safetensors"):
            checkpoints.save(tmp_path / "w.safetensors", models.init_(network, 1), "causal", 4, toy.LABELS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "w.safetensors").read_bytes() == before


def test_a_broken_clip_is_named_in_the_log(tmp_path):
    path = toy.project(tmp_path, train=50, test=2, batch=50, schedule={"epochs": 1, "warmup": 0.0})
    for frame in (tmp_path / "data" / "clip_003_1").glob("*.jpg"):
        frame.write_bytes(b"")
    trained = run(path, tmp_path / "out")
    assert list(trained.broken) == ["clip_003_1"]
    (row,) = [row for row in lines_of(tmp_path / "out") if row["kind"] == "broken"]
    assert row["clip"] == "clip_003_1"
    assert "no picture" in row["reason"]


def test_too_many_broken_clips_stop_the_run(tmp_path, capsys):
    path = toy.project(tmp_path)
    for frame in (tmp_path / "data" / "clip_001_0").glob("*.jpg"):
        frame.write_bytes(b"")
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "1 of 12 clips are broken" in capsys.readouterr().err


def test_a_loss_that_explodes_stops_the_run(tmp_path):
    rates = {"name": "sgd", "rate": 1e30, "clip_gradient": 1e30}
    path = toy.project(tmp_path, optimiser=rates, schedule={"epochs": 2, "warmup": 0.0})
    with pytest.raises(InputError, match="lower optimiser.rate"):
        run(path, tmp_path / "out")


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"loss": {"class_weights": [1.0, 2.0, 3.0]}}, "one a label"),
        ({"decision": {"ignored": ["nothing"]}}, "nothing"),
        ({"augment": {"flip": True}}, "move left"),
        ({"start": {"weights": "none.pth"}}, "none.pth"),
        ({"arch": {"name": "vgg"}}, "vgg"),
        ({"schedule": {"epochs": 0}}, "schedule.epochs"),
    ],
)
def test_a_wrong_configuration_leaves_nothing(tmp_path, changes, word):
    path = toy.project(tmp_path)
    with pytest.raises(InputError, match=word):
        run(path, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists() or not os.listdir(tmp_path / "out")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path, capsys):
    path = toy.project(tmp_path)
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out"), "--device", "cuda"]) == 2
    assert "there is none" in capsys.readouterr().err


def test_the_command_says_how_to_export(tmp_path, capsys):
    path = toy.project(tmp_path, train=2, schedule={"epochs": 1, "warmup": 0.0})
    arguments = ["--direction", "bidirectional", "--workers", "1", "--device", "cpu"]
    assert cli.main(["train", str(path), "-o", str(tmp_path / "out"), *arguments]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"next: tsm-edge export {tmp_path}/out"
    assert recipe.load(str(tmp_path / "out" / "recipe.toml")).mode == "offline"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="mixed precision is for a GPU")
def test_mixed_precision_on_a_gpu(learned, tmp_path):
    path, _ = learned
    changes = {"run": {"output": str(tmp_path / "out"), "device": "cuda"}, "schedule": {"epochs": 3}}
    train(path, changes)
    assert "scale" in state.read(tmp_path / "out" / state.NAME)[1]["scaler"]
    losses = [line["loss"] for line in lines_of(tmp_path / "out") if line["kind"] == "train"]
    assert losses[-1] < losses[0]
