"""Nothing that a terminal obeys is in what commands print, whatever files, streams and fields are called."""

import json
import os
import random
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.device import media, profiles
from tsm_edge.profile import record

PARTS = ["\x1b[2J", "\x1b]0;title\x07", "\x07", "\r", "\n", "\t", "\x7f", "\x08", "\x0e", "\x9b31m", "\u0085", "\u2028"]
PARTS += ["\u202e", "\u2066", "\u200f", "a", "name ", "\u00e9", "'", '"', "%s", "{}", "\\x1b", "\u65e5\u672c", "\ufeff"]
OBEYED = set(map(chr, range(32))) - set("\n\t") | set(map(chr, range(0x7F, 0xA0)))
OBEYED |= set("\u2028\u2029\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
FORGED = "\ntsm-edge: forged"  # a name that holds a line must not begin one

DRIVER = """
import json, os, sys, tsm_edge.cli
for arguments in json.loads(os.fsencode(sys.argv[1]).decode("utf-8", "surrogateescape")):
    try:
        code = tsm_edge.cli.main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code in (0, 1, 2), code
"""


def run(folder, commands):
    """Run commands in one process of its own. Returns all that they printed."""
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(commands)],
        cwd=str(folder),
        env=dict(os.environ, PYTHONPATH=os.pathsep.join((ROOT, os.path.join(ROOT, "export"))), COLUMNS="1000"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=240,
    )
    text = done.stdout.decode("utf-8")
    assert done.returncode == 0, text
    assert "a fault of tsm-edge" not in text, text
    return text


def check(text):
    found = [(line, sorted(OBEYED & set(line))) for line in text.split("\n") if OBEYED & set(line)]
    assert not found, found
    assert not any(line.startswith(FORGED[1:]) for line in text.split("\n")), text


def nasty(rng):
    """Return a made-up name."""
    name = "".join(rng.choice(PARTS) for _ in range(rng.randint(1, 6)))
    return name + rng.choice(["", FORGED, "\udce9"])  # \udce9: a byte that is not UTF-8


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@pytest.mark.parametrize("seed", range(6))
def test_names_of_files_streams_and_options(tmp_path, model, seed):
    rng, commands = random.Random(seed), []
    video = media.write_video(tmp_path / "in.avi", 8)
    for number in range(3):
        folder = str(tmp_path / "{} {}".format(number, nasty(rng)))
        os.mkdir(folder)
        onnx, avi = (os.path.join(folder, nasty(rng) + end) for end in (".onnx", ".avi"))
        shutil.copy(model, onnx)
        shutil.copy(model[:-4] + "json", onnx[:-4] + "json")
        shutil.copy(video, avi)
        outputs = ["--jsonl", os.path.join(folder, nasty(rng)), "--max-frames", "4"]
        quick = ["--seconds", "0.05", "--warm-up", "0.05", "--cold", "0"]
        profile = os.path.join(folder, nasty(rng))
        cameras = os.path.join(folder, nasty(rng) + ".toml")
        with open(cameras, "w", encoding="utf-8", errors="replace") as file:
            file.write("[[camera]]\nsource = {}\nname = {}\n".format(*map(json.dumps, (avi, nasty(rng)))))
        commands += [
            ["info", onnx],
            ["-vv", "info", folder],
            ["-v", "run", "--engine", onnx, "--source", avi] + outputs,
            ["run", "--engine", onnx, "--source", avi, "--source", video] + outputs[2:],
            ["run", "--engine", onnx, "--cameras", cameras],
            ["run", "--engine", nasty(rng), "--source", nasty(rng)],
            ["run", "--engine", onnx, "--source", "rtsp://" + nasty(rng)],
            ["profile", "--engine", onnx, "--source", avi, "--json", profile] + quick,
            ["compare", profile, profile],
            ["compare", "--run", onnx, onnx, "--rounds", "5"],
            ["compare", folder, nasty(rng)],
            ["doctor", nasty(rng)],
            [nasty(rng)],
            ["run", "--threads", nasty(rng)],
            ["profile", "--engine", onnx, "--json", os.path.join(folder, nasty(rng), "x")],
            ["build", onnx, "-o", nasty(rng)],
        ]
    check(run(tmp_path, commands))


def test_texts_within_a_profile(tmp_path):
    rng, commands = random.Random(1), []
    plain = json.loads(record.to_json(profiles.sample()))

    def renamed(value):
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return value + nasty(rng).replace("\udce9", "") if isinstance(value, str) and rng.random() < 0.5 else value

    for number in range(12):
        value = renamed(plain)
        value.update(format=plain["format"], stages=plain["stages"], blocks=plain["blocks"], trace=plain["trace"])
        for layer, good in zip(value["layers"]["layers"], plain["layers"]["layers"]):
            layer["group"] = good["group"]  # an unknown one is refused
        value["sensing"]["clocks"] = {nasty(rng): [1.0, 2.0, 3.0]}
        path = str(tmp_path / "{}.json".format(number))
        with open(path, "w") as file:
            json.dump(value, file)
        commands += [["compare", path, path], ["compare", path, str(tmp_path / "0.json"), "--allow-different"]]
    text = run(tmp_path, commands)
    assert text.count("95 % interval") >= 12
    check(text)
