"""`tsm-edge run` from end to end on videos that play: what it writes is right, whole and adds up."""

import argparse
import os
import re
import threading

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.device import media
from tests.device.commands.conftest import COUNT
from tests.device.running import all_records, ended, played, records, start, tsm_edge
from tests.device.toys import NumberSource, PixelEngine, toy_manifest
from tsm_edge import load_engine
from tsm_edge.commands import run as command
from tsm_edge.heads import open_head
from tsm_edge.preprocess import Preprocessor
from tsm_edge.records import Frame
from tsm_edge.session import SessionRequest, open_session
from tsm_edge.sources.request import StreamRequest


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


def test_each_event_is_printed_as_it_happens_and_listed_at_the_end(model, video, tmp_path, capsys):
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", tmp_path / "o.jsonl")
    _, events, _ = all_records(tmp_path / "o.jsonl")
    told = [event for event in events if event["type"] != "update"]
    lines = [line for line in done.err.splitlines() if "  new  " in line or "  end  " in line]
    assert len(lines) == len(told) > 1
    for line, event in zip(lines, told):
        when = event["end"] if event["type"] == "end" else event["start"]
        assert line.split() == ["{:.1f}".format(when), "s", event["type"], event["label"]] + [
            "{:.0%}".format(event["confidence"])
        ]
    table = done.out.split("start, s   end, s  confidence  event\n")[1].splitlines()
    ends = [event for event in told if event["type"] == "end"][-20:]
    assert [row.split()[3] for row in table if not row.startswith("(")] == [event["label"] for event in ends]


# ---------------------------------------------------------------- pace


def seconds_of(frames, stream):
    """How long after the first frame of a stream its last one came."""
    came = [frame["wall_time"] for frame in frames if frame["stream"] == stream]
    return came[-1] - came[0]


def test_a_file_in_real_time_takes_its_own_time(model, video, tmp_path, capsys):
    out = tmp_path / "o.jsonl"
    assert tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", out, "--realtime").code == 0
    frames, _, summary = records(out)
    assert (summary["frames"], summary["dropped"]) == (COUNT, 0)
    assert seconds_of(frames, "in") >= (COUNT - 1) / 30.0 - 0.1
    options = ("--realtime", "--fps", 5)
    assert tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", out, *options).code == 0
    assert seconds_of(records(out)[0], "in") >= 6 / 5.0 - 0.1


def test_several_files_in_real_time_run_side_by_side_and_lose_no_frame(model, tmp_path, capsys):
    videos = [media.write_video(tmp_path / "v{}.mp4".format(count), count) for count in (40, 12, 25)]
    sources = [argument for video in videos for argument in ("--source", video)]
    out = tmp_path / "o.jsonl"
    assert tsm_edge(capsys, "run", "--engine", model, *sources, "--jsonl", out, "--realtime").code == 0
    frames, _, summaries = all_records(out)
    assert [(summary["frames"], summary["dropped"]) for summary in summaries] == [(40, 0), (12, 0), (25, 0), (77, 0)]
    for name, count in (("v40", 40), ("v12", 12), ("v25", 25)):
        assert seconds_of(frames, name) >= (count - 1) / 30.0 - 0.1
    last = {frame["stream"]: frame["wall_time"] for frame in frames}
    assert last["v12"] < last["v40"]


@pytest.mark.parametrize(
    "options, cameras_file, expected",
    [
        ([], None, False),
        (["--realtime"], None, True),
        (["--display"], None, True),
        (["--display", "--no-realtime"], None, False),
        (["--realtime"], False, False),
        ([], True, True),
    ],
)
def test_which_runs_are_in_real_time(options, cameras_file, expected, tmp_path):
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    arguments = ["--engine", "m.onnx", "--source", "a.mp4"]
    if cameras_file is not None:
        (tmp_path / "site.toml").write_text(
            "[[camera]]\nsource = 'a.mp4'\nrealtime = {}\n".format(str(cameras_file).lower())
        )
        arguments = ["--engine", "m.onnx", "--cameras", str(tmp_path / "site.toml")]
    (stream,) = command._streams(parser.parse_args(arguments + options))
    assert stream.realtime is expected


# ---------------------------------------------------------------- the rate


def warned(caplog, source_fps, model_fps, several=1, **request):
    """What a run warns of, where a source of some rate runs on a model of some rate."""
    streams = tuple(
        StreamRequest(NumberSource([0] * 3, fps=source_fps), name="s{}".format(number), **request)
        for number in range(several)
    )
    asked = SessionRequest(PixelEngine(toy_manifest(fps=model_fps)), streams)
    caplog.clear()
    with open_session(asked) as session:
        command.warn_of_rates(asked, session)
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "source_fps, model_fps, request_, words",
    [
        (30.0, 7.5, {}, None),
        (30.0, 29.97, {}, None),
        (None, 7.5, {}, None),
        (30.0, 7.5, {"fps": 7.5}, None),
        (30.0, None, {"fps": 7.5}, None),
        (30.0, None, {"paced": 7.5}, None),
        (30.0, 7.5, {"fps": 30.0}, "states 7.5 frames/s and gets 30 frames/s of s0; .*leave out the rate"),
        (30.0, 7.5, {"paced": 30.0}, "states 7.5 frames/s and gets 30 frames/s of s0; .*leave out the rate"),
        (None, 7.5, {"fps": 2.0}, "states 7.5 frames/s and gets 2 frames/s of s0"),
        (5.0, 7.5, {}, "states 7.5 frames/s and gets 5 frames/s of s0; .*take a source"),
        (30.0, None, {}, "states no frames/s and gets all 30 frames/s of s0; .*--fps"),
        (None, None, {}, "states no frames/s and gets every frame of s0; .*--fps"),
    ],
)
def test_a_rate_that_is_not_the_models_is_told_once(caplog, monkeypatch, source_fps, model_fps, request_, words):
    if source_fps is None:  # a camera that states none
        monkeypatch.setattr(NumberSource, "grab", lambda self: None)
    told = warned(caplog, source_fps, model_fps, **request_)
    assert len(told) == (words is not None)
    assert words is None or re.search(words, told[0])
    if words is not None:
        assert "(and of 2 more)" in warned(caplog, source_fps, model_fps, several=3, **request_)[0]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.floats(0.5, 120), st.floats(0.5, 120))
def test_no_warning_where_the_source_is_fast_enough(caplog, source_fps, model_fps):
    told = warned(caplog, source_fps, model_fps)
    assert bool(told) == (source_fps * command.LIKE_RATES < model_fps)


def test_a_rate_on_the_command_line_is_warned_of_on_standard_error(models, video):
    model = os.path.join(models, "mobilenetv2_tsm.onnx")
    done = ended(start("run", "--engine", model, "--source", video, "--max-frames", 2, "--fps", 30, "--threads", 1))
    assert done.code == 0 and done.err.count("the model states 7.5 frames/s and gets 30 frames/s of in") == 1
    done = ended(start("run", "--engine", model, "--source", video, "--max-frames", 2, "--threads", 1))
    assert done.code == 0 and "the model states" not in done.err


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
