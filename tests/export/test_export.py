"""Export: what every model file holds, whatever the recipe, and that a failure leaves nothing."""

import json
import os
import stat

import numpy as np
import onnx
import pytest
import torch

from tests.tolerances import allowed
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.engines.onnxruntime.cpu import usable_kernels
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.manifest import LOWERINGS, METADATA_KEY, MODES
from tsm_edge_export import checkpoints, exporter, functions, models, recipe
from tsm_edge_export.exporter import export, load_network
from tsm_edge_export.onnx_export import network_of, to_onnx

FORMS = [(mode, lowering) for mode in MODES for lowering in LOWERINGS]


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def small(spec):
    """The recipe for smaller frames: its graph has the same nodes, and is traced in a fraction of the time."""
    return spec._replace(frame=spec.frame._replace(height=32, width=40))


# ---------------------------------------------------------------- the file


@pytest.fixture(scope="module")
def networks():
    """name -> (the recipe for small frames, its fused network, its WeightsSpec), from a random start."""
    made = {}

    def get(name):
        if name not in made:
            spec = small(recipe.load(name))
            spec = spec._replace(weights=spec.weights._replace(url=None))
            network, weights, labels = load_network(spec, None, spec.mode)
            assert labels == spec.labels
            made[name] = spec, models.fuse(network), weights
        return made[name]

    return get


