"""The loss of a clip, and how many clips of a batch are right."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tsm_edge_export.synthetic.labels import UNLABELLED

from .clips import Clip
from .config import Loss


def class_weights(spec: Loss, clips: Sequence[Clip], num_classes: int) -> Tensor | None:
    """Return the weights of the classes, (num_classes,) float32, or None for equal ones.

    Balanced weights are clips / (classes * clips of the class), so that all classes count alike.
    """
    if spec.balanced:
        counts = torch.bincount(torch.tensor([clip.label for clip in clips]), minlength=num_classes).float()
        return counts.sum() / (num_classes * counts.clamp(min=1))
    return torch.tensor(spec.class_weights) if spec.class_weights else None


def clip_loss(
    logits: Tensor, labels: Tensor, spec: Loss, weights: Tensor | None = None, frame_labels: Tensor | None = None
) -> Tensor:
    """Return the cross-entropy of the published consensus, which is the mean of the frames' logits, as a scalar.

    `spec.running` is the share of the loss that is taken on the running means of the logits, which an online network
    shows on its way.
    logits: (N, T, C) float. labels: (N,) int64. weights: see class_weights. frame_labels: (N, T) int64. A clip that has
    some counts by the mean of these frames' cross-entropies instead.
    """

    def loss(scores: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(scores, targets, weights, label_smoothing=spec.label_smoothing)

    logits = logits.float()
    if frame_labels is not None:
        asked = frame_labels != UNLABELLED
        whole = ~asked.any(1)
        total = logits.new_zeros(())
        for clip in asked.any(1).nonzero()[:, 0]:
            total = total + loss(logits[clip][asked[clip]], frame_labels[clip][asked[clip]])
        if whole.any():
            total = total + clip_loss(logits[whole], labels[whole], spec, weights) * int(whole.sum())
        return total / len(labels)
    value = loss(logits.mean(1), labels)
    if spec.running:
        n_segment = logits.shape[1]
        seen = torch.arange(1, n_segment + 1, device=logits.device)[:, None]
        running = loss((logits.cumsum(1) / seen).flatten(0, 1), labels.repeat_interleave(n_segment))
        value = (1 - spec.running) * value + spec.running * running
    return value


def clip_scores(logits: Tensor, frame_labels: Tensor | None = None) -> Tensor:
    """Return the scores that the labels of a batch are compared with: (N, T, C) logits -> (N, C).

    They are the consensus, or the logits of the last labelled frame of a clip with labels of frames.
    """
    scores = logits.mean(1)
    if frame_labels is not None:
        for clip, asked in enumerate(frame_labels != UNLABELLED):
            if asked.any():
                scores[clip] = logits[clip, int(asked.nonzero()[-1])]
    return scores


def hits(scores: Tensor, labels: Tensor, most: int) -> int:
    """Return how many labels, (N,), are among the `most` highest scores, (N, C)."""
    best = scores.topk(min(most, scores.shape[1]), 1).indices
    return int((best == labels[:, None]).any(1).sum())
