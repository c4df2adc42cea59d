"""Training on windows of streams: it asks for the label of each frame."""

import numpy as np
import pytest
import torch

from tests.export.training.test_parts import PLAIN
from tsm_edge.errors import InputError
from tsm_edge_export.synthetic import FLIPS, LABELS, windows
from tsm_edge_export.synthetic.labels import UNLABELLED
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.dataset import TrainSet, collate
from tsm_edge_export.training.journal import read
from tsm_edge_export.training.loss import clip_loss, clip_scores
from tsm_edge_export.training.train import train

SIZE = (32, 32)

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
[optimiser]
name = "sgd"
[loss]
label_smoothing = 0.0
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
def config_path(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_text(CONFIG)
    return path


def test_training_takes_windows_beside_clips(config_path, tmp_path):
    done = train(config_path, {"run": {"output": str(tmp_path / "out")}})
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
def test_windows_that_no_training_can_take(config_path, tmp_path, text, where):
    config_path.write_text(text)
    with pytest.raises(InputError) as error:
        train(config_path, {"run": {"output": str(tmp_path / "out")}})
    assert where in error.value.where


def test_a_flip_turns_the_labels_of_frames(config_path):
    config = configs.load(config_path, {"shift": {"n_segment": 12}})
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
        np.testing.assert_array_equal(turned, [UNLABELLED if row == UNLABELLED else flips[row] for row in rows])
    assert seen


def test_the_loss_asks_each_labelled_frame_and_counts_each_clip_once():
    logits = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([1, 2, 3])
    rows = torch.tensor([[UNLABELLED] * 4, [UNLABELLED, 2, UNLABELLED, 4], [0, 0, 0, 3]])
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
    mixed = collate([(0, frames, 1, None), (1, frames, 2, np.array([UNLABELLED, 2]))])
    assert mixed.frame_labels.tolist() == [[UNLABELLED, UNLABELLED], [UNLABELLED, 2]]
