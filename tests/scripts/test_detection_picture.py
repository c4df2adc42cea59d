"""The picture of rendered clips with boxes: the kept one is what the script draws."""

import os

import numpy as np
from PIL import Image

from tests.conftest import ROOT
from tests.scripts.test_pictures import output_of, script


def test_the_kept_picture_of_rendered_clips_is_the_drawn_one(tmp_path):
    said = output_of(script("make_detection_picture").main, "-o", tmp_path / "clips.jpg")
    assert str(tmp_path / "clips.jpg") in said
    kept = os.path.join(ROOT, "docs", "detection_clips.jpg")
    assert os.path.getsize(kept) <= 150000
    with Image.open(kept) as first, Image.open(str(tmp_path / "clips.jpg")) as second:
        assert first.size == second.size
        assert np.abs(np.asarray(first, float) - np.asarray(second, float)).mean() < 1
