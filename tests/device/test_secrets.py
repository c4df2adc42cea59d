"""No secret of an address is in anything that real commands write: to their outputs, or into a file."""

import base64
import importlib.util
import json
import os
import socket
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.device import media
from tsm_edge import cli
from tsm_edge.commands import doctor

HUSH = "Hu5h"  # in every password below
PASSWORD = "a@" + HUSH + "/b:c"
ENCODED = "a%40" + HUSH + "%2Fb%3Ac"
FOUND = (HUSH, base64.b64encode("user:{}".format(PASSWORD).encode()).decode(), base64.b64encode(HUSH.encode()).decode())

# {0}: host and port. The forms of issue 13, and slips of the keyboard beside them.
FORMS = [
    "rtsp://user:" + ENCODED + "@{0}/live",
    "rtsp://user:" + PASSWORD + "@{0}/live",
    "rtsp://user:x " + HUSH + "'\"@{0}/live",
    "rtsp://" + HUSH + "@{0}/live",
    "rtmp://user:" + ENCODED + "@{0}/live",
    " rtsp://user:" + ENCODED + "@{0}/live",
    "rtsp:/user:" + ENCODED + "@{0}",
    "rtsp:\\\\user:" + ENCODED + "@{0}\\live",
    "rtsp//user:" + HUSH + "@{0}/live",
    "rtsp;//" + HUSH + "@{0}/live",
    "http://user:" + ENCODED + "@{0}/live.mjpg",
    "http://{0}/live.mjpg?token=" + HUSH + "&x=1",
    "rtsp://{0}/user=admin&password=" + HUSH,
    "rtsp://{0}/user=admin_password=" + HUSH + "_channel=1",
    "rtsp://user:[" + HUSH + "@{0}/live",
]


