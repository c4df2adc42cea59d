"""The published centerface.onnx against ONNX Runtime; every other graph is refused by name."""

import os

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tests import centerface as download
from tsm_edge.cli import main
from tsm_edge.engines import load_engine, load_manifest
from tsm_edge.errors import InputError
from tsm_edge.heads import boxes
from tsm_edge.manifest import ArchSpec
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.checkpoints import centerface
from tsm_edge_export.exporter import export

MOST_ERROR = 1e-4  # of heat, log size and offset
NAME = "mobilenetv2_tsm_faces"


@pytest.fixture(scope="module")
def published():
    return download.published()


@pytest.fixture(scope="module")
def network(published):
    network = models.build(centerface.ARCH).eval()
    network.load_state_dict(checkpoints.load(published, centerface.ARCH).state, strict=True)
    return network


@pytest.fixture(scope="module")
def session(published):
    """The published file with its input size left open."""
    model = onnx.load(published)
    for value in [*model.graph.input, *model.graph.output]:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:
                size.dim_param = f"{value.name} {axis}"  # replaces dim_value
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def expected(session, pixels):
    """Return the published network's heat, size and offset of RGB pixels from 0 to 255."""
    heat, size, offset, _ = session.run(None, {session.get_inputs()[0].name: pixels.astype(np.float32)})
    return np.concatenate([heat, size, offset], 1)


def graph_of(model):
    return {node.output[0]: node for node in model.graph.node}


@pytest.mark.parametrize("size", [(32, 32), (96, 160), (256, 256)])
@torch.no_grad()
def test_the_network_is_the_published_one(network, session, size):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, *size))
    grid = expected(session, pixels)
    x = torch.from_numpy(pixels.astype(np.float32) / 255)
    for each in (network, models.fuse(network)):
        (got,) = each.frame(x)
        assert np.abs(got.numpy() - grid).max() <= MOST_ERROR


@pytest.mark.parametrize("size", [(240, 320), (239, 317), (117, 163)])
@torch.no_grad()
def test_a_face_is_found_at_any_size(network, data, size):
    """Sides that are no multiples of 32, which the published file does not take."""
    cv2 = pytest.importorskip("cv2")
    capture = cv2.VideoCapture(os.path.join(data, "face_tracking", "david", "david.webm"))
    capture.set(cv2.CAP_PROP_POS_FRAMES, 300)  # the first frame of gt.txt
    read, picture = capture.read()
    assert read
    with open(os.path.join(data, "face_tracking", "david", "gt.txt")) as file:
        x, y, width, height = map(float, file.readline().replace(",", " ").split())
    scale = np.array([size[1] / picture.shape[1], size[0] / picture.shape[0]] * 2)
    truth = np.array([x, y, x + width, y + height]) * scale
    pixels = cv2.cvtColor(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    (grid,) = network.frame(torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255))
    found, scores, _ = boxes.decode(grid[0].numpy(), 1, 0.3)
    assert boxes.iou(found[:1], truth[None])[0, 0] > 0.4 and scores[0] > 0.6


def test_a_folded_batch_norm_changes_nothing_but_the_bias(published):
    state = checkpoints.load(published, centerface.ARCH).state
    file = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(published).graph.initializer}
    for layer, norm, weight, bias in (
        ("features.1.conv.0", "features.1.conv.1", "546", "548"),
        ("features.17.conv.6", "features.17.conv.7", "742", "744"),
        ("laterals.3.0", "laterals.3.1", "746", "748"),
        ("shared.0", "shared.1", "762", "764"),
    ):
        assert np.array_equal(state[f"{layer}.weight"], file[weight])
        assert np.array_equal(state[f"{norm}.bias"], file[bias])
        assert (state[f"{norm}.weight"] == 1).all() and (state[f"{norm}.running_mean"] == 0).all()
        eps = models.outline(centerface.ARCH).get_submodule(norm).eps
        assert torch.equal(torch.sqrt(state[f"{norm}.running_var"] + eps), torch.ones(len(file[bias])))
    assert np.allclose(state["features.0.0.weight"], file["542"] * 255, rtol=1e-7)
    assert np.array_equal(state["ups.1.0.weight"], file["neck.deconv_layers.1.conv.weight"])
    assert np.array_equal(state["heat.weight"], file["head.pos_conv.weight"])
    assert not [name for name in state if "lm" in name]


