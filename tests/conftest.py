import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.environ.get("TSM_EDGE_TEST_DATA") or os.path.join(ROOT, "..", "shared", "data")


@pytest.fixture(scope="session")
def data():
    """The folder of real clips and weights; a test that asks for it skips where it is absent."""
    if not os.path.isdir(DATA):
        pytest.skip("no test data at {} (set TSM_EDGE_TEST_DATA)".format(DATA))
    return DATA
