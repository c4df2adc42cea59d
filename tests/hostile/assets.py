"""Good inputs, which the families spoil: made once, kept in build/hostile until the product's sources change."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from tests import device_models
from tests.conftest import ROOT
from tests.device import media
from tests.hostile.oracle import frames_in
from tests.lock import locked

FOLDER = Path(ROOT, "build", "hostile")
SIZE = (128, 96)  # of the videos: width, height
FRAMES = 32
CLIPS = ("clip.avi", "clip.mp4", "clip.mkv", "fast.mp4", "frames")
FOURCC = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "mp4v"}
MODELS = ("tiny_custom", "tiny_standard", "tiny_offline", "tiny_detector", "mobilenetv2_tsm")
LABELS = tuple("class_{:03d}".format(index) for index in range(5))  # of the tiny recipe
TRAINING = """
direction = "causal"
batch = 2
labels = ["one", "two"]
[shift]
n_segment = 4
[arch]
name = "mobilenetv2"
width = 0.25
[frame]
height = 32
width = 32
short_side = 36
[data]
kind = "frames"
root = "clips"
train = "train.txt"
test = "clips/test.txt"
[optimiser]
name = "sgd"
[loss]
label_smoothing = 0.0
[schedule]
epochs = 1
warmup = 0.0
[regular]
dropout = 0.0
[run]
device = "cpu"
workers = 0
"""
SMALL = """
[shift]
n_segment = 4
[arch]
width = 0.25
[frame]
height = 32
width = 32
short_side = 36
[schedule]
epochs = 1
[run]
device = "cpu"
workers = 0
"""
CAMERAS = """
[[camera]]
name = "door"
source = "clip.avi"
fps = 15
rotation = 0
loop = false
decision = {threshold = 0.1, hysteresis = 2}

