"""`tsm-edge run` on bad input: what was done before is kept and reported, then the fault is named. Exit code 2."""

import os

import pytest

from tests.device import media
from tests.device.commands.conftest import COUNT
from tests.device.damage import with_nan_weights
from tests.device.running import ended, played, records, start, tsm_edge
from tsm_edge.sources import network
from tsm_edge.sources.live import Retry


def refused(done, *words):
    assert done.code == 2
    assert done.err.startswith("tsm-edge: error: ") or "\ntsm-edge: error: " in done.err
    for word in words + ("do:",):
        assert word in done.err


@pytest.mark.parametrize(
    "make", ["missing", "zero bytes", "text", "empty folder", "folder of text", "scheme", "socket"]
)
def test_sources_that_are_none(model, tmp_path, capsys, make):
    source = tmp_path / "source.mp4"
    if make == "zero bytes":
        source.write_bytes(b"")
    elif make == "text":
        source.write_text("not a video\n" * 200)
    elif "folder" in make:
        source.mkdir()
        if make == "folder of text":
            (source / "notes.txt").write_text("no picture")
    spec = {"scheme": "ftp://127.0.0.1/x.mp4", "socket": "http://127.0.0.1:1/x"}.get(make, str(source))
    out = tmp_path / "o.jsonl"
    refused(tsm_edge(capsys, "run", "--engine", model, "--source", spec, "--jsonl", out), spec)
    assert not out.exists()


@pytest.mark.parametrize("camera", [("--camera", 63), ("--source", 63)])
def test_no_camera(model, capsys, camera):
    refused(tsm_edge(capsys, "run", "--engine", model, *camera), "camera 63", "/dev/video63")


def test_a_loop_over_a_camera(model, capsys):
    refused(tsm_edge(capsys, "run", "--engine", model, "--camera", 0, "--loop"), "loop")


def test_frames_before_the_damage_are_kept_and_the_damage_is_named(model, video, tmp_path, capsys):
    cut = tmp_path / "cut.mp4"
    size = os.path.getsize(media.moov_first(video, cut))
    with cut.open("r+b") as file:
        file.truncate(int(size * 0.7))
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", cut, "--jsonl", out, "--save", saved)
    refused(done, str(cut), "cut off")
    frames, _, summary = records(out)
    assert 0 < len(frames) < COUNT
    assert "{} frames before the damage".format(len(frames)) in done.err
    assert summary["stopped"].startswith("error: " + str(cut))
    assert "cut off" in summary["stopped"]
    assert done.out.startswith("frames     {} in".format(len(frames)))
    assert played(saved)[0] == len(frames)


