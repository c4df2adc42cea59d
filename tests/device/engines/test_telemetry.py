"""ONNX Runtime sends no usage data from a process of ours, and leaves no identifier on the disk."""

import os
import subprocess
import sys

from tests.conftest import ROOT

RUN = "import tsm_edge, sys\ntsm_edge.load_engine(sys.argv[1]).close()\n"


def test_onnxruntime_leaves_nothing_in_the_home_folder(models, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    folders = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(tmp_path))
    command = [sys.executable, "-c", RUN, os.path.join(models, "tiny_standard.onnx")]
    subprocess.check_call(command, cwd=ROOT, env=dict(environment, **folders))
    assert os.listdir(str(tmp_path)) == []
