"""python -m tests.device.fakes.board PYTHON MODELS MODULE ARGUMENT...: `python -m MODULE ARGUMENT...` as on a board.

The module is the real one, of whichever tsm_edge the path finds; TensorRT 8.2, pycuda and the GPU are the fakes.
PYTHON: what the module starts in its turn as Python. MODELS: the folder of exported test models.
"""

import runpy
import sys
import tempfile

import pytest

from tests.device.fakes.machine import Machine

if __name__ == "__main__":
    _, python, models, module = sys.argv[:4]
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        Machine(monkeypatch, models, folder)
        sys.executable, sys.argv[1:] = python, sys.argv[4:]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
