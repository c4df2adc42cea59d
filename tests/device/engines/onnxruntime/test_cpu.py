"""The ONNX Runtime engine: the contract in both lowerings, and model files that are not what they should be."""

import itertools
import os
import shutil
import threading

import numpy as np
import pytest

pytest.register_assert_rewrite("tests.device.engines.contract")

from tests.device.engines.contract import EngineContract  # noqa: E402
from tests.device.refusals import refused  # noqa: E402
from tests.device.streams import noise, steps, traced  # noqa: E402
from tests.tolerances import allowed  # noqa: E402
from tsm_edge import load_engine  # noqa: E402
from tsm_edge.engines import load_manifest  # noqa: E402
from tsm_edge.errors import InputError, TsmEdgeError  # noqa: E402
from tsm_edge.manifest import sidecar_path, to_json  # noqa: E402
from tsm_edge.onnx.digest import with_digest  # noqa: E402
from tsm_edge.onnx.graph import with_streams  # noqa: E402


class TestCustomLowering(EngineContract):
    """The op by our kernel library where it is built, else by its function body."""

    exact = True

    def open(self, path):
        return load_engine(path, threads=1)


class TestFunctionBodies(EngineContract):
    """The op without our kernel library, as on a machine that never built it."""

    exact = True

    def open(self, path):
        engine = load_engine(path, threads=1, kernels=False)
        assert engine.shift_by != "kernel library"
        return engine


class TestTwoThreads(EngineContract):
    """Two threads, so that two of three streams step at once, and both threads step the third."""

    def open(self, path):
        return load_engine(path, threads=2)


class TestStandardLowering(EngineContract):
    online_model, exact = "tiny_standard", True

    def open(self, path):
        return load_engine(path, threads=1)


def test_the_recipe_itself_streams_with_the_logits_of_torch(models):
    expected = np.load(os.path.join(models, "mobilenetv2_tsm.npy")).swapaxes(0, 1)
    with load_engine(os.path.join(models, "mobilenetv2_tsm.onnx"), threads=2) as engine:
        got = steps(engine, engine.new_state(2), noise(engine.manifest.frame, len(expected), 2))
    assert np.abs(got - expected).max() <= allowed(expected)


def test_a_detector_streams_with_the_grids_of_torch(models):
    expected = np.load(os.path.join(models, "tiny_detector.npy")).swapaxes(0, 1)  # (T, streams, classes + 4, H, W)
    with load_engine(os.path.join(models, "tiny_detector.onnx"), threads=1) as engine:
        state = engine.new_state(2)
        for frames, grids in zip(noise(engine.manifest.frame, len(expected), 2), expected):
            got = engine.step(np.ascontiguousarray(frames), state)["grid"]
            assert np.abs(got - grids).max() <= allowed(expected)


def test_both_lowerings_give_the_same(models):
    logits = []
    for name in ("tiny_custom", "tiny_standard"):
        with load_engine(os.path.join(models, name + ".onnx"), threads=1) as engine:
            logits.append(steps(engine, engine.new_state(), noise(engine.manifest.frame, 6)))
    assert np.abs(logits[0] - logits[1]).max() <= allowed(logits[0])


@pytest.mark.parametrize("spin", [False, True])
def test_spinning_threads_change_nothing_but_the_time(models, spin):
    logits = []
    for argument in ({}, {"spin": spin}):
        with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=2, **argument) as engine:
            logits.append(steps(engine, engine.new_state(), noise(engine.manifest.frame, 6)))
            options = engine.session.get_session_options()
    np.testing.assert_array_equal(*logits)
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(spin))
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@pytest.mark.parametrize("threads", [None, 1, 2])
def test_threads(models, threads):
    with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=threads) as engine:
        assert engine.session.get_session_options().intra_op_num_threads == (threads or 0)
        engine.step(noise(engine.manifest.frame, 1)[0], engine.new_state())


class Runs:
    """The runs of a state's streams, as (session, stream), in the order in which they began."""

    def __init__(self, monkeypatch, state, fail_at=None):
        self.begun, self.ended, real, count = [], [], type(state).run, itertools.count()

        def run(state, session, stream, frame, outputs):
            self.begun.append((session, stream))
            if next(count) == fail_at:
                raise TsmEdgeError("made to fail")
            real(state, session, stream, frame, outputs)
            self.ended.append(stream)

        monkeypatch.setattr(type(state), "run", run)


