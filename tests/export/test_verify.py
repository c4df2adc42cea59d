"""The proof passes what is right and names what is not. Each broken model here runs, and looks like a whole one."""

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tests.conftest import ROOT
from tests.device.damage import flipped
from tsm_edge.cli import main
from tsm_edge.engines import load_manifest
from tsm_edge.engines.onnxruntime.cpu import usable_kernels
from tsm_edge.errors import InputError
from tsm_edge_export import functions
from tsm_edge_export.onnx_export import embed
from tsm_edge_export.verify import Comparison, verify

CACHE = 4  # the one that the broken models are broken at: any but the first would do


@pytest.fixture
def broken(exported, tmp_path):
    """A function (change, mode, lowering) -> path of a tiny model after `change(model)`; it still checks."""

    def make(change, mode="online", lowering="custom"):
        model = onnx.load(exported(mode, lowering))
        change(model)
        onnx.checker.check_model(model)
        path = tmp_path / "broken.onnx"
        embed(model, load_manifest(exported(mode, lowering)))  # with the checksum of the broken model
        onnx.save(model, path)
        return path

    return make


def outcome(path):
    """(names that passed, names that failed)."""
    comparisons = list(verify(path))
    return [c.name for c in comparisons if c.passed], [c.name for c in comparisons if not c.passed]


def node(model, name, of="output"):
    """The node that writes (or reads, of="input") the tensor."""
    return next(n for n in model.graph.node if name in getattr(n, of))


def rename(names, old, new):
    names[:] = [new if name == old else name for name in names]


def some(names, *parts):
    return [name for name in names if all(part in name for part in parts)]


def place(path, index=CACHE):
    return load_manifest(path).shift.places[index]


# ---------------------------------------------------------------- good


def test_what_is_proven_online(exported):
    path = exported("online", "custom")
    passed, failed = outcome(path)
    assert not failed
    for batch in (1, 3):
        assert f"torch steps = causal clip, logits, 9 frames, batch {batch}" in passed  # 2 * n_segment + 1
        for each in ("custom", "standard"):
            assert f"ONNX steps = causal clip, {each}, logits, 9 frames, batch {batch}" in passed
            assert f"ONNX caches = torch caches, {each}, last frame, batch {batch}" in passed
    built = usable_kernels(load_manifest(path)) is not None
    for what in ("interleaved states = each alone", "interleaved streams of one state = each alone"):
        assert len(some(passed, what, "logits")) == (3 if built else 2)
    assert len(some(passed, "kernel library")) == (6 if built else 0)
    assert [name.split()[2] for name in some(passed, "bit-exact")] == list(load_manifest(path).shift.places)


def test_what_is_proven_offline(exported):
    passed, failed = outcome(exported("offline", "custom"))
    assert not failed
    for batch in (1, 3):
        for each in ("custom", "standard"):
            assert f"ONNX clip = torch clip, {each}, bidirectional, logits, batch {batch}" in passed


def test_a_comparison_without_a_number_fails():
    assert Comparison("", 0.0, 0.0).passed
    assert not Comparison("", float("nan"), 1.0).passed
    assert not Comparison("", 0.0, float("nan")).passed


# ---------------------------------------------------------------- broken


def test_fold_on_the_wrong_channels(broken):
    def change(model):  # y = [x[:, F:], cache]
        reader = node(model, f"cache_{CACHE:02d}", "input")
        assert reader.op_type == "Concat"
        reader.input[:] = reader.input[::-1]

    path = broken(change, lowering="standard")
    passed, failed = outcome(path)
    assert some(failed, "ONNX steps = causal clip, standard", "batch 1")
    assert some(failed, "shift at ") == [f"shift at {place(path)} = reference, bit-exact"]
    assert not some(failed, "custom")  # the twin, made from the weights, is right


