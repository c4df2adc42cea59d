"""`tsm-edge run` from end to end on videos that play: what it writes is right, whole and adds up."""

import os
import threading

import cv2
import numpy as np
import pytest

from tests.device import media
from tests.device.running import played, records, tsm_edge
from tsm_edge import load_engine
from tsm_edge.commands.run import may_spin
from tsm_edge.heads.classification import Decider
from tsm_edge.preprocess import Preprocessor

COUNT = 40


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@pytest.fixture
def video(tmp_path):
    return media.write_video(tmp_path / "in.mp4", COUNT)


@pytest.fixture(autouse=True)
def no_leftover_threads():
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before]
    assert not [name for name in left if name.startswith("tsm-edge") or name == "encoder"], left


def test_a_file_to_its_end(model, video, tmp_path, capsys):
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", tmp_path / "o.jsonl")
    assert done.code == 0
    frames, _, summary = records(tmp_path / "o.jsonl")
    assert [frame["frame"] for frame in frames] == list(range(COUNT))
    assert [frame["time"] for frame in frames] == pytest.approx([i / 30.0 for i in range(COUNT)], abs=1e-3)
    assert summary["stopped"] == "end"
    assert (summary["dropped"], summary["resets"]) == (0, 0)
    assert summary["engine"] == "onnxruntime"
    assert summary["model"] == model
    assert summary["weights_trained"] is False
    assert "weights    untrained: the labels mean nothing" in done.out
    for fact in ("{} in ".format(COUNT), "to the end of the source", "p50", "p95", "p99", "infer"):
        assert fact in done.out


def test_the_summary_adds_up(model, video, tmp_path, capsys):
    tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", tmp_path / "o.jsonl")
    _, _, summary = records(tmp_path / "o.jsonl")
    stages = summary["stages"]
    assert {stage["count"] for stage in stages.values()} == {COUNT}
    for stage in stages.values():
        assert 0 <= stage["p50"] <= stage["p95"] <= stage["p99"] <= stage["max"]
    parts = sum(stages[name]["mean"] for name in ("preprocess", "infer", "decide", "sink"))
    assert parts <= stages["frame"]["mean"] + 1e-3
    assert stages["frame"]["mean"] * COUNT <= 1e3 * summary["seconds"] + stages["sink"]["max"] + 1
    assert (COUNT - 1) / summary["fps"] <= summary["seconds"] + 1e-3


@pytest.mark.parametrize("preprocess", ["fast", "exact"])
def test_results_are_those_of_the_parts_by_hand(model, data, tmp_path, capsys, preprocess):
    if preprocess == "exact":
        pytest.importorskip("PIL")
    clip = os.path.join(data, "clips", "mmaction2_part_0.mp4")
    out = tmp_path / "o.jsonl"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", clip, "--jsonl", out, "--preprocess", preprocess)
    assert done.code == 0
    got, _, _ = records(out)
    capture, expected = cv2.VideoCapture(clip), []
    with load_engine(model) as engine:
        manifest = engine.manifest
        prepare, decider = Preprocessor(manifest.frame, preprocess), Decider(manifest.decision, manifest.labels)
        state = engine.new_state()
        while True:
            ok, image = capture.read()
            if not ok:
                break
            expected.append(decider.update(engine.step(prepare(image), state)[0], float(len(expected))))
    capture.release()
    assert len(got) == len(expected) == 32
    for a, b in zip(got, expected):
        assert dict(map(tuple, a["top"])) == pytest.approx(dict(b.top), abs=1e-4)


def test_the_annotated_video_plays(model, data, tmp_path, capsys):
    clip, out = os.path.join(data, "clips", "mmaction2_part_0.mp4"), tmp_path / "o.mp4"
    assert tsm_edge(capsys, "run", "--engine", model, "--source", clip, "--save", out).code == 0
    assert played(out) == played(clip)
    pairs = [cv2.VideoCapture(path).read()[1].astype(int) for path in (clip, str(out))]
    assert np.abs(pairs[0] - pairs[1]).max() > 100  # the overlay
    assert np.median(np.abs(pairs[0] - pairs[1])) < 10  # over the same picture


