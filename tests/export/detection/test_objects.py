"""The pictures of hands, faces and of what looks like them."""

import numpy as np
import pytest

from tsm_edge_export.detection import objects
from tsm_edge_export.detection.lookalikes import KINDS, lookalike
from tsm_edge_export.detection.objects_face import head

LIGHT = np.array((0.3, 0.4, 0.866))


def draw(kind, seed, size, split="train"):
    rng = np.random.default_rng(seed)
    look = objects.person_look(rng, split)
    if kind in KINDS:
        return lookalike(rng, kind, split, look, LIGHT, size)
    if kind == "face":
        return head(rng, split, look, LIGHT, size)
    return objects.hand(rng, kind, look, LIGHT, size)


@pytest.mark.parametrize("kind", [*objects.LABELS, *KINDS])
@pytest.mark.parametrize("size", [8, 40, 150])
def test_pictures_are_premultiplied_and_as_large_as_asked(kind, size):
    for seed in range(4):
        thing = draw(kind, seed, size)
        layer = thing.layer
        assert layer.dtype == np.uint8 and layer.shape[2] == 4
        assert (layer[..., :3] <= layer[..., 3:]).all()
        first, last = thing.outline.min(axis=0), thing.outline.max(axis=0)
        assert (first >= -0.5).all() and (last <= np.array(layer.shape[1::-1]) - 0.5).all()
        covered = layer[..., 3] >= 128
        rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
        assert np.allclose((*first, *last), (columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5))
        assert thing.centre == pytest.approx((first + last) / 2)
        if size < 100 or kind in objects.LABELS:  # other things are drawn at one size and magnified
            assert 0.7 < thing.extent / size < 1.4


@pytest.mark.parametrize("kind", [*objects.LABELS, *KINDS])
def test_another_number_draws_another_picture_and_the_same_the_same(kind):
    first, again, other = (draw(kind, seed, 40).layer for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_hands_are_bare_and_gloves_are_not():
    rng = np.random.default_rng(0)
    assert not any(objects.person_look(rng, "test").glove for _ in range(20))
    assert objects.person_look(rng, "test", glove=True).glove


def test_a_face_has_features_that_a_doll_has_not():
    def detail(kind):
        layers = [head(np.random.default_rng(s), "train", objects.person_look(np.random.default_rng(s), "train"),
                       LIGHT, 60, kind).layer for s in range(12)]  # fmt: skip
        values = []
        for layer in layers:
            height, width = layer.shape[:2]
            middle = layer[height // 3 : -height // 6, width // 4 : -width // 4, 0].astype(float)
            values.append(np.abs(np.diff(middle, axis=0)).mean())
        return np.mean(values)

    assert detail("face") > 3 * detail("doll")
