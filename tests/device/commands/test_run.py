"""`tsm-edge run` from end to end on videos that play: what it writes is right, whole and adds up."""

import os
import threading

import cv2
import numpy as np
import pytest

from tests.device import media
from tests.device.commands.conftest import COUNT
from tests.device.running import all_records, played, records, tsm_edge
from tsm_edge import load_engine
from tsm_edge.heads import open_head
from tsm_edge.preprocess import Preprocessor
from tsm_edge.records import Frame


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
    for fact in ("{} in ".format(COUNT), "at the end of the source", "p50", "p95", "p99", "infer"):
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
        prepare, head = Preprocessor(manifest.frame, preprocess), open_head(manifest, model)
        state = engine.new_state()
        while True:
            ok, image = capture.read()
            if not ok:
                break
            outputs = engine.step(prepare(image), state)
            frame = Frame(len(expected), float(len(expected)), image)
            expected.append(head.update({name: array[0] for name, array in outputs.items()}, frame))
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
    assert "stopped    at --max-frames" in done.out
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


# ---------------------------------------------------------------- several streams


@pytest.fixture
def videos(tmp_path):
    return [media.write_video(tmp_path / "v{}.mp4".format(count), count) for count in (40, 12, 25)]


def run_alone(capsys, model, video, out):
    assert tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", out).code == 0
    return records(out)[0]


def test_several_files_give_what_each_gives_alone(model, videos, tmp_path, capsys):
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    sources = [argument for video in videos for argument in ("--source", video)]
    done = tsm_edge(capsys, "run", "--engine", model, *sources, "--jsonl", out, "--save", saved)
    assert done.code == 0
    frames, _, summaries = all_records(out)
    assert [summary["stream"] for summary in summaries] == ["v40", "v12", "v25", None]
    assert [summary["frames"] for summary in summaries] == [40, 12, 25, 77]
    assert {summary["stopped"] for summary in summaries} == {"end"}
    for video, summary in zip(videos, summaries):
        got = [frame for frame in frames if frame["stream"] == summary["stream"]]
        expected = run_alone(capsys, model, video, tmp_path / "alone.jsonl")
        assert [frame["time"] for frame in got] == [frame["time"] for frame in expected]
        for a, b in zip(got, expected):
            assert dict(map(tuple, a["top"])) == pytest.approx(dict(map(tuple, b["top"])), abs=1e-5)
        assert played(tmp_path / "o-{}.mp4".format(summary["stream"])) == (summary["frames"], 64, 48)
    assert not saved.exists()
    for text in ("v40", "v12", "v25", "77 in "):
        assert text in done.out


def test_a_cameras_file_names_turns_and_decides_for_each(model, videos, tmp_path, capsys):
    site = tmp_path / "site.toml"
    site.write_text(
        "[[camera]]\nname = 'door'\nsource = '{}'\nrotation = 90\nfps = 10\n"
        "[[camera]]\nname = 'yard'\nsource = '{}'\ndecision = {{ threshold = 1.0 }}\n".format(*videos[:2])
    )
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    arguments = ("--jsonl", out, "--save", saved)
    done = tsm_edge(capsys, "run", "--engine", model, "--cameras", site, "--source", videos[2], *arguments)
    assert done.code == 0
    frames, events, summaries = all_records(out)
    assert [summary["stream"] for summary in summaries] == ["v25", "door", "yard", None]
    assert [summary["frames"] for summary in summaries] == [25, 14, 12, 51]
    assert played(tmp_path / "o-door.mp4") == (14, 48, 64)
    assert {frame["label"] for frame in frames if frame["stream"] == "yard"} == {None}
    assert not [event for event in events if event["stream"] == "yard"]
    assert [event for event in events if event["stream"] == "v25"]


def test_a_file_that_is_cut_off_ends_its_stream_alone(model, videos, tmp_path, capsys):
    cut = tmp_path / "cut.mp4"
    size = os.path.getsize(media.moov_first(videos[0], cut))
    with cut.open("r+b") as file:
        file.truncate(int(size * 0.7))
    out = tmp_path / "o.jsonl"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", cut, "--source", videos[2], "--jsonl", out)
    assert done.code == 2
    assert "cut off" in done.err
    _, _, (of_cut, whole, of_run) = all_records(out)
    assert 0 < of_cut["frames"] < 40 and of_cut["stopped"].startswith("error")
    assert (whole["frames"], whole["stopped"]) == (25, "end")
    assert of_run["stopped"].startswith("error: " + str(cut))