@pytest.mark.parametrize("name", ["decord_video_0.mov", "decord_video_90.mov"])
def test_rotated_video_comes_out_upright(model, data, tmp_path, capsys, name):
    clip, out = os.path.join(data, "clips", name), tmp_path / "o.mp4"
    arguments = ("run", "--engine", model, "--source", clip, "--save", out, "--max-frames", 3)
    assert tsm_edge(capsys, *arguments).code == 0
    upright = cv2.VideoCapture(clip).read()[1]
    assert played(out) == (3, upright.shape[1], upright.shape[0])


def test_max_frames(model, video, tmp_path, capsys):
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.avi"
    arguments = ("--jsonl", out, "--save", saved, "--max-frames", 7)
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, *arguments)
    assert done.code == 0
    assert "stopped at --max-frames" in done.out
    frames, _, summary = records(out)
    assert (len(frames), summary["stopped"]) == (7, "max_frames")
    assert played(saved) == (7, 64, 48)


def test_one_frame_alone(model, video, tmp_path, capsys):
    out = tmp_path / "o.jsonl"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", out, "--max-frames", 1)
    assert done.code == 0
    assert records(out)[2]["fps"] is None


def test_a_loop_begins_each_pass_as_a_new_stream(model, video, tmp_path, capsys):
    out, count = tmp_path / "o.jsonl", 2 * COUNT + 5
    arguments = ("--jsonl", out, "--loop", "--max-frames", count)
    assert tsm_edge(capsys, "run", "--engine", model, "--source", video, *arguments).code == 0
    frames, events, summary = records(out)
    assert (len(frames), summary["resets"]) == (count, 2)
    assert frames[COUNT]["top"] == frames[0]["top"] == frames[2 * COUNT]["top"]
    assert frames[COUNT + 1]["top"] == frames[1]["top"] != frames[0]["top"]
    seams = [frames[COUNT]["time"], frames[2 * COUNT]["time"]]
    for event in events:  # none spans two passes
        assert not any(event["start"] < seam <= event["end"] for seam in seams)


def test_sampling(model, video, tmp_path, capsys):
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    arguments = ("--jsonl", out, "--save", saved, "--fps", 10)
    assert tsm_edge(capsys, "run", "--engine", model, "--source", video, *arguments).code == 0
    frames, _, _ = records(out)
    assert [frame["frame"] for frame in frames] == list(range(0, COUNT, 3))
    capture = cv2.VideoCapture(str(saved))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    capture.release()


def test_a_folder_of_frames(model, tmp_path, capsys):
    folder = tmp_path / "frames"
    folder.mkdir()
    media.write_folder(folder, 12)
    out = tmp_path / "o.jsonl"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", folder, "--jsonl", out)
    assert done.code == 0
    assert [frame["frame"] for frame in records(out)[0]] == list(range(12))


def test_threads_change_nothing_but_the_time(model, video, tmp_path, capsys):
    tops = []
    for threads in (1, 2):
        out = tmp_path / "{}.jsonl".format(threads)
        arguments = ("--jsonl", out, "--threads", threads)
        assert tsm_edge(capsys, "run", "--engine", model, "--source", video, *arguments).code == 0
        tops.append([dict(map(tuple, frame["top"])) for frame in records(out)[0]])
    for one, two in zip(*tops):
        assert one == pytest.approx(two, abs=1e-5)


def test_progress_goes_to_stderr_and_results_to_stdout(model, video, tmp_path, capsys):
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video)
    assert done.out.startswith("frames ")
    assert "frames " not in done.err  # a run this short draws no line where stderr is no terminal


@pytest.mark.parametrize(
    "frame_size, threads, cores, spins",
    [
        ((340, 256), None, 2, True),
        ((1920, 1080), None, 2, False),  # decoding needs the core
        (None, 2, 2, False),
        ((1920, 1080), 2, 4, True),  # it has one of its own
        (None, 1, 2, True),
    ],
)
def test_threads_spin_where_that_stalls_no_decoder(frame_size, threads, cores, spins):
    assert may_spin(frame_size, threads, cores) == spins