@pytest.mark.parametrize(("mode", "lowering"), FORMS)
@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_in_every_form(networks, name, mode, lowering):
    spec, network, weights = networks(name)
    manifest = recipe.manifest_of(spec, mode, lowering, network, weights, name)
    if mode == "offline" and not network.has_mean_over_time:
        with pytest.raises(InputError, match="--mode online"):
            to_onnx(network, manifest)
        return
    model = to_onnx(network, manifest)

    assert model.ir_version == 8
    assert {(o.domain, o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")} == {("", 13)}
    values = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    if mode == "online":
        assert values["frame"] == ["N", 3, 32, 40]
        assert [values[c.input] for c in manifest.caches] == [["N", *c.shape] for c in manifest.caches]
        assert len(manifest.caches) == len(network.places)
    else:
        assert values == {"frames": ["N", 8, 3, 32, 40]}
    outputs = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.output}
    for output in network.outputs(32, 40):
        assert outputs.pop(output.name) == ["N", *output.shape]
    assert outputs == {c.output: ["N", *c.shape] for c in manifest.caches}

    ours = [node.op_type for node in model.graph.node if node.domain == functions.DOMAIN]
    op = "TemporalShiftStep" if mode == "online" else "TemporalShift"
    if lowering == "custom":
        assert ours == [op] * len(network.places)
        assert list(model.functions) == [functions.function(op)]
    else:
        assert not ours
        assert not model.functions
        assert {o.domain for o in model.opset_import} == {""}
    assert {node.domain for node in model.graph.node} <= {"", functions.DOMAIN}

    # Every weight once and under its own name, though the zero biases of an untrained network are equal.
    state = network.state_dict()
    held = [tensor.name for tensor in model.graph.initializer]
    assert len(held) == len(set(held))
    assert set(state) <= set(held)
    read_back = network_of(model, manifest, name).state_dict()
    assert all(torch.equal(read_back[key], tensor) for key, tensor in state.items())
    assert json.loads({p.key: p.value for p in model.metadata_props}[METADATA_KEY])["recipe"] == name


@pytest.mark.parametrize(("mode", "lowering"), FORMS)
def test_what_is_written(exported, mode, lowering):
    path = exported(mode, lowering)
    manifest = load_manifest(path)  # which refuses a .json that differs
    inside = {p.key: p.value for p in onnx.load(path).metadata_props}[METADATA_KEY]
    assert path.with_suffix(".json").read_text(encoding="utf-8") == inside + "\n"
    assert (manifest.mode, manifest.lowering, manifest.precision) == (mode, lowering, "float32")
    assert manifest.weights[1:] == ("untrained, seed 0", False)
    assert manifest.parity["passed"] is True
    by_kernels = 0 if usable_kernels(manifest) is None else 1
    expected = 24 + 6 * by_kernels if mode == "online" else 4 + 2 * by_kernels
    assert len(manifest.parity["comparisons"]) == expected
    assert all(c["error"] <= c["tolerance"] for c in manifest.parity["comparisons"])
    assert set(manifest.parity["versions"]) == {"tsm_edge", "torch", "onnx", "onnxruntime", "numpy"}
    assert not [name for name in left_in(path.parent) if name.startswith(".")]
    if os.name == "posix":
        mask = os.umask(0)
        os.umask(mask)
        for file in (path, path.with_suffix(".json")):
            assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("batch", [1, 2, 5])
@torch.no_grad()
def test_any_number_of_streams(exported, tiny, batch, lowering):
    network, *_ = load_network(recipe.load(str(tiny)), None, "online")
    rng = np.random.default_rng(batch)
    with load_engine(exported("online", lowering), threads=1) as engine:
        clip = rng.standard_normal((batch, 3, 3, 64, 96), np.float32)
        state = engine.new_state(batch)
        logits = np.stack([engine.step(np.ascontiguousarray(clip[:, t]), state)["logits"] for t in range(3)], 1)
        expected = network.clip(torch.from_numpy(clip), "causal")[0].numpy()
        assert np.abs(logits - expected).max() <= allowed(expected)
    with load_engine(exported("offline", lowering), threads=1) as engine:
        clips = rng.standard_normal((batch, 4, 3, 64, 96), np.float32)
        expected = network.clip(torch.from_numpy(clips), "bidirectional")[0].mean(1).numpy()
        assert np.abs(engine.clip(clips)["logits"] - expected).max() <= allowed(expected)


def test_an_own_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'labels = ["up", "down"]\nfps = 12.5\n[arch]\nname = "mobilenetv2"\nwidth = 0.35\nnum_classes = 2\n'
        "[shift]\nfold_div = 5\nn_segment = 3\n[frame]\nheight = 50\nwidth = 71\nshort_side = 71\n"
    )
    output = tmp_path / "deep" / "folder" / "mine.onnx"
    assert export(path, output=output) == output
    manifest = load_manifest(output)
    assert (manifest.recipe, manifest.labels, manifest.fps) == ("mine", ("up", "down"), 12.5)
    assert manifest.caches[0].shape == (16 // 5, 13, 18)
    assert manifest.parity["passed"]
    assert left_in(output.parent) == ["mine.json", "mine.onnx"]


# ---------------------------------------------------------------- weights


@pytest.fixture(scope="module")
def spec(tiny):
    return recipe.load(str(tiny))


@pytest.fixture(scope="module")
def network(spec):
    return models.init_(models.build(spec.arch), 5).eval()


def offline_keys(network):
    """Names of the published offline checkpoints (README of this rule: checkpoints/dialects.py)."""
    wrapped = {place: place + ".net" for place in network.places}
    state = {}
    for key, tensor in network.state_dict().items():
        module, _, leaf = key.rpartition(".")
        if module == "classifier":
            state[f"module.new_fc.{leaf}"] = tensor
        else:
            state[f"module.base_model.{wrapped.get(module, module)}.{leaf}"] = tensor
    return state


def saved(network, folder, dialect):
    path = folder / f"{dialect}.pth.tar"
    if dialect == "mit_offline":
        torch.save({"epoch": 1, "arch": "mobilenetv2", "state_dict": offline_keys(network)}, path)
    elif dialect == "mit_online":
        torch.save(network.state_dict(), path)
    else:
        path = folder / "own.safetensors"
        checkpoints.save(path, network, "causal", 4, [f"label {i}" for i in range(5)])
    return path


@pytest.mark.parametrize(
    ("dialect", "mode"), [("mit_offline", "offline"), ("mit_online", "online"), ("safetensors", "online")]
)
def test_weights_of_each_dialect(spec, network, tmp_path, dialect, mode):
    path = saved(network, tmp_path, dialect)
    loaded, weights, labels = load_network(spec, path, mode)
    assert not loaded.training
    assert weights == (checkpoints.weights_sha256(network.state_dict()), f"{path.name} ({dialect})", True)
    for key, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[key])
    assert labels == (tuple(f"label {i}" for i in range(5)) if dialect == "safetensors" else spec.labels)


def test_trained_weights_from_file_to_file(tiny, network, tmp_path):
    weights = saved(network, tmp_path, "safetensors")
    path = export(tiny, weights=weights, output=tmp_path / "out" / "trained.onnx")
    manifest = load_manifest(path)
    assert manifest.weights.trained
    assert manifest.labels == tuple(f"label {i}" for i in range(5))
    held = network_of(onnx.load(path), manifest, path).state_dict()
    assert all(torch.equal(held[key], tensor) for key, tensor in models.fuse(network).state_dict().items())


