import importlib.util
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import settings

from tests.lock import locked

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("TSM_EDGE_TEST_DATA") or os.path.join(ROOT, "..", "shared", "data")


# CI must give one answer for one commit; runs by hand look for new cases each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Whoever starts the tests in the background (a CI, nohup) leaves them signals ignored, and children inherit that: the
# tests of Ctrl-C and SIGHUP would then wait for ever.
for _signal in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, signal.default_int_handler if _signal == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session")
def data():
    """The folder of real clips and weights; a test that asks for it skips where it is absent."""
    if not os.path.isdir(DATA):
        pytest.skip("no test data at {} (set TSM_EDGE_TEST_DATA)".format(DATA))
    return DATA


@pytest.fixture(scope="session")
def models():
    """The folder of exported test models (tests/device_models.py), made here where the host half is installed."""
    folder = os.path.join(ROOT, "build", "device")
    if importlib.util.find_spec("tsm_edge_export") is not None:
        with locked(folder):
            subprocess.check_call([sys.executable, "-m", "tests.device_models", folder], cwd=ROOT)
    elif not os.path.exists(os.path.join(folder, "mobilenetv2_tsm.npy")):
        pytest.fail("no test models in {}: make test-device exports them with the host half".format(folder))
    return folder
