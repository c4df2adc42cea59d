"""kernels/cuda/preprocess.cu, compiled for the CPU with ASan and UBSan, against tsm_edge/preprocess.py."""

import numpy as np
import pytest

from tests.kernels.cuda_driver import PILLOW, PYRAMID, Driver, build
from tests.kernels.preprocess_cases import (
    LEVEL,
    MEAN,
    ROUNDING,
    SIZES,
    STD,
    exact_axes,
    fast_axes,
    frame_spec,
    levels,
    picture,
)
from tsm_edge import preprocess


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    running = Driver(build(tmp_path_factory.mktemp("cuda")))
    yield running
    running.close()


@pytest.mark.parametrize("shape, sizes", SIZES)
@pytest.mark.parametrize("path", ["fast", "exact"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_equals_the_runtime_within_a_level(driver, shape, sizes, path, dtype):
    spec = frame_spec(*sizes)
    image = picture(*shape)
    expected = preprocess.Preprocessor(spec, path)(image)[0]
    rows, columns, how, halvings = (fast_axes if path == "fast" else exact_axes)(spec, shape)
    status, got = driver.preprocess(
        image.reshape(-1), shape, 3 * shape[1], rows, columns, how, halvings, True, MEAN, STD, dtype
    )
    assert status == 0 and np.isfinite(got).all()
    allowed = LEVEL * (1 + 1e-3) + ROUNDING[dtype]
    np.testing.assert_allclose(levels(got), levels(expected), rtol=0, atol=allowed)


@pytest.mark.parametrize("rgb", [True, False])
def test_channel_order_and_pitch(driver, rgb):
    """Rows may have a gap between them. The gap is not read, and nothing after the last row is."""
    shape, pitch = (20, 30), 3 * 30 + 7
    image = picture(*shape)
    padded = np.full((20, pitch), 255, np.uint8)
    padded[:, :90] = image.reshape(20, 90)
    axes = (0, 20, 20, 0, 20), (0, 30, 30, 0, 30)
    flat = padded.reshape(-1)[: pitch * 19 + 90]
    status, got = driver.preprocess(flat, shape, pitch, *axes, PYRAMID, 0, rgb, MEAN, STD, np.float32)
    assert status == 0
    planes = image.transpose(2, 0, 1)[:: -1 if rgb else 1]
    np.testing.assert_allclose(levels(got) * 255, planes, rtol=0, atol=1e-3)


BAD = {
    "more rows than the image has": {"rows": (0, 21, 20, 0, 20)},
    "rows before the first": {"rows": (-1, 20, 20, 0, 20)},
    "no rows": {"rows": (0, 0, 20, 0, 20)},
    "a crop past the resized image": {"rows": (0, 20, 10, 5, 6)},
    "a crop before it": {"rows": (0, 20, 20, -1, 20)},
    "rows that overlap": {"pitch": 89},
    "an element of one byte": {"dtype": np.dtype(np.uint8)},
    "an unknown filter": {"how": 3},
    "more halvings than are supported": {"halvings": 4},
    "halvings with Pillow's filter": {"how": PILLOW, "halvings": 1},
    "nothing left after a halving": {"rows": (0, 1, 20, 0, 20), "halvings": 1},
    "a deviation of zero": {"std": (1.0, 0.0, 1.0)},
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_impossible_requests_are_refused(driver, case):
    request = {"rows": (0, 20, 20, 0, 20), "columns": (0, 30, 30, 0, 30), "pitch": 90, "how": PYRAMID, "halvings": 0}
    request.update({"rgb": True, "mean": MEAN, "std": STD, "dtype": np.dtype(np.float32)})
    request.update(BAD[case])
    status, got = driver.preprocess(np.zeros(request["pitch"] * 19 + 90, np.uint8), (20, 30), **request)
    assert status == 1 and (got.view(np.uint8) == 0xA5).all()


def test_planted_fault_is_caught(tmp_path):
    """Read the right neighbour of the last pixel, which does not exist. It proves that the tests can fail."""
    broken = Driver(
        build(tmp_path, ("cuda/preprocess.cu", "if (low >= scaled.reduced - 1)", "if (low >= scaled.reduced)"))
    )
    try:
        with pytest.raises(AssertionError, match="AddressSanitizer"):
            test_equals_the_runtime_within_a_level(broken, (240, 320), (256, 256, 256), "fast", np.float32)
    finally:
        broken.close()