def test_labels_that_differ_from_the_checkpoints_are_refused(spec, network, tmp_path):
    path = saved(network, tmp_path, "safetensors")
    named = spec._replace(labels=("label 0", "label 2", "label 1", "label 3", "label 4"))
    with pytest.raises(InputError, match="label 1 is 'label 1'") as caught:
        load_network(named, path, "online")
    assert "'label 2'" in caught.value.expected


def refused(tmp_path, *arguments, error=InputError, **options):
    """Export into an empty folder; the error, after a look at what is left there."""
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(error) as caught:
        export(*arguments, output=folder / "model.onnx", **options)
    assert left_in(folder) == []
    assert ".draft-" not in str(caught.value)
    return str(caught.value)


def test_bidirectional_weights_do_not_go_online(tiny, network, tmp_path):
    message = refused(tmp_path, tiny, weights=saved(network, tmp_path, "mit_offline"))
    assert "no next frame" in message
    assert "--mode offline" in message and "tsm-edge train" in message


def test_weights_trained_with_another_fold_are_refused(tiny, network, tmp_path):
    weights = saved(network, tmp_path, "safetensors")
    other = tmp_path / "other.toml"
    other.write_text(tiny.read_text().replace("[shift]", "[shift]\nfold_div = 4"))
    assert "fold_div" in refused(tmp_path, other, weights=weights)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint" * 99])
def test_weights_that_are_none(tiny, tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    assert str(path) in refused(tmp_path, tiny, weights=path)


def test_weights_with_a_nan(tiny, network, tmp_path):
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["features.7.conv.3.weight"][0] = float("nan")
    torch.save(state, tmp_path / "w.pth")
    message = refused(tmp_path, tiny, weights=tmp_path / "w.pth")
    assert "NaN" in message and "features.7.conv.3.weight" in message


def test_weights_whose_answers_overflow(tiny, network, tmp_path):
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state["classifier.weight"].fill_(3e38)
    torch.save(state, tmp_path / "w.pth")
    message = refused(tmp_path, tiny, weights=tmp_path / "w.pth")
    assert "logits" in message and "NaN or infinity" in message


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("name", ["model.pt", "model", "model.onnx.tmp", "model.trt"])
def test_another_extension_is_refused(tiny, tmp_path, name):
    with pytest.raises(InputError, match="extension"):
        export(tiny, output=tmp_path / name)
    assert left_in(tmp_path) == []


def test_an_unknown_mode_is_refused(tiny, tmp_path):
    assert "online or offline" in refused(tmp_path, tiny, mode="live")
    with pytest.raises(InputError, match="lowering"):
        export(tiny, lowering="plugin", output=tmp_path / "out" / "model.onnx")


def test_a_place_that_cannot_be_written_is_told_before_the_work(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "load_network", None)  # the work would begin with this
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder.onnx").mkdir()
    for output in (tmp_path / "file" / "model.onnx", tmp_path / "folder.onnx"):
        with pytest.raises(InputError, match="a place that can be written") as caught:
            export(tiny, output=output)
        assert caught.value.where == str(output)
    assert left_in(tmp_path) == ["file", "folder.onnx"]


def test_a_failed_proof_leaves_what_was_there(tiny, tmp_path, monkeypatch):
    broken = functions.FUNCTIONS["TemporalShiftStep"].replace("Slice (x, zero, fold, one)", "Identity (cache)")
    assert broken != functions.FUNCTIONS["TemporalShiftStep"]
    monkeypatch.setitem(functions.FUNCTIONS, "TemporalShiftStep", broken)
    (tmp_path / "model.onnx").write_bytes(b"the model of yesterday")
    with pytest.raises(TsmEdgeError, match="comparisons of its proof failed") as caught:
        export(tiny, output=tmp_path / "model.onnx")
    assert caught.value.exit_code == 1
    assert "ONNX steps = causal clip, custom" in str(caught.value)
    assert "standard" not in str(caught.value)
    assert "kernel library" not in str(caught.value)  # where it is built it shifts by itself, and must hide nothing
    assert left_in(tmp_path) == ["model.onnx"]
    assert (tmp_path / "model.onnx").read_bytes() == b"the model of yesterday"


def test_an_interrupted_proof_leaves_nothing(tiny, tmp_path):
    def interrupt(comparison):
        raise KeyboardInterrupt

    refused(tmp_path, tiny, error=KeyboardInterrupt, progress=interrupt)
