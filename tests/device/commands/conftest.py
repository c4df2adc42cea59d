"""What the tests of `tsm-edge run` stream: a tiny model and a short video."""

import os

import pytest

from tests.device import media

COUNT = 40  # frames of the video


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@pytest.fixture
def video(tmp_path):
    return media.write_video(tmp_path / "in.mp4", COUNT)