@pytest.mark.parametrize(
    "threads, streams, rows, spread",
    [(2, 1, None, 0), (2, 2, None, 2), (2, 3, None, 2), (2, 5, [4, 0, 2], 2), (1, 2, None, 0), (4, 2, None, 0)]
    + [(2, 4, [3], 0), (2, 4, [3, 1], 2)],
)
def test_a_round_of_streams_is_spread_over_the_threads(models, monkeypatch, threads, streams, rows, spread):
    path = os.path.join(models, "tiny_custom.onnx")
    with load_engine(path, threads=threads) as engine, load_engine(path, threads=1) as single:
        state, order = engine.new_state(streams), rows or list(range(streams))
        frames = noise(engine.manifest.frame, 5, len(order))
        with monkeypatch.context() as patch:
            runs = Runs(patch, state)
            together = steps(engine, state, frames, rows)
        begun = runs.begun[: len(order)]
        alone = [(session, stream) for session, stream in begun if session is not engine.session]
        assert sorted(stream for _, stream in alone) == sorted(order[:spread])
        assert [stream for session, stream in begun if session is engine.session] == order[spread:]
        if spread:
            assert {session.get_session_options().intra_op_num_threads for session, _ in alone} == {1}
        for place in range(spread):  # the same runs of one thread, so the same bits
            one = np.ascontiguousarray(frames[:, place : place + 1])
            np.testing.assert_array_equal(together[:, place : place + 1], steps(single, single.new_state(), one))


def test_one_engine_opens_one_session_of_one_thread_and_ends_its_threads(models, monkeypatch):
    before = threading.active_count()
    with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=2) as engine:
        states = {streams: engine.new_state(streams) for streams in (2, 4)}
        runs = Runs(monkeypatch, states[2])
        for streams in (2, 4, 2):
            engine.step(noise(engine.manifest.frame, 1, streams)[0], states[streams])
        assert len({session for session, _ in runs.begun}) == 1
        assert threading.active_count() > before
    assert threading.active_count() == before


@pytest.mark.parametrize("streams, ended", [(None, 4), ([3, 1, 2], 2)])
def test_a_step_that_fails_for_one_stream_ends_for_all_and_changes_none(models, monkeypatch, streams, ended):
    """The failure is in the second run; what runs beside it is waited for, since it writes to the same buffers."""
    with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=2) as engine:
        frames, state = noise(engine.manifest.frame, 3, 5), engine.new_state(5)
        engine.step(frames[0], state)
        kept, count = state.snapshot(), len(streams or range(5))
        with monkeypatch.context() as patch:
            runs = Runs(patch, state, fail_at=1)
            with pytest.raises(TsmEdgeError, match="made to fail"):
                engine.step(frames[1, :count], state, streams)
        assert len(runs.ended) == ended - 1
        for cache, expected in zip(state.snapshot(), kept):
            np.testing.assert_array_equal(cache, expected)
        fresh = engine.new_state(5)
        fresh.restore(kept)
        np.testing.assert_array_equal(*(engine.step(frames[2], each)["logits"] for each in (state, fresh)))


def test_a_model_of_a_fixed_number_of_streams(models, tmp_path):
    """One stream a file fits, since each stream is a run of its own. More are refused."""
    with open(os.path.join(models, "tiny_custom.onnx"), "rb") as file:
        data = file.read()
    path = tmp_path / "fixed.onnx"
    path.write_bytes(with_digest(with_streams(data, "tiny_custom.onnx", 1)))
    with load_engine(path, threads=2) as engine:
        frames = noise(engine.manifest.frame, 3, 2)
        with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=2) as other:
            expected = steps(other, other.new_state(2), frames)
        np.testing.assert_array_equal(steps(engine, engine.new_state(2), frames), expected)
    path.write_bytes(with_digest(with_streams(data, "tiny_custom.onnx", 2)))
    refused(path, "batch axis", "of size 2", "an open one")


