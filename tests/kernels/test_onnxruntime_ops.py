"""The ONNX Runtime custom ops: bit-exact on the newest runtime and on a Nano's, and each fault reported on loading."""

import collections
import os
import subprocess
import sys
import threading

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tests.kernels.native import KERNELS, ROOT, libraries, python36
from tests.kernels.op_models import DOMAIN, clip_model, model, step_model, write
from tsm_edge.engines.onnxruntime.cuda import cuda_kernels
from tsm_edge.native import library as kernel_library
from tsm_edge.shift import shift_clip, shift_step

RUNNER = os.path.join(ROOT, "tests", "kernels", "op_runner.py")
CLIPS = [(1, 0, 0), (1, 3, 1), (2, 1, 1), (3, 4, 0), (5, 2, 1)]  # n_segment, fold, bidirectional


def session(model_, library=None):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(library or libraries()["onnxruntime"])
    return onnxruntime.InferenceSession(model_.SerializeToString(), options, providers=["CPUExecutionProvider"])


def compile_ops(library, sources, flags=()):
    """Compile the custom-op library from `sources` (paths under kernels/, or absolute) and return its path."""
    flags = ["-std=c++14", "-O1", "-shared", "-fPIC", "-isystem", libraries()["headers"], "-Wl,-z,nodelete", *flags]
    flags += ["-I" + os.path.join(KERNELS, "onnxruntime"), "-I" + os.path.join(KERNELS, "tests", "cuda_shim")]
    paths = [os.path.join(KERNELS, source) for source in sources]
    subprocess.check_call(["g++", *flags, "-x", "c++", *paths, "-o", str(library)])
    return library


def random_bits(shape, dtype, seed=0):
    bits = np.random.RandomState(seed).randint(0, 256, size=tuple(shape) + (np.dtype(dtype).itemsize,), dtype=np.uint8)
    return bits.view(dtype).reshape(shape)


@pytest.fixture(scope="module")
def sessions():
    made = {dtype: session(step_model(dtype)) for dtype in ("float32", "float16")}
    for dtype in ("float32", "float16"):
        for clip in CLIPS:
            made[dtype, clip] = session(clip_model(dtype, n_segment=clip[0], fold=clip[1], bidirectional=clip[2]))
    return made


DTYPES = st.sampled_from(["float32", "float16"])
SHAPE = st.tuples(st.integers(0, 4), st.integers(8, 40), st.integers(0, 9), st.integers(0, 9))


@settings(max_examples=150, deadline=None)
@given(st.data(), DTYPES, SHAPE)
def test_step_equals_the_reference(sessions, data, dtype, shape):
    fold = data.draw(st.integers(0, shape[1]))
    x, cache = random_bits(shape, dtype), random_bits((shape[0], fold) + shape[2:], dtype, 1)
    for got, expected in zip(sessions[dtype].run(None, {"x": x, "cache": cache}), shift_step(x, cache)):
        assert (got.shape, got.tobytes()) == (expected.shape, expected.tobytes())


@settings(max_examples=150, deadline=None)
@given(DTYPES, SHAPE, st.sampled_from(CLIPS))
def test_clip_equals_the_reference(sessions, dtype, shape, clip):
    x = random_bits((shape[0] * clip[0],) + shape[1:], dtype)
    (got,) = sessions[dtype, clip].run(None, {"x": x})
    expected = shift_clip(x, *clip)
    assert (got.shape, got.tobytes()) == (expected.shape, expected.tobytes())


def test_chained_steps_are_the_causal_clip(sessions):
    frames = random_bits((200, 9, 3, 5), "float32")
    cache, out = np.zeros((1, 2, 3, 5), np.float32), []
    for frame in frames:
        y, cache = sessions["float32"].run(None, {"x": frame[None], "cache": cache})
        out.append(y)
    assert np.concatenate(out).tobytes() == shift_clip(frames, 200, 2, False).tobytes()


@pytest.mark.parametrize("dtypes", [("float32",), ("float32", "float16")], ids=["float32", "both"])
def test_models_run_the_same_here_and_on_the_runtime_of_a_nano(tmp_path, dtypes):
    write(str(tmp_path), dtypes)
    # ONNX Runtime 1.10 has one kernel per name, for float32 (kernel_library.onnxruntime_can).
    python = python36() if dtypes == ("float32",) else sys.executable
    output = subprocess.check_output([python, RUNNER, libraries()["onnxruntime"], str(tmp_path)], text=True)
    assert "{0} of {0} same".format(8 * len(dtypes)) in output