def test_what_the_checkpoint_says_of_itself(published):
    checkpoint = checkpoints.load(published, centerface.ARCH)
    assert (checkpoint.dialect, checkpoint.direction, checkpoint.head_loaded) == ("centerface", "none", True)
    with pytest.raises(InputError, match="never trained"):
        checkpoints.require_direction(checkpoint, "causal", published)
    checkpoints.require_direction(checkpoint, "none", published)
    frame = recipe.load(NAME).frame
    checkpoints.require_frame(checkpoint, frame, published)
    for wrong in (frame._replace(colour="BGR"), frame._replace(std=(0.2, 0.2, 0.2))):
        with pytest.raises(InputError, match="centerface"):
            checkpoints.require_frame(checkpoint, wrong, published)


def test_it_is_a_start_for_other_classes(published):
    arch = ArchSpec("mobilenetv2_centernet", 1.0, 4)
    with pytest.raises(InputError, match="1 classes"):
        checkpoints.load(published, arch)
    first, again, other = (checkpoints.load(published, arch, start=True, seed=seed) for seed in (1, 1, 2))
    assert not first.head_loaded
    assert first.state["heat.weight"].shape == (4, 24, 1, 1)
    assert torch.equal(first.state["heat.bias"].sigmoid(), torch.full((4,), 0.1))
    assert first.sha256 == again.sha256 != other.sha256
    whole = checkpoints.load(published, centerface.ARCH).state
    assert all(name.startswith("heat.") or torch.equal(whole[name], first.state[name]) for name in whole)


def test_another_network_is_refused(published):
    with pytest.raises(InputError, match="weights of mobilenetv2_centernet"):
        checkpoints.load(published, ArchSpec("mobilenetv2", 1.0, 1))


def test_export_without_shift(published, session, tmp_path):
    """The original detector, end to end; with the causal shift it is refused, and nothing is written."""
    text = (recipe.FOLDER / f"{NAME}.toml").read_text().replace("256", "96") + "[shift]\nn_segment = 2\n"
    (tmp_path / "faces.toml").write_text(text)
    path = export(tmp_path / "faces.toml", published, output=tmp_path / "faces.onnx", direction="none")
    manifest = load_manifest(path)
    assert (manifest.task, manifest.mode, manifest.shift.direction) == ("detection", "online", "none")
    assert (manifest.caches, manifest.shift.places, manifest.weights.trained) == ((), (), True)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 96, 96))
    frames = pixels.astype(np.float32) / 255
    with load_engine(path, threads=1) as engine:
        state = engine.new_state(2)
        grid = engine.step(frames, state)["grid"]
        assert np.abs(grid - expected(session, pixels)).max() <= MOST_ERROR
        assert np.array_equal(engine.step(frames, state)["grid"], grid)  # no frame sees the one before
    opsets = {each.domain: each.version for each in onnx.load(path).opset_import}
    assert opsets == {"": 13}


def test_the_command_line_says_how_to_export_it(published, tmp_path, capsys):
    out = tmp_path / "faces.onnx"
    assert main(["export", NAME, "--weights", str(published), "-o", str(out)]) == 2
    assert "--direction none" in capsys.readouterr().err
    assert main(["export", NAME, "--direction", "bidirectional", "-o", str(out)]) == 2
    assert "causal or none" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- other graphs


@pytest.fixture
def changed(published, tmp_path):
    """Return a function (change) -> (path, refusal) of the file after `change(model)`."""

    def refuse(change):
        model = onnx.load(published)
        change(model)
        path = tmp_path / "changed.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(InputError) as caught:
            checkpoints.load(path, centerface.ARCH)
        assert str(path) in str(caught.value) and caught.value.do
        return str(caught.value)

    return refuse


def attribute(node, name):
    return next(each for each in node.attribute if each.name == name)


