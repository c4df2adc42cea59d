"""A detector from its recipe to a proven model, by the parts that every model takes; and models without shift."""

import numpy as np
import onnx
import pytest
import torch

from tests.device.fakes.machine import Machine, request
from tests.device.streams import noise
from tests.device_models import TINY, TINY_DETECTOR
from tests.tolerances import allowed
from tsm_edge.cli import main
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.errors import InputError
from tsm_edge_export import recipe
from tsm_edge_export.exporter import export, load_network
from tsm_edge_export.onnx_export import network_of
from tsm_edge_export.verify import verify


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "detector.toml"
    path.write_text(TINY_DETECTOR)
    return path


@pytest.fixture(scope="module", params=["custom", "standard"])
def detector(written, request):
    """(path, the names that its proof compared)."""
    names = []
    output = written.with_name(f"{request.param}.onnx")
    return export(written, lowering=request.param, output=output, progress=lambda c: names.append(c.name)), names


def test_the_proof_covers_the_grid(detector):
    path, names = detector
    manifest = load_manifest(path)
    assert (manifest.task, manifest.labels, manifest.parity["passed"]) == ("detection", ("ball", "cup"), True)
    for batch in (1, 3):
        assert f"torch steps = causal clip, grid, 9 frames, batch {batch}" in names
        for lowering in ("custom", "standard"):
            assert f"ONNX steps = causal clip, {lowering}, grid, 9 frames, batch {batch}" in names
    assert len([name for name in names if name.startswith("shift at")]) == 10


@torch.no_grad()
def test_the_engines_steps_are_the_causal_clip(detector):
    path, _ = detector
    manifest = load_manifest(path)
    network = network_of(onnx.load(path), manifest, path)
    frames = np.random.default_rng(0).random((3, 2 * manifest.shift.n_segment, 3, 72, 104), np.float32)
    (clip,) = network.clip(torch.from_numpy(frames), "causal")
    with load_engine(path, threads=1) as engine:
        state = engine.new_state(3)
        for t in range(frames.shape[1]):
            grid = engine.step(np.ascontiguousarray(frames[:, t]), state)["grid"]
            assert np.abs(grid - clip[:, t].numpy()).max() <= allowed(clip.numpy())
    assert (clip - network.clip(torch.from_numpy(frames), "none")[0]).abs().max() > 100 * allowed(clip.numpy())


def test_the_commands(detector, capsys):
    path, names = detector
    assert main(["verify", str(path)]) == 0
    assert f"{len(names)} comparisons passed, 0 failed" in capsys.readouterr().out
    assert main(["info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "mobilenetv2_centernet" in out and "online, causal shift of 1/8" in out


@pytest.mark.parametrize(("lowering", "direction"), [("plugin", "causal"), ("standard", "none")])
def test_an_engine_that_tensorrt_builds_gives_the_same(written, tmp_path, monkeypatch, models, direction, lowering):
    model = export(written, output=tmp_path / "detector.onnx", direction=direction)
    machine = Machine(monkeypatch, models, tmp_path, "8.2", "10.2")
    engine = tmp_path / "detector.trt"
    record = build(request(str(model), engine, lowering=lowering))
    assert len(record.manifest.caches) == (10 if direction == "causal" else 0)
    assert machine.world.built
    with load_engine(str(engine)) as built, load_engine(model, threads=1) as reference:
        states = built.new_state(), reference.new_state()
        for frames in noise(built.manifest.frame, 4):
            got, expected = (
                each.step(np.ascontiguousarray(frames), state)["grid"]
                for each, state in zip((built, reference), states, strict=True)
            )
            assert np.abs(got - expected).max() <= allowed(expected)


def test_wrong_labels_and_outputs_are_refused(written, tmp_path):
    for change, part in (
        (('labels = ["ball", "cup"]', 'labels = ["ball"]'), "labels"),
        (("threshold = 0.15", "threshold = 1.5"), "decision.threshold"),
        (("threshold = 0.15", "window = 2"), "window"),
    ):
        path = tmp_path / "wrong.toml"
        path.write_text(TINY_DETECTOR.replace(*change))
        with pytest.raises(InputError) as caught:
            recipe.load(str(path))
        assert str(path) in str(caught.value) and part in str(caught.value)


# ---------------------------------------------------------------- without shift


@pytest.mark.parametrize(("text", "output"), [(TINY, "logits"), (TINY_DETECTOR, "grid")])
def test_a_model_without_shift(tmp_path, capsys, text, output):
    """Any architecture: no caches, and each frame's answer is that of the 2D network."""
    path = tmp_path / "plain.toml"
    path.write_text(text)
    model = export(path, output=tmp_path / "plain.onnx", direction="none")
    manifest = load_manifest(model)
    assert (manifest.shift.direction, manifest.shift.places, manifest.caches) == ("none", (), ())
    names = [comparison.name for comparison in verify(model)]
    assert f"ONNX steps = 2D network, standard, {output}, 9 frames, batch 3" in names
    assert not [name for name in names if "cache" in name or "shift at" in name]
    assert main(["info", str(model)]) == 0
    assert "online, without shift" in capsys.readouterr().out
    network, *_ = load_network(recipe.load(str(path)), None, "online")
    size = manifest.frame.height, manifest.frame.width
    frames = np.random.default_rng(0).random((2, 3, *size), np.float32)
    with torch.no_grad():
        expected = network.frame(torch.from_numpy(frames))[0].numpy()
    with load_engine(model, threads=1) as engine:
        state = engine.new_state(2)
        for _ in range(2):
            got = engine.step(frames, state)[output]
            assert np.abs(got - expected).max() <= allowed(expected)


def test_the_recipe_may_say_it(tmp_path):
    path = tmp_path / "plain.toml"
    path.write_text(TINY.replace("[shift]", '[shift]\nonline_direction = "none"'))
    spec = recipe.load(str(path))
    assert recipe.direction_of(spec, "online") == "none"
    assert recipe.direction_of(spec, "offline") == "bidirectional"