def test_nothing_but_our_own_words_about_damage(model, video, tmp_path, monkeypatch):
    """FFmpeg's and OpenCV's complaints would bury the message; -v lets them through."""
    for name in ("OPENCV_FFMPEG_LOGLEVEL", "OPENCV_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)  # commands that ran in this process have set them
    cut = tmp_path / "cut.mp4"
    with open(str(video), "rb") as file:
        cut.write_bytes(file.read(1000))
    quiet = ended(start("run", "--engine", model, "--source", cut))
    assert quiet.code == 2
    assert quiet.err.startswith("tsm-edge: error: {}".format(cut))
    assert not ended(start("-v", "run", "--engine", model, "--source", cut)).err.startswith("tsm-edge: error")


def test_a_source_whose_size_changes_midway(model, tmp_path, capsys):
    folder = tmp_path / "frames"
    folder.mkdir()
    media.write_folder(folder, 5)
    (folder / "5.jpg").write_bytes(media.jpeg(5, (80, 48)))
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", folder, "--jsonl", out, "--save", saved)
    refused(done, "80x48", "64x48")
    assert len(records(out)[0]) == 5
    assert played(saved) == (5, 64, 48)


def test_a_stream_that_drops_comes_back_and_then_stays_away(model, tmp_path, capsys, monkeypatch):
    retry = Retry(tries=2, first_wait=0.01, longest_wait=0.01)
    monkeypatch.setattr(network, "open_source", lambda url, options: network.NetworkStream(url, retry=retry))
    out = tmp_path / "o.jsonl"
    with media.MjpegServer([60, 60]) as server:
        done = tsm_edge(capsys, "run", "--engine", model, "--source", server.url, "--jsonl", out)
    assert done.code == 1  # a camera that fails while it runs is no mistake of the user's
    assert server.url in done.err and "interrupted after" in done.err
    frames, _, summary = records(out)
    assert summary["resets"] == 1
    assert summary["frames"] + summary["dropped"] >= 60
    assert len(frames) >= 1


@pytest.mark.parametrize("make", ["missing", "zero bytes", "cut", "text", "another kind", "folder"])
def test_engines_that_are_none(model, video, tmp_path, capsys, make):
    engine = tmp_path / ("engine.pth" if make == "another kind" else "engine.onnx")
    with open(model, "rb") as file:
        data = file.read()
    if make == "folder":
        engine.mkdir()
    elif make != "missing":
        engine.write_bytes({"zero bytes": b"", "cut": data[: len(data) // 2], "text": b"no model" * 99}.get(make, data))
    refused(tsm_edge(capsys, "run", "--engine", engine, "--source", video), str(engine))


def test_an_offline_engine(models, video, capsys):
    engine = os.path.join(models, "tiny_offline.onnx")
    done = tsm_edge(capsys, "run", "--engine", engine, "--source", video)
    refused(done, engine, "bidirectional", "no next frame", "--mode online")


def test_an_engine_whose_logits_are_nan(model, video, tmp_path, capsys):
    engine = with_nan_weights(model, str(tmp_path / "nan.onnx"), "classifier.bias")
    out, saved = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    done = tsm_edge(capsys, "run", "--engine", engine, "--source", video, "--jsonl", out, "--save", saved)
    refused(done, engine, "logits", "NaN")
    frames, _, summary = records(out)
    assert frames == []
    assert "NaN" in summary["stopped"]
    assert not saved.exists()  # nothing that looks like a video


@pytest.mark.parametrize("option", ["--jsonl", "--save"])
def test_outputs_that_cannot_be_written(model, video, tmp_path, capsys, option):
    (tmp_path / "folder.mp4").mkdir()
    for path in (tmp_path / "none" / "o.mp4", tmp_path / "folder.mp4"):
        refused(tsm_edge(capsys, "run", "--engine", model, "--source", video, option, path), str(path))


@pytest.mark.parametrize("option", ["--jsonl", "--save"])
def test_a_full_disk(model, video, tmp_path, capsys, option):
    full, other = tmp_path / "full.mp4", tmp_path / "other"
    full.symlink_to("/dev/full")
    beside = ("--save", str(other) + ".mp4") if option == "--jsonl" else ("--jsonl", str(other) + ".jsonl")
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, option, full, *beside)
    refused(done, str(full))
    assert done.out.startswith("frames ")  # the summary is printed all the same
    if option == "--jsonl":
        assert "No space left" in done.err
        assert "No space left" in done.out
    else:
        assert len(records(beside[1])[0]) > 0  # and the other output is whole
    assert os.path.exists("/dev/full")


def test_a_video_of_unknown_kind_costs_no_earlier_results(model, video, tmp_path, capsys):
    out = tmp_path / "o.jsonl"
    out.write_text("earlier results")
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", out, "--save", tmp_path / "o.gif")
    refused(done, "o.gif", ".mp4")
    assert out.read_text() == "earlier results"


@pytest.mark.parametrize("option, victim", [("--save", "source"), ("--jsonl", "engine"), ("--jsonl", "beside")])
def test_outputs_never_overwrite_inputs(model, video, tmp_path, capsys, option, victim):
    engine = tmp_path / "model.onnx"
    with open(model, "rb") as file:
        engine.write_bytes(file.read())
    path = {"source": video, "engine": str(engine), "beside": str(tmp_path / "model.json")}[victim]
    before = os.path.getsize(path) if os.path.exists(path) else None
    done = tsm_edge(capsys, "run", "--engine", engine, "--source", video, option, path)
    refused(done, "the same file")
    assert (os.path.getsize(path) if os.path.exists(path) else None) == before


def test_two_outputs_in_one_file(model, video, tmp_path, capsys):
    out = tmp_path / "o.mp4"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--jsonl", out, "--save", out)
    refused(done, "the same file as --jsonl")


def test_no_display(model, video, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    refused(tsm_edge(capsys, "run", "--engine", model, "--source", video, "--display"), "--display", "--save")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-frames", "0"),
        ("--max-frames", "many"),
        ("--threads", "0"),
        ("--fps", "0"),
        ("--fps", "nan"),
        ("--fps", "inf"),
        ("--preprocess", "slow"),
        ("--camera", "-1"),
        ("--no-such-option",),
    ],
)
def test_options_that_are_wrong(model, video, capsys, arguments):
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, *arguments)
    assert done.code == 2
    assert arguments[0] in done.err


# ---------------------------------------------------------------- several streams


def test_no_source_at_all(model, capsys):
    refused(tsm_edge(capsys, "run", "--engine", model), "no source", "--cameras")


def test_two_streams_of_one_name(model, video, tmp_path, capsys):
    site = tmp_path / "site.toml"
    site.write_text("[[camera]]\nname = 'door'\nsource = '{0}'\n[[camera]]\nname = 'door'\nsource = 1\n".format(video))
    out = tmp_path / "o.jsonl"
    refused(tsm_edge(capsys, "run", "--engine", model, "--cameras", site, "--jsonl", out), "door", "two streams")
    assert not out.exists()


def test_an_unknown_key_in_a_cameras_file(model, video, tmp_path, capsys):
    site = tmp_path / "site.toml"
    site.write_text("[[camera]]\nsource = '{}'\nrotate = 90\n".format(video))
    refused(tsm_edge(capsys, "run", "--engine", model, "--cameras", site), "site.toml", "unknown key rotate")


@pytest.mark.parametrize("decision", ["{ hysteresis = 0 }", "{ treshold = 0.5 }", '{ ignored = ["no such label"] }'])
def test_a_decision_that_does_not_fit(model, video, tmp_path, capsys, decision):
    site = tmp_path / "site.toml"
    site.write_text("[[camera]]\nsource = '{}'\ndecision = {}\n".format(video, decision))
    refused(tsm_edge(capsys, "run", "--engine", model, "--cameras", site), "decision")


def test_the_video_of_one_stream_on_the_source_of_another(model, video, tmp_path, capsys):
    other = media.write_video(tmp_path / "o-in.mp4", 5)
    before = os.path.getsize(other)
    sources = ("--source", video, "--source", other)
    done = tsm_edge(capsys, "run", "--engine", model, *sources, "--save", tmp_path / "o.mp4")
    refused(done, "the same file as a source", "o-in.mp4")
    assert os.path.getsize(other) == before


def test_one_of_several_cameras_is_missing(model, video, tmp_path, capsys):
    out = tmp_path / "o.jsonl"
    done = tsm_edge(capsys, "run", "--engine", model, "--source", video, "--camera", 63, "--jsonl", out)
    refused(done, "camera 63")
    assert not out.exists()
