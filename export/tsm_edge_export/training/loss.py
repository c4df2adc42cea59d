"""The loss of a clip, and how many of a batch are right."""

import torch
from torch.nn.functional import cross_entropy

from .clips import ANY


def class_weights(spec, clips, num_classes):
    """Weights of the classes, (num_classes,) float32, or None for equal ones. spec: a `Loss` section.

    balanced: clips / (classes * clips of the class), so that each class counts alike.
    """
    if spec.balanced:
        counts = torch.bincount(torch.tensor([clip.label for clip in clips]), minlength=num_classes).float()
        return counts.sum() / (num_classes * counts.clamp(min=1))
    return torch.tensor(spec.class_weights) if spec.class_weights else None


def clip_loss(logits, labels, spec, weights=None, frame_labels=None):
    """Cross-entropy of the published consensus, the mean of the frames' logits.

    logits: (N, T, C) float. labels: (N,) int64. spec.running shares the loss between that and the mean over t of the
    same on the running means of frames 0 to t, which is what an online network shows on its way. Returns a scalar.
    frame_labels: (N, T) int64 or None. A clip that has any but ANY there counts by the mean over these frames' own
    cross-entropies instead.
    """

    def loss(scores, targets):
        return cross_entropy(scores, targets, weights, label_smoothing=spec.label_smoothing)

    logits = logits.float()
    if frame_labels is not None:
        clips, by_frame = len(labels), (frame_labels != ANY).any(1)
        value = sum(
            loss(logits[clip][asked], frame_labels[clip][asked])
            for clip, asked in enumerate(frame_labels != ANY)
            if by_frame[clip]
        )
        whole = ~by_frame
        if whole.any():
            value = value + clip_loss(logits[whole], labels[whole], spec, weights) * int(whole.sum())
        return value / clips
    value = loss(logits.mean(1), labels)
    if spec.running:
        n_segment = logits.shape[1]
        seen = torch.arange(1, n_segment + 1, device=logits.device)[:, None]
        running = loss((logits.cumsum(1) / seen).flatten(0, 1), labels.repeat_interleave(n_segment))
        value = (1 - spec.running) * value + spec.running * running
    return value


def clip_scores(logits, frame_labels=None):
    """The scores that `labels` of a batch are held against: (N, T, C) logits -> (N, C).

    The consensus; of a clip with frame labels, the logits of the last frame that has one.
    """
    scores = logits.mean(1)
    if frame_labels is not None:
        for clip, asked in enumerate(frame_labels != ANY):
            if asked.any():
                scores[clip] = logits[clip, int(asked.nonzero()[-1])]
    return scores


def hits(scores, labels, most):
    """How many labels are among the `most` highest scores. scores: (N, C); labels: (N,). Returns an int."""
    best = scores.topk(min(most, scores.shape[1]), 1).indices
    return int((best == labels[:, None]).any(1).sum())