STEP = {"x": (2, 8, 3, 5), "cache": (2, 2, 3, 5)}
BAD_SHAPES = [
    (step_model(**dict(STEP, cache=(2, 9, 3, 5))), "cache: got shape"),
    (step_model(**dict(STEP, cache=(3, 2, 3, 5))), "cache: got shape"),
    (step_model(**dict(STEP, cache=(2, 2, 5, 3))), "cache: got shape"),
    (step_model(**dict(STEP, cache=("n", 9, "h", "w"))), "cache: got shape"),
    (step_model(**dict(STEP, cache=(2, 2, 3))), "cache: got 3 axes, expected 4"),
    (step_model(**dict(STEP, x=(2, 8))), "x: got 2 axes, expected 4"),
    (clip_model(x=(7, 8, 3, 5), n_segment=2, fold=1, bidirectional=1), "multiple of n_segment"),
    (clip_model(x=("n", 8, 3, 5), n_segment=2, fold=5, bidirectional=1), "more channels would be shifted"),
    (clip_model(x=("n", 8, 3, 5), n_segment=2, fold=9, bidirectional=0), "more channels would be shifted"),
]
BAD_ATTRIBUTES = [
    (clip_model(n_segment=0, fold=1, bidirectional=1), "n_segment: expected at least 1"),
    (clip_model(n_segment=-4, fold=1, bidirectional=1), "n_segment: expected at least 1"),
    (clip_model(n_segment=4, fold=-1, bidirectional=1), "fold: expected at least 0"),
    (clip_model(n_segment=4, fold=2**62, bidirectional=1), "more channels would be shifted"),  # 2 * fold must not wrap
    (clip_model(n_segment=4, fold=1, bidirectional=2), "bidirectional: got 2, expected 0 or 1"),
    (clip_model(n_segment=4, fold=1), "bidirectional: expected an attribute of one integer"),
    (clip_model(n_segment=4.0, fold=1, bidirectional=1), "n_segment: expected an attribute of one integer"),
    (clip_model(n_segment=[4], fold=1, bidirectional=1), "n_segment: expected an attribute of one integer"),
    (clip_model(n_segment=4, fold="1", bidirectional=1), "fold: expected an attribute of one integer"),
]


@pytest.mark.parametrize("bad, message", BAD_SHAPES + BAD_ATTRIBUTES)
def test_bad_shapes_and_attributes_are_refused_on_loading(bad, message):
    with pytest.raises(Exception, match=message):
        session(bad)


@pytest.mark.parametrize(
    "types", [("float64", "float64"), ("float32", "float16"), ("float16", "float32")], ids=lambda t: "-".join(t)
)
def test_other_types_are_refused_on_loading(types):
    x, cache = (("x", types[0], ("n", "c", "h", "w")), ("cache", types[1], ("n", "f", "h", "w")))
    node = helper.make_node("TemporalShiftStep", ["x", "cache"], ["y", "next"], domain=DOMAIN)
    with pytest.raises(Exception, match="TemporalShiftStep"):
        session(model([node], [x, cache], [("y",) + x[1:], ("next",) + cache[1:]]))


def test_missing_inputs_are_refused_on_loading():
    node = helper.make_node("TemporalShiftStep", ["x"], ["y"], domain=DOMAIN)
    x = ("x", "float32", ("n", "c", "h", "w"))
    with pytest.raises(Exception, match="TemporalShiftStep"):
        session(model([node], [x], [("y",) + x[1:]]))


def test_shapes_that_are_known_only_when_the_model_runs_are_refused_then():
    step, x = session(step_model()), np.zeros((2, 8, 3, 5), np.float32)
    for shape in ((2, 9, 3, 5), (1, 2, 3, 5), (2, 2, 5, 3)):
        with pytest.raises(Exception, match="cache: got shape"):
            step.run(None, {"x": x, "cache": np.zeros(shape, np.float32)})
    clip = session(clip_model(n_segment=4, fold=6, bidirectional=1))
    for frames in (x, x[:0], np.zeros((3, 8, 3, 5), np.float32)):
        with pytest.raises(Exception, match="tsm_edge::TemporalShift: "):
            clip.run(None, {"x": frames})
    y, _ = step.run(None, {"x": x, "cache": x[:, :2]})  # the session still works
    assert y.shape == x.shape


def test_a_graph_without_shapes_runs():
    without = step_model()
    for value in list(without.graph.input) + list(without.graph.output):
        value.type.tensor_type.ClearField("shape")
    x, cache = random_bits((2, 8, 3, 5), "float32"), random_bits((2, 3, 3, 5), "float32", 1)
    for got, expected in zip(session(without).run(None, {"x": x, "cache": cache}), shift_step(x, cache)):
        assert got.tobytes() == expected.tobytes()


def test_open_sizes_without_a_name_stay_open_for_later_nodes():
    attributes = {"n_segment": 2, "fold": 2, "bidirectional": 1}
    nodes = [
        helper.make_node("TemporalShift", ["x"], ["y"], domain=DOMAIN, **attributes),
        helper.make_node("Shape", ["y"], ["sizes"]),
        helper.make_node("Reshape", ["y", "sizes"], ["z"]),
    ]
    open_shape = (None, 8, None, 5)
    x = random_bits((4, 8, 3, 5), "float32")
    (got,) = session(model(nodes, [("x", "float32", open_shape)], [("z", "float32", open_shape)])).run(None, {"x": x})
    assert got.tobytes() == shift_clip(x, 2, 2, True).tobytes()