def test_cache_of_the_wrong_channels(broken):
    def change(model):  # next = x[:, 1 : F + 1]
        cut = node(model, f"cache_{CACHE:02d}_next")
        assert cut.op_type == "Slice"
        fold = model.graph.output[CACHE + 1].type.tensor_type.shape.dim[1].dim_value
        for position, value in ((1, 1), (2, fold + 1)):
            model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), f"wrong_{position}"))
            cut.input[position] = f"wrong_{position}"

    path = broken(change, lowering="standard")
    _, failed = outcome(path)
    assert some(failed, "ONNX steps = causal clip, standard")
    assert some(failed, "ONNX caches = torch caches, standard")
    assert f"shift at {place(path)} = reference, bit-exact" in failed


def test_two_caches_swapped(broken):
    shapes = []

    def change(model):
        first, second = "cache_01_next", "cache_02_next"
        shapes.extend(v.type.tensor_type.shape for v in model.graph.output if v.name in (first, second))
        a, b = node(model, first), node(model, second)
        rename(a.output, first, second)
        rename(b.output, second, first)

    path = broken(change)
    assert shapes[0] == shapes[1]  # so that no check of shapes can tell
    _, failed = outcome(path)
    assert some(failed, "ONNX steps = causal clip, custom", "batch 3")
    assert some(failed, "shift at ") == [f"shift at {place(path, i)} = reference, bit-exact" for i in (1, 2)]


def test_a_shift_that_is_passed_by(broken):
    def change(model):
        shift = node(model, f"cache_{CACHE:02d}", "input")
        for reader in model.graph.node:
            rename(reader.input, shift.output[0], shift.input[0])

    _, failed = outcome(broken(change))
    assert some(failed, "ONNX steps = causal clip, custom", "batch 1")
    assert not some(failed, "standard")


def test_a_shift_that_reads_no_cache(broken):
    def change(model):
        reader = node(model, f"cache_{CACHE:02d}", "input")
        rename(reader.input, f"cache_{CACHE:02d}", f"cache_{CACHE - 1:02d}")  # of the same shape

    path = broken(change, lowering="standard")
    _, failed = outcome(path)
    assert some(failed, "ONNX steps = causal clip, standard")
    assert f"shift at {place(path)} = reference, bit-exact" in failed


def test_a_body_that_is_not_the_op(broken):
    def change(model):
        text = functions.FUNCTIONS["TemporalShiftStep"].replace("Slice (x, zero, fold, one)", "Identity (cache)")
        model.functions[0].CopyFrom(onnx.parser.parse_function(text))

    path = broken(change)
    passed, failed = outcome(path)
    assert some(failed, "ONNX steps = causal clip, custom")
    assert len(some(failed, "shift at ")) == len(load_manifest(path).caches)
    assert some(passed, "ONNX steps = causal clip, standard")


def test_streams_that_leak_into_each_other(broken):
    def change(model):  # each stream's next cache becomes the mean over the batch
        name = f"cache_{CACHE:02d}_next"
        writer = node(model, name)
        rename(writer.output, name, "own")
        model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
        model.graph.node.extend(
            [
                helper.make_node("ReduceMean", ["own"], ["all"], axes=[0], keepdims=1),
                helper.make_node("Mul", ["own", "nothing"], ["none"]),
                helper.make_node("Add", ["none", "all"], [name]),
            ]
        )

    passed, failed = outcome(broken(change))
    assert some(passed, "ONNX steps = causal clip, custom", "batch 1")
    assert some(failed, "ONNX steps = causal clip, custom", "batch 3")
    assert some(failed, "ONNX caches = torch caches, custom", "batch 3")