class Watched:
    """Runs commands in a folder. Each of them must end with an exit code, and leave no secret anywhere."""

    def __init__(self, folder):
        self.folder = folder
        self.inputs = set()

    def write(self, name, text):
        """Write an input file, which may hold secrets."""
        (self.folder / name).write_text(text, encoding="utf-8")
        (self.folder / name).chmod(0o600)
        self.inputs.add(name)
        return name

    def tsm_edge(self, *arguments, **environment):
        """Return (exit code, all that was written to standard output and standard error)."""
        return self.python("-m", "tsm_edge", *arguments, **environment)

    def python(self, *arguments, **environment):
        paths = os.pathsep.join((ROOT, os.path.join(ROOT, "export")))
        done = subprocess.run(
            [sys.executable] + [str(argument) for argument in arguments],
            cwd=str(self.folder),
            env=dict(os.environ, PYTHONPATH=paths, TSM_EDGE_CACHE=str(self.folder / "cache"), **environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        out = done.stdout.decode("utf-8")
        self.check(out, arguments)
        for parent, _, names in os.walk(str(self.folder)):
            for name in names:
                self.check(name, arguments)
                if name not in self.inputs:
                    with open(os.path.join(parent, name), "rb") as file:
                        self.check(file.read().decode("latin-1"), arguments)
        return done.returncode, out

    @staticmethod
    def check(text, arguments):
        for secret in FOUND:
            assert secret.lower() not in text.lower(), (arguments, text)


@pytest.fixture
def watched(tmp_path):
    return Watched(tmp_path)


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@pytest.fixture
def nowhere():
    """Host and port where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield "127.0.0.1:{}".format(probe.getsockname()[1])


@pytest.mark.parametrize("form", FORMS)
def test_an_address_that_gives_no_video(watched, model, nowhere, form):
    """The address as a source, and in every place where it has no business. One process runs them all: each is slow to
    start. With -vv first, OpenCV and FFmpeg log as much as they do."""
    address = form.format(nowhere)
    outputs = ["--jsonl", "out.jsonl", "--save", "out.mp4"]
    commands = [[verbose, "run", "--engine", model, "--source", address] + outputs for verbose in ("-vv", "-v")]
    commands += [
        ["run", "--engine", model, "--source=" + address, "--source", address],
        ["-v", "profile", "--engine", model, "--source", address, "--paced", "5", "--json", "p.json"],
        ["run", address],
        ["run", "--engine", address, "--source", address],
        ["run", "--engine", model, "--source", "0", "--jsonl", address + "/x/y"],
        ["run", "--engine", model, "--cameras", address],
        ["-vv", "run", "--engine", model, "--cameras", address],
        ["run", "--engine", model, "--threads", address],
        ["run", "--engine", model, "--source", "x.mp4", "--device", address],
        ["profile", "--engine", address],
        ["-vv", "compare", address, address],
        ["compare", "--run", model, address],
        ["doctor", address],
        ["info", address],
        [address],
    ]
    for extra in ("", "rotation = 7\n", "colour = 1\n", "source = 1\n", 'name = "a b"\n', "fps = nan\n", "=\n"):
        quoted = address.replace("\\", "\\\\").replace('"', '\\"')
        name = "cameras{}.toml".format(len(commands))
        watched.write(name, '[[camera]]\nsource = "{}"\n{}'.format(quoted, extra) * 2)
        commands.append(["-v", "run", "--engine", model, "--cameras", name, "--save", "out.mp4"])
    code, out = watched.python("-c", DRIVER, json.dumps(commands))
    assert code == 0 and out.count("error: ") >= len(commands) and "a fault of tsm-edge" not in out, out


DRIVER = """
import json, sys, tsm_edge.cli
for arguments in json.loads(sys.argv[1]):
    sys.stderr.flush()
    try:
        code = tsm_edge.cli.main(arguments)
    except SystemExit as ended:
        code = ended.code
    assert code in (1, 2), (code, arguments[:1])
"""


@pytest.mark.parametrize("form", FORMS[::4])
def test_libraries_that_log_all_they_can(watched, model, nowhere, form):
    loud = {"OPENCV_LOG_LEVEL": "DEBUG", "OPENCV_VIDEOIO_DEBUG": "1"}
    address = form.format(nowhere)
    code, out = watched.tsm_edge("-vv", "run", "--engine", model, "--source", address, **loud)
    assert code in (1, 2) and "a fault of tsm-edge" not in out and "error: " in out, out


@pytest.mark.parametrize("form", FORMS)
def test_a_traceback(watched, nowhere, form, monkeypatch, capsys):
    def fail(options):
        raise RuntimeError("lost " + address) from ValueError(repr(address))

    address = form.format(nowhere)
    monkeypatch.setattr(doctor, "run", fail)
    assert cli.main(["-vv", "doctor"]) == 1
    out = capsys.readouterr().err
    assert "RuntimeError: lost" in out and "direct cause" in out
    watched.check(out, "doctor")


def test_a_file_of_cameras_that_others_may_read(watched, model):
    watched.write("cameras.toml", '[[camera]]\nsource = "rtsp://user:{}@127.0.0.1:1/a"\n'.format(HUSH))
    command = ["run", "--engine", model, "--cameras", "cameras.toml"]
    for mode, warned in ((0o600, False), (0o640, True), (0o604, True)):
        (watched.folder / "cameras.toml").chmod(mode)
        assert ("chmod 600 cameras.toml" in watched.tsm_edge(*command)[1]) == warned


def allowed(path, headers):
    expected = "Basic " + base64.b64encode("user:{}".format(PASSWORD).encode()).decode()
    return headers.get("Authorization") == expected or "token=" + HUSH in path or "password=" + HUSH in path


@pytest.mark.parametrize("verbose", [[], ["-vv"]])
def test_streams_that_run(watched, model, verbose):
    """A camera that asks for its password, and then hangs up; the run, the profile and what is made of them."""
    with media.MjpegServer([40, 12, 40, 12, 40, 12] + [100] * 20, allowed=allowed) as server:
        host = server.url.split("/")[2]
        code, out = watched.tsm_edge("-v", "run", "--engine", model, "--source", "http://user:x@{}/a".format(host))
        assert code == 2 and "no video at this address" in out
        forms = [form for form in FORMS if form.startswith("http")]
        forms.append("http://{0}/user=admin&password=" + HUSH)
        addresses = [form.format(host) for form in forms]
        sources = [part for address in addresses for part in ("--source", address)]
        outputs = ["--jsonl", "out.jsonl", "--save", "out.mp4", "--max-frames", "10"]
        code, out = watched.tsm_edge(*verbose, "run", "--engine", model, *sources, *outputs)
        assert code == 0, out
        assert len([name for name in os.listdir(str(watched.folder)) if name.startswith("out")]) >= 4
        for number, address in enumerate(addresses):
            arguments = ["--source", address, "--seconds", "0.5", "--warm-up", "0.2", "--cold", "1", "--no-layers"]
            name = "profile{}.json".format(number)
            code, out = watched.tsm_edge(*verbose, "profile", "--engine", model, "--json", name, *arguments)
            assert code == 0 and (watched.folder / name).exists(), out
    assert watched.tsm_edge("compare", "profile0.json", "profile1.json")[0] in (0, 2)
    if importlib.util.find_spec("tsm_edge_export") is not None:
        code, out = watched.tsm_edge("report", "profile0.json", "-o", "page.html")
        assert code == 0, out


@pytest.mark.skipif(importlib.util.find_spec("tsm_edge_export") is None, reason="no host half here")
@pytest.mark.parametrize("form", [form.replace("rtsp", "http") for form in FORMS[::2]])
def test_the_weights_of_a_recipe(watched, nowhere, form):
    address = (form.format(nowhere) + "/w.pth").replace("\\", "\\\\").replace('"', '\\"')
    recipe = '[arch]\nname = "mobilenetv2"\nnum_classes = 3\n[weights]\nurl = "{}"\n'.format(address)
    name = watched.write("recipe.toml", recipe)
    address = form.format(nowhere)
    commands = [["-vv", "export", name], ["export", address, "--weights", address]]
    commands += [["-vv", "report", address], ["verify", address]]
    code, out = watched.python("-c", DRIVER, json.dumps(commands))
    assert code == 0 and out.count("error: ") >= len(commands) and "a fault of tsm-edge" not in out, out