OLD_RUNTIME = """
import glob, sys
import onnxruntime
for path in sorted(glob.glob(sys.argv[2] + "/*.onnx")):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.register_custom_ops_library(sys.argv[1])
    try:
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        print("loaded")
    except Exception as error:
        print(str(error).replace("\\n", " "))
"""


def test_bad_attributes_are_refused_on_loading_by_the_runtime_of_a_nano(tmp_path):
    bad = BAD_ATTRIBUTES + [(step_model("float16"), "tensor.float16")]
    for number, (model_, _) in enumerate(bad):
        onnx.save(model_, str(tmp_path / "{:02d}.onnx".format(number)))
    command = [python36(), "-c", OLD_RUNTIME, libraries()["onnxruntime"], str(tmp_path)]
    lines = subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True).splitlines()
    assert len(lines) == len(bad)
    for line, (_, message) in zip(lines, bad):
        assert message.replace("tensor.", "tensor(") in line


def test_the_library_is_used_where_registered_and_the_function_body_elsewhere():
    """The function body of this model is not the shift, so the output shows which of the two ran."""
    body = helper.make_function(
        DOMAIN,
        "TemporalShift",
        ["x"],
        ["y"],
        [helper.make_node("Neg", ["x"], ["y"])],
        [helper.make_opsetid("", 13)],
        ["n_segment", "fold", "bidirectional"],
    )
    both = clip_model(n_segment=2, fold=2, bidirectional=0)
    both.functions.append(body)
    x = np.random.RandomState(0).randn(4, 8, 3, 5).astype(np.float32)
    assert np.array_equal(session(both).run(None, {"x": x})[0], shift_clip(x, 2, 2, False))
    bare = onnxruntime.InferenceSession(both.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(bare.run(None, {"x": x})[0], -x)


def test_one_session_serves_two_threads_and_outlives_its_options(sessions):
    step, wrong = session(step_model()), []  # the options object is gone by now
    x = random_bits((2, 24, 14, 14), "float32")

    def work(seed):
        cache = random_bits((2, 3, 14, 14), "float32", seed)
        for _ in range(50):
            y, following = step.run(None, {"x": x, "cache": cache})
            expected = shift_step(x, cache)
            if (y.tobytes(), following.tobytes()) != (expected[0].tobytes(), expected[1].tobytes()):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_y_takes_the_buffer_of_x_only_if_nothing_else_reads_x(tmp_path):
    """Compiles the same source with one more line, which prints whether y and x are the same buffer."""
    with open(os.path.join(KERNELS, "onnxruntime", "kernel.cpp")) as file:
        text = file.read()
    spy = '  std::fprintf(stderr, "%s", x == y ? "s" : "a");\n  if (!kernel.cuda) {'
    assert text.count("  if (!kernel.cuda) {") == 2
    source = tmp_path / "spy.cpp"
    source.write_text(text.replace("  if (!kernel.cuda) {", spy))
    library = compile_ops(tmp_path / "spy.so", [source, "onnxruntime/temporal_shift_ops.cpp"], ["-include", "cstdio"])
    write(str(tmp_path), ("float32",))
    for name, seen in (("chain_1", "sss"), ("residual", "a"), ("step_fold3", "a")):
        script = "import sys; sys.path.insert(0, {!r}); import op_runner; op_runner.run(*sys.argv[1:])"
        command = [sys.executable, "-c", script.format(os.path.dirname(RUNNER)), str(library)]
        done = subprocess.run(command + [str(tmp_path / (name + "_float32.onnx"))], stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (0, seen), name


def test_the_gpu_engine_uses_a_library_only_if_it_has_cuda_kernels(tmp_path, monkeypatch):
    """The CUDA kernels are compiled for the CPU here (cuda_shim)."""
    sources = ["onnxruntime/temporal_shift_ops.cpp", "onnxruntime/kernel.cpp", "cuda/temporal_shift.cu"]
    library = compile_ops(tmp_path / "cuda.so", sources, ["-DTSM_EDGE_WITH_CUDA", "-fno-strict-aliasing"])
    older = compile_ops(tmp_path / "older.so", [empty_source(tmp_path)])
    manifest = collections.namedtuple("Manifest", "lowering caches precision")("custom", (), "float32")
    for path, taken in ((libraries()["onnxruntime"], False), (str(library), True), (str(older), False)):
        monkeypatch.setattr(kernel_library, "find", lambda name, path=path: path)
        assert cuda_kernels(manifest) == (path if taken else None)
    # On a runtime without CUDA, such a library runs its CPU kernels.
    x, cache = random_bits((1, 9, 3, 5), "float32"), random_bits((1, 2, 3, 5), "float32", 1)
    outputs = session(step_model("float32"), str(library)).run(None, {"x": x, "cache": cache})
    assert [o.tobytes() for o in outputs] == [o.tobytes() for o in shift_step(x, cache)]


def empty_source(folder):
    """Return a source without tsm_edge_onnxruntime_has_cuda, as in an older release."""
    (folder / "empty.cpp").write_text("int nothing;\n")
    return folder / "empty.cpp"