@pytest.mark.parametrize(("lowering", "direction"), [("custom", 0), ("standard", 1)])
def test_offline_with_the_other_direction(broken, lowering, direction):
    def change(model):
        if lowering == "custom":  # causal under bidirectional weights
            for each in model.graph.node:
                for attribute in each.attribute:
                    if attribute.name == "bidirectional":
                        attribute.i = direction
        else:  # the first fold takes the past and the second the future: Paddle's order
            join = next(n for n in model.graph.node if n.op_type == "Concat" and len(n.input) == 3)
            join.input[:2] = join.input[1::-1]

    passed, failed = outcome(broken(change, "offline", lowering))
    other = {"custom": "standard", "standard": "custom"}[lowering]
    assert len(some(failed, f", {lowering}, ", "batch")) == 2
    assert some(passed, other) and not some(failed, other)


# ---------------------------------------------------------------- refused


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        list(verify(path))
    for word in words:
        assert word in str(caught.value)


def weight(model, name="features.7.conv.0.weight"):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def test_weights_with_a_nan_are_refused(broken):
    def change(model):
        values = numpy_helper.to_array(weight(model, "classifier.weight")).copy()
        values[0, 0] = np.nan
        weight(model, "classifier.weight").CopyFrom(numpy_helper.from_array(values, "classifier.weight"))

    path = broken(change)
    refused(path, str(path), "NaN or infinity")


def test_a_weight_under_another_name_is_refused(broken):
    def change(model):
        old = weight(model).name
        for each in model.graph.node:
            rename(each.input, old, "renamed")
        weight(model).name = "renamed"

    path = broken(change)
    refused(path, f"{path}: weight features.7.conv.0.weight", "no such tensor")


def test_other_places_are_refused(exported, tmp_path):
    model, manifest = onnx.load(exported("online", "custom")), load_manifest(exported("online", "custom"))
    places = manifest.shift.places[:-1] + ("features.17.conv.0",)
    embed(model, manifest._replace(shift=manifest.shift._replace(places=places)))
    onnx.save(model, tmp_path / "m.onnx")
    refused(tmp_path / "m.onnx", "shift.places", "features.17.conv.0", "features.16.conv.0")


# ---------------------------------------------------------------- commands


def command(*arguments):
    """(exit code, stdout, stderr) of `tsm-edge`, in a separate process."""
    paths = [ROOT, os.path.join(ROOT, "export"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-m", "tsm_edge", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def test_export_then_verify(tiny, tmp_path):
    path = tmp_path / "m.onnx"
    code, out, err = command("export", tiny, "-o", path)
    assert (code, err) == (0, "")  # nothing of what torch and ONNX have to say
    lines = out.splitlines()
    count = len(lines) - 1
    assert count >= 24
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1] == f"wrote {path} and {path.with_suffix('.json')}"
    code, out, err = command("verify", path)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"{path}: {count} comparisons passed, 0 failed"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("words", ["verify {}", "eval --engine {} --synthetic 1", "info {}"])
def test_a_flipped_bit_in_a_weight_is_no_model(exported, tmp_path, capsys, words, seed):
    data = exported("online", "custom").read_bytes()
    start = data.index(b"features.7.conv.0.weight")
    path = tmp_path / "m.onnx"
    path.write_bytes(flipped(data, 8 * start + np.random.default_rng(seed).integers(8 * (len(data) - start))))
    assert main(words.format(path).split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"tsm-edge: error: {path}" in err


def test_verify_of_a_broken_model(broken, capsys):
    def change(model):
        reader = node(model, f"cache_{CACHE:02d}", "input")
        reader.input[:] = reader.input[::-1]

    assert main(["verify", str(broken(change, lowering="standard"))]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert any(line.startswith("FAIL ONNX steps") for line in out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("verify", "none.onnx"), "no such file"),
        (("verify", "setup.py"), "setup.py"),
        (("export", "mobilenet"), "no such recipe"),
        (("export", "mobilenetv2_tsm", "--weights", "none.pth", "-o", "build/never.onnx"), "none.pth"),
        (("export", "mobilenetv2_tsm", "-o", "never.txt"), ".onnx"),
    ],
)
def test_mistakes_exit_with_2(arguments, part, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tsm-edge: error: ") and part in err and "do:" in err