[[camera]]
name = "desk"
source = "frames"
paced = 200.0
"""


class Assets:
    """The folder of good inputs, and what the product answers to them."""

    def __init__(self, folder=FOLDER):
        self.folder = Path(folder)
        with locked(str(self.folder)):
            self._make()
        self._clean = json.loads((self.folder / "clean.json").read_text())

    def path(self, name):
        """Return the path of an asset."""
        return self.folder / "good" / name

    def clean(self, source, model="tiny_custom.onnx"):
        """Return the frames, as `oracle.frames_in` does, of a run of one model over a source."""
        return [tuple(frame) for frame in self._clean["{} {}".format(model, source)]]

    def _make(self):
        subprocess.check_call(
            [sys.executable, "-m", "tests.device_models", os.path.join(ROOT, "build/device")], cwd=ROOT
        )
        stamp, now = self.folder / "sources.sha256", _digest()
        if stamp.exists() and stamp.read_text() == now:
            return
        shutil.rmtree(str(self.folder / "good"), ignore_errors=True)
        good = self.folder / "good"
        good.mkdir(parents=True)
        (self.folder / "matplotlib").mkdir(exist_ok=True)
        for name in MODELS:
            for suffix in (".onnx", ".json"):
                shutil.copyfile(os.path.join(ROOT, "build/device", name + suffix), str(good / (name + suffix)))
        shutil.copyfile(os.path.join(ROOT, "build/device/tiny.toml"), str(good / "tiny.toml"))
        _write_videos(good)
        _write_checkpoints(good)
        _write_lists(good)
        _write_reports(good)
        clean = {}
        for model, sources in (("tiny_custom.onnx", CLIPS), ("mobilenetv2_tsm.onnx", CLIPS[:1])):
            for source in sources:
                _tsm_edge(good, "run", "--engine", model, "--source", source, "--threads", "1", "--jsonl", "o.jsonl")
                clean["{} {}".format(model, source)] = frames_in(good / "o.jsonl")
                (good / "o.jsonl").unlink()
        (self.folder / "clean.json").write_text(json.dumps(clean))
        stamp.write_text(now)


def _digest():
    """Return the SHA-256 over the sources of the product, its models, and this file."""
    hashed = hashlib.sha256(Path(__file__).read_bytes() + device_models.digest().encode())
    for package in ("tsm_edge", "export/tsm_edge_export"):
        for path in sorted(Path(ROOT, package).rglob("*.py")):
            hashed.update(path.read_bytes())
    return hashed.hexdigest()


def _tsm_edge(folder, *arguments):
    environment = dict(os.environ, OMP_NUM_THREADS="1", MPLCONFIGDIR=str(folder.parent / "matplotlib"))
    command = [sys.executable, "-m", "tsm_edge", *arguments]
    subprocess.check_call(command, cwd=str(folder), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def picture(index, size=SIZE):
    """Return frame `index` of a film whose frames differ: (H, W, 3) uint8 BGR."""
    random = np.random.RandomState(index // 4)
    blocks = random.randint(0, 256, (6, 8, 3)).astype(np.uint8)
    image = cv2.resize(blocks, size, interpolation=cv2.INTER_LINEAR)
    return np.roll(image, 3 * index, 1)


def _write_videos(good):
    for name in ("clip.avi", "clip.mp4", "clip.mkv"):
        code = cv2.VideoWriter_fourcc(*FOURCC[name[-4:]])
        writer = cv2.VideoWriter(str(good / name), cv2.CAP_FFMPEG, code, 15.0, SIZE)
        assert writer.isOpened(), "this OpenCV cannot write {}".format(name)
        for index in range(FRAMES):
            writer.write(picture(index))
        writer.release()
    media.moov_first(good / "clip.mp4", good / "fast.mp4")
    (good / "frames").mkdir()
    for index in range(12):
        cv2.imwrite(str(good / "frames" / "{}.jpg".format(index)), picture(index))


def _write_checkpoints(good):
    """Write causal weights of the tiny recipe in our format and as torch saves them."""
    import torch

    from tsm_edge_export import checkpoints, models, recipe

    spec = recipe.load(str(good / "tiny.toml"))
    network = models.build(spec.arch, spec.shift.fold_div)
    models.init_(network, 7)
    checkpoints.save(good / "tiny.safetensors", network, "causal", spec.shift.n_segment, LABELS)
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, good / "tiny.pth")


def _write_lists(good):
    """Write three labelled clips, their lists, a training configuration, the events of clip.avi, and a cameras file."""
    for number, name in enumerate(("one", "two", "three")):
        folder = good / "clips" / name
        folder.mkdir(parents=True)
        for index in range(8):
            cv2.imwrite(str(folder / "img_{:05d}.jpg".format(index + 1)), picture(index + 9 * number, (48, 40)))
    for number in range(6):  # a data folder: two labels, three recordings
        folder = good / "data" / ("wave" if number % 2 else "push") / "S{}_1".format(number // 2)
        folder.mkdir(parents=True)
        for index in range(8):
            cv2.imwrite(str(folder / "{:05d}.jpg".format(index + 1)), picture(index + 9 * number, (48, 40)))
    (good / "small.toml").write_text(SMALL)
    (good / "train.txt").write_text("one 8 0\ntwo 8 1\n")
    (good / "clips" / "test.txt").write_text("three 8 1\n")
    (good / "list.txt").write_text("one 8 0\ntwo 8 1\n")
    (good / "segments.csv").write_text("path,start,end,label\nclip.avi,0.0,1.0,class_000\nclip.avi,1.0,2.0,class_001\n")
    (good / "marks.csv").write_text("start,end,label\n0.2,0.9,one\n1.0,1.8,two\n")
    (good / "train.toml").write_text(TRAINING)
    (good / "truth.csv").write_text("path,start,end,label\nclip.avi,0.2,0.9,class_001\nclip.avi,1.2,1.9,class_002\n")
    events = [{"label": "class_001", "start": 0.2, "end": 0.9}, {"label": "class_002", "start": 1.2, "end": 1.9}]
    (good / "truth.json").write_text(json.dumps({"events": events}))
    (good / "site.toml").write_text(CAMERAS)


def _write_reports(good):
    """Write profiles and the two shards of an evaluation, by the commands themselves."""
    for name in ("a.json", "b.json"):
        timing = ("--seconds", "1", "--warm-up", "0.2", "--cold", "0", "--threads", "1")
        _tsm_edge(good, "profile", "--engine", "tiny_custom.onnx", *timing, "--json", name)
    for shard in ("1", "2"):
        options = ("--list", "list.txt", "--root", "clips", "--shard", shard + "/2", "--workers", "0", "--threads", "1")
        _tsm_edge(good, "eval", "--engine", "tiny_custom.onnx", *options, "-o", "shard{}.json".format(shard))
