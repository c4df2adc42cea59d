"""Average precision is that of pycocotools on the same boxes, and the curves are what they say."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.export.detection import box_sets
from tsm_edge_export.detection.average_precision import Outcomes, Ranked, at_false_rate, at_threshold, average_precision
from tsm_edge_export.detection.groups import SIZE_GROUPS
from tsm_edge_export.detection.scoring import Scores


def coco_figures(clips, classes):
    """What pycocotools computes: AP50:95, AP50 and AP75, AP50:95 of small, medium and large boxes; NaN for none."""
    images, annotations, results = [], [], []
    for clip in clips:
        for truth, found in zip(clip.truths, clip.found, strict=True):
            image = len(images) + 1
            images.append({"id": image, "width": clip.size[1], "height": clip.size[0], "file_name": str(image)})
            for box, class_id, ignored in zip(truth.boxes, truth.classes, truth.ignored, strict=True):
                annotations.append(entry(image, box, class_id, iscrowd=int(ignored), id=len(annotations) + 1))
            for box, score, class_id in zip(*found, strict=True):
                results.append(entry(image, box, class_id, score=float(score)))
    truth = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": c + 1, "name": str(c)} for c in range(classes)],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return np.where(run.stats[:6] < 0, np.nan, run.stats[:6])


def entry(image, box, class_id, **more):
    left, top, right, bottom = (float(value) for value in box)
    bbox = [left, top, right - left, bottom - top]
    return {"image_id": image, "category_id": int(class_id) + 1, "bbox": bbox, "area": bbox[2] * bbox[3], **more}


def our_figures(clips, classes):
    scores = Scores([str(c) for c in range(classes)], clips, 0.3)
    values = scores.average_precision()
    return np.array([values.mean(), values[0], values[5], *(scores.average_precision(g).mean() for g in SIZE_GROUPS)])


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_it_is_that_of_pycocotools(seed, whole):
    clips = box_sets.clips(seed, classes=1 + seed % 4, whole=whole)
    ours, theirs = our_figures(clips, 1 + seed % 4), coco_figures(clips, 1 + seed % 4)
    assert 0.05 < theirs[1] < 0.9
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_it_is_that_of_pycocotools_where_more_boxes_are_found_than_count():
    rng = np.random.default_rng(5)
    clips = box_sets.clips(1, count=1, classes=1)
    for place, found in enumerate(clips[0].found):
        extra = box_sets.boxes(rng, 150, False)
        scores = np.concatenate([found.scores, rng.random(150).astype(np.float32)])
        boxes = np.concatenate([found.boxes, extra])
        clips[0].found[place] = found._replace(boxes=boxes, scores=scores, classes=np.zeros(len(boxes), np.int64))
    np.testing.assert_allclose(our_figures(clips, 1), coco_figures(clips, 1), rtol=0, atol=1e-9)


def test_a_class_without_true_boxes_is_left_out_and_no_true_boxes_give_no_figure():
    clips = box_sets.clips(3, classes=2)
    assert our_figures(clips, 2)[1] == our_figures(clips, 4)[1]
    empty = [
        clip._replace(truths=[t._replace(ignored=np.ones(len(t.tracks), bool)) for t in clip.truths]) for clip in clips
    ]
    assert np.isnan(our_figures(empty, 2)[:2]).all()


def approx(operating):
    return pytest.approx(tuple(operating), nan_ok=True)


outcomes = st.integers(0, 2**32 - 1)


def ranked(seed, count=40, clips=5, levels=2):
    rng = np.random.default_rng(seed)
    true = rng.random((levels, count)) < 0.5
    scores = np.round(rng.random(count), 1)
    of_clip = np.sort(rng.integers(0, clips, count))
    positives = np.array([true[:, of_clip == c].any(0).sum() for c in range(clips)]) + 1
    return Ranked(
        Outcomes(scores, true, ~true & (rng.random((levels, count)) < 0.2), of_clip, positives, np.full(clips, 6))
    )


@settings(max_examples=30, deadline=None)
@given(outcomes, st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_a_weight_counts_a_clip_several_times(seed, weights):
    """The bootstrap's weighted figures are those of a set that holds each clip as often."""
    one = ranked(seed)
    repeated = np.repeat(np.arange(len(one.scores)), np.array(weights)[one.clips])
    ignored = ~one.true & ~one.false
    copies = np.concatenate([[0], np.cumsum(weights)])[one.clips[repeated]]
    many = Ranked(
        Outcomes(
            one.scores[repeated],
            one.true[:, repeated],
            ignored[:, repeated],
            np.minimum(copies, max(0, sum(weights) - 1)),
            np.repeat(one.positives, weights),
            np.repeat(one.frames, weights),
        )
    )
    a, b = average_precision([one], np.array(weights)), average_precision([many])
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)
    if sum(weights):
        assert tuple(at_false_rate([one], 0.3, np.array(weights))) == approx(at_false_rate([many], 0.3))
        assert tuple(at_threshold([one], 0.5, np.array(weights))) == approx(at_threshold([many], 0.5))


@settings(max_examples=30, deadline=None)
@given(outcomes, st.floats(0, 2))
def test_recall_at_a_false_rate(seed, rate):
    one = ranked(seed, levels=1)
    found = at_false_rate([one], rate)
    assert found.false_per_frame <= rate
    if found.threshold is not None:
        assert found == at_threshold([one], found.threshold)
    lower = sorted({score for score in one.scores.tolist() if found.threshold is None or score < found.threshold})
    assert not lower or at_threshold([one], lower[-1]).false_per_frame > rate


def test_the_curve_of_a_small_case():
    """Two true boxes, found first and third; the precision falls to 2/3 at full recall."""
    true = np.array([[True, False, True]])
    one = Ranked(
        Outcomes(np.array([0.9, 0.8, 0.7]), true, ~true & False, np.zeros(3, int), np.array([2]), np.array([4]))
    )
    precisions = one.precisions()[0]
    assert precisions[:51] == pytest.approx(np.ones(51)) and precisions[51:] == pytest.approx(np.full(50, 2 / 3))
    assert tuple(at_threshold([one], 0.75)) == approx((0.75, 0.5, 0.5, 0.25))
    assert tuple(at_false_rate([one], 0.0)) == approx((0.9, 0.5, 1.0, 0.0))
