"""Windows of streams: which label each of their frames has, and that training asks for it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.training.test_parts import PLAIN
from tsm_edge.errors import InputError
from tsm_edge_export.synthetic import FLIPS, LABELS, NO_GESTURE, Stream, windows
from tsm_edge_export.synthetic.windows import LabelledWindow
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.clips import ANY
from tsm_edge_export.training.dataset import TrainSet, collate
from tsm_edge_export.training.journal import read
from tsm_edge_export.training.loss import clip_loss, clip_scores
from tsm_edge_export.training.train import train

SIZE = (32, 32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.integers(0, 160))
def test_frames_have_the_label_that_can_be_known_by_then(seed, first):
    stream = Stream(seed, 12.0, size=SIZE)
    labels = LabelledWindow(stream, first, 16).frame_labels(range(16))
    for index, label in enumerate(labels):
        time = (first + index + 0.5) / stream.fps
        near = [event for event in stream.events if event.start <= time <= event.end + 0.35]
        if not near:
            assert label == NO_GESTURE
            continue
        length = near[0].end - near[0].start
        seen = first / stream.fps <= near[0].start + 0.25 * length
        known = seen and time >= near[0].start + 0.5 * length
        assert label == (LABELS.index(near[0].label) if known else ANY)


def test_a_list_of_windows_is_reproducible_and_holds_every_label():
    ours, again = (windows("train", 120, 3, 8, 7.5, SIZE) for _ in range(2))
    assert [w.name for w in ours] == [w.name for w in again] and len({w.name for w in ours}) == 120
    assert {w.label for w in ours} == set(range(len(LABELS)))
    assert ours[0].count == 16
    assert 50 < sum(w.label != NO_GESTURE for w in ours) < 80
    np.testing.assert_array_equal(ours[5].read([0, 9]), again[5].read([0, 9]))
    np.testing.assert_array_equal(ours[5].frame_labels([0, 9]), again[5].frame_labels([0, 9]))


@pytest.mark.parametrize("fps", [15.0, 5.0, 3.75])
def test_frames_stand_apart_as_the_rate_says(fps):
    assert windows("train", 1, 0, 4, fps, SIZE)[0].count == 4 * 15 / fps


@pytest.mark.parametrize("n_segment, fps", [(8, 7.0), (8, 30.0), (8, 0.5), (200, 15.0)])
def test_impossible_windows_are_refused(n_segment, fps):
    with pytest.raises(InputError):
        windows("train", 1, 0, n_segment, fps, SIZE)


CONFIG = """
direction = "causal"
fps = 7.5
batch = 4
[shift]
n_segment = 4
[frame]
height = 32
width = 32
short_side = 32
[arch]
width = 0.25
[schedule]
epochs = 1
warmup = 0.0
[run]
workers = 0
[data]
kind = "synthetic"
synthetic = {train = 12, test = 4, size = 32, windows = 4}
"""


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_text(CONFIG)
    return path


def test_training_takes_windows_beside_clips(written, tmp_path):
    done = train(written, {"run": {"output": str(tmp_path / "out")}})
    assert done.best["epoch"] == 1 and not done.broken
    [line] = [line for line in read(done.output / "log.jsonl") if line["kind"] == "train"]
    assert np.isfinite(line["loss"])


@pytest.mark.parametrize(
    "text, where",
    [
        (CONFIG.replace("causal", "bidirectional"), "data.synthetic.windows"),
        (CONFIG.replace("fps = 7.5", ""), "fps"),
        (CONFIG.replace("fps = 7.5", "fps = 7"), "fps"),
        (CONFIG.replace("windows = 4", "windows = -1"), "data.synthetic.windows"),
    ],
)
def test_windows_that_no_training_can_take(written, tmp_path, text, where):
    written.write_text(text)
    with pytest.raises(InputError) as error:
        train(written, {"run": {"output": str(tmp_path / "out")}})
    assert where in error.value.where


def test_a_flip_turns_the_labels_of_frames(written):
    config = configs.load(written, {"shift": {"n_segment": 12}})
    flips = [LABELS.index(FLIPS[label]) for label in LABELS]
    ours = windows("train", 40, 0, config.shift.n_segment, 7.5, SIZE)
    plain, flipped = (TrainSet(ours, config, table) for table in (None, flips))
    seen = 0
    for index in range(40):
        (*_, label, rows), (*_, other, turned) = plain[0, index], flipped[0, index]
        if other == label and np.array_equal(rows, turned):
            continue  # not flipped, or of labels that a flip keeps
        seen += 1
        assert other == flips[label]
        np.testing.assert_array_equal(turned, [ANY if row == ANY else flips[row] for row in rows])
    assert seen


def test_the_loss_asks_each_labelled_frame_and_counts_each_clip_once():
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 2, 3])
    rows = torch.tensor([[ANY] * 4, [ANY, 2, ANY, 4], [0, 0, 0, 3]])
    one = clip_loss(logits[:1], labels[:1], PLAIN)
    by_frame = [
        torch.nn.functional.cross_entropy(logits[clip][asked], rows[clip][asked])
        for clip, asked in ((1, [1, 3]), (2, [0, 1, 2, 3]))
    ]
    expected = (one + sum(by_frame)) / 3
    assert clip_loss(logits, labels, PLAIN, None, rows).item() == pytest.approx(expected.item(), rel=1e-6)
    scores = clip_scores(logits, rows)
    assert torch.equal(scores, torch.stack([logits[0].mean(0), logits[1, 3], logits[2, 3]]))


def test_a_batch_without_windows_has_no_frame_labels():
    frames = np.zeros((1, 2, 8, 8, 3), np.uint8)
    assert collate([(0, frames, 1, None)]).frame_labels is None
    mixed = collate([(0, frames, 1, None), (1, frames, 2, np.array([ANY, 2]))])
    assert mixed.frame_labels.tolist() == [[ANY, ANY], [ANY, 2]]