def test_steady_state_allocates_nothing_of_a_frames_size(models):
    """NumPy's arrays are traced; a step makes one, the logits. Caches and bindings are those of the new state."""
    with load_engine(os.path.join(models, "tiny_custom.onnx"), threads=1) as engine:
        frame, state = noise(engine.manifest.frame, 1)[0], engine.new_state()
        for _ in range(5):
            engine.step(frame, state)
        stayed, most = traced(engine, frame, state, 200)
    assert stayed < 4096  # and not 200 times anything
    assert most < frame.nbytes / 4


# ---------------------------------------------------------------- files


@pytest.fixture
def copied(models, tmp_path):
    """A copy of the tiny model without the .json beside it, to damage."""
    path = str(tmp_path / "model.onnx")
    shutil.copy(os.path.join(models, "tiny_custom.onnx"), path)
    return path


def rewrite(path, old, new):
    """Replace bytes of the same length in a file, so that every length in it stays right, and its checksum after it."""
    with open(path, "rb") as file:
        data = file.read()
    assert old in data
    assert len(old) == len(new)
    with open(path, "wb") as file:
        file.write(with_digest(data.replace(old, new)))


def test_a_model_alone_carries_its_manifest(copied):
    with load_engine(copied) as engine:
        assert engine.manifest.mode == "online"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_model_is_refused(copied, share):
    size = os.path.getsize(copied)
    with open(copied, "r+b") as file:
        file.truncate(int(size * share))
    refused(copied, copied, "an empty file" if share == 0 else "cut off")


NO_MODELS = {
    "zeros": b"\0" * 4096,
    "text": b"not a model at all" * 100,
    "random": np.random.RandomState(0).bytes(4096),
    "short": b"\x08\x08",
}


@pytest.mark.parametrize("content", list(NO_MODELS.values()), ids=list(NO_MODELS))
def test_what_is_no_model_is_refused(copied, content):
    with open(copied, "wb") as file:
        file.write(content)
    refused(copied, copied)


def test_no_file_a_folder_and_another_kind_are_refused(tmp_path, copied):
    refused(str(tmp_path / "none.onnx"), "no such file")
    (tmp_path / "folder.onnx").mkdir()
    refused(str(tmp_path / "folder.onnx"), "a folder")
    other = str(tmp_path / "model.pt")
    shutil.copy(copied, other)
    refused(other, "unknown kind")


@pytest.mark.parametrize(
    "old, new, words",
    [
        (b'"format_version": 2', b'"format_version": 3', ("format_version", "got:      3", "expected: 1 or 2")),
        (b'"mode": "online"', b'"mode": "onlive"', ("mode", "onlive")),
        (b'"colour": "RGB"', b'"colour": "RGX"', ("frame.colour", "RGX")),
        (b'"num_classes": 5', b'"num_classes": 6', ("labels", "5 labels", "6 (num_classes)")),
        (b'"direction": "causal"', b'"direction": "caused"', ("shift.direction",)),
        (b'"recipe": "tiny"', b'"recipo": "tiny"', ("unknown key recipo",)),
        (b'"name": "logits"', b'"name": "logitz"', ("output logits", "nothing (its manifest)")),
        (b'"cache_03_next"', b'"cache_3__next"', ("output cache_03_next", "nothing (its manifest)")),
        (b'"height": 64', b'"height": 65', ("input frame", "64, 96", "65, 96")),
        (b"tsm_edge.manifest", b"tsm_edge.manifesu", ("without our manifest",)),
        (b'"precision": "float32"', b'"precision": "float32,', ("damaged JSON",)),
    ],
)
def test_a_manifest_that_disagrees_is_refused(copied, old, new, words):
    rewrite(copied, old, new)
    refused(copied, *words)


def test_a_stale_manifest_beside_the_model_is_refused(copied):
    stale = to_json(load_manifest(copied)._replace(fps=12.0))
    with open(sidecar_path(copied), "w") as file:
        file.write(stale)
    refused(copied, "another fps than the model beside it", "model.json")


def test_a_graph_that_onnx_runtime_cannot_load_is_refused(copied):
    rewrite(copied, b"\x22\x04Conv", b"\x22\x04Conx")  # the op_type of every convolution
    with pytest.raises(InputError) as caught:
        load_engine(copied)
    assert copied in str(caught.value)