def test_a_changed_graph_is_refused_by_name(changed):
    def stride(model):
        attribute(graph_of(model)["478"], "strides").ints[:] = [1, 1]

    def activation(model):
        graph_of(model)["384"].op_type = "LeakyRelu"

    def wiring(model):
        graph_of(model)["404"].input[0] = "387"

    def padding_mode(model):
        graph_of(model)["363"].attribute.append(helper.make_attribute("auto_pad", "SAME_UPPER"))

    def another_output(model):
        model.graph.node.append(helper.make_node("Relu", ["540"], ["more"]))

    def lost_output(model):
        del model.graph.output[3]

    def cut(model):
        del model.graph.node[60:]

    def foreign(model):
        graph_of(model)["365"].domain = "com.example"

    for change, words in (
        (stride, ("node 478: strides", "[2, 2]")),
        (activation, ("node 384", "LeakyRelu of 382", "Relu of 382")),
        (wiring, ("node 404", "Add of 394, 402")),
        (padding_mode, ("node 363: auto_pad", "SAME_UPPER")),
        (another_output, ("node more", "no further node")),
        (lost_output, ("outputs", "537, 538, 539")),
        (cut, ("graph", "its end")),
        (foreign, ("node 365",)),
    ):
        message = changed(change)
        assert all(word in message for word in words), message


def test_changed_tensors_are_refused_by_name(changed):
    def tensor(model, name):
        return next(each for each in model.graph.initializer if each.name == name)

    def replaced(name, array):
        return lambda model: tensor(model, name).CopyFrom(numpy_helper.from_array(array, name))

    def lost(model):
        model.graph.initializer.remove(tensor(model, "546"))
        model.graph.input.remove(next(each for each in model.graph.input if each.name == "546"))

    def more(model):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "more"))

    def short(model):
        tensor(model, "546").raw_data = tensor(model, "546").raw_data[:100]

    def elsewhere(model):
        entry = tensor(model, "546")
        entry.data_location = onnx.TensorProto.EXTERNAL
        entry.external_data.add(key="location", value="/etc/passwd")

    weight = np.ones((32, 1, 3, 3), np.float32)
    for change, words in (
        (replaced("546", weight.astype(np.float16)), ("tensor 546", "float32")),
        (replaced("546", weight[:16]), ("tensor 546", "(16, 1, 3, 3)", "(32, 1, 3, 3)")),
        (replaced("head.lm_conv.bias", np.ones(8, np.float32)), ("head.lm_conv.bias", "(10,)")),
        (replaced("546", weight * np.nan), ("NaN", "features.1.conv.0.weight")),
        (lost, ("546", "no such tensor")),
        (more, ("tensor more", "no layer reads")),
        (short, ("tensor 546",)),
        (elsewhere, ("tensor 546", "another file")),
    ):
        message = changed(change)
        assert all(word in message for word in words), message


def test_a_model_that_tsm_edge_wrote_is_no_checkpoint(models, tmp_path):  # noqa: F811 - the fixture of test models
    for name in ("tiny_custom", "tiny_detector"):
        with pytest.raises(InputError, match="that tsm-edge export wrote"):
            checkpoints.load(f"{models}/{name}.onnx", centerface.ARCH)


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_onnx_file(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("bytes") / "centerface.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        checkpoints.load(path, centerface.ARCH)
    assert str(path) in str(caught.value)


@settings(max_examples=8, deadline=None)
@given(st.floats(0, 1), st.integers(1, 255))
def test_a_damaged_file_never_ends_in_another_error(published, tmp_path_factory, place, flip):
    data = bytearray(published.read_bytes())
    data[int(place * (len(data) - 1))] ^= flip
    path = tmp_path_factory.mktemp("damaged") / "centerface.onnx"
    path.write_bytes(bytes(data))
    try:
        state = checkpoints.load(path, centerface.ARCH).state
    except InputError as error:
        assert str(path) in str(error)
    else:  # the file has no checksum: a changed weight is a weight
        assert all(torch.isfinite(tensor).all() for tensor in state.values())
