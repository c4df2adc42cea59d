"""Classification as a task of the training loop: one label a clip, scored by its accuracy."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tsm_edge.errors import InputError
from tsm_edge_export.models import Network

from . import journal, memory
from .config import Config
from .dataset import Batch, EvalSet, TrainSet, collate, eval_batches, loader
from .lists import Data
from .loss import class_weights, clip_loss, clip_scores, hits
from .optimiser import HeadDropout
from .predict import predict, to_input
from .task import Figures, Forward, Note, StepResult


class Classification:
    """See task.Task. network: the one that is trained, whose classifier gets the dropout. flips: crops.flip_table."""

    no_sums: Figures = {"loss": 0.0, "right": 0, "clips": 0}
    measure, half = "top1", False
    curves: tuple[tuple[str, str], ...] = ("loss", "loss"), ("top1", "top-1 accuracy")

    def __init__(self, config: Config, network: Network, data: Data, flips: list[int] | None, device: Any) -> None:
        self.config, self.data, self.device = config, data, torch.device(device)
        self.labels, self.broken = data.labels, data.broken
        self.collate: Callable[[Sequence[Any]], Any] = collate
        self.counts = {"train": len(data.train), "test": len(data.test)}
        self.dropout = HeadDropout(network, config.regular.dropout, config.seed, self.device)
        weights = class_weights(config.loss, data.train, network.arch.num_classes)
        self.class_weights = None if weights is None else weights.to(self.device)
        self.train_set = TrainSet(data.train, config, flips)
        test_items = EvalSet(data.test, config.frame, config.shift.n_segment, config.sampling)
        self.eval_set: Any = memory.Kept(test_items) if config.data.hold else test_items
        self.tested: tuple[list[int], list[int]] = [], []  # right ones and test clips of each label, at the last test

    def prepare(self, note: Note) -> None:
        """Read clips into memory where data.hold says so."""
        if self.config.data.hold:
            memory.load(self.data.train, self.eval_set, lambda name, reason: note([(name, str(reason))]))

    def step(self, forward: Forward, batch: Batch, number: int) -> StepResult:
        """Return the loss of a batch of clips."""
        config = self.config
        self.dropout.begin(number)
        tensors = batch.frames, batch.labels, batch.frame_labels
        frames, labels, frame_labels = (t if t is None else t.to(self.device, non_blocking=True) for t in tensors)
        assert frames is not None and labels is not None
        (logits,) = forward(to_input(frames[:, 0], config.frame, config.speed))
        loss = clip_loss(logits, labels, config.loss, self.class_weights, frame_labels)
        right = hits(clip_scores(logits.detach(), frame_labels), labels, 1)
        return StepResult(loss, {"loss": loss.item() * len(labels), "right": right, "clips": len(labels)})

    def figures(self, sums: Figures) -> Figures:
        """Return loss and accuracy on the training clips."""
        return {"loss": sums["loss"] / sums["clips"], "top1": sums["right"] / sums["clips"]}

    def evaluate(self, network: Network, note: Note) -> Figures:
        """Return loss and accuracy on the test list, one centre crop of one clip each."""
        config, loss, top1, top5, clips = self.config, 0.0, 0, 0, 0
        right, of = ([0] * len(self.labels) for _ in range(2))
        batches = loader(self.eval_set, eval_batches(len(self.eval_set), config.batch), config.run.workers)
        for batch, logits in predict(network, batches, config.direction, config.frame, config.speed, self.device):
            note(batch.broken)
            if logits is not None and batch.labels is not None:
                scores = logits.mean((1, 2))
                loss += float(cross_entropy(scores, batch.labels, reduction="sum"))
                top1, top5 = top1 + hits(scores, batch.labels, 1), top5 + hits(scores, batch.labels, 5)
                clips += len(batch.labels)
                for label, guess in zip(batch.labels.tolist(), scores.argmax(1).tolist(), strict=True):
                    right[label] += label == guess
                    of[label] += 1
        self.tested = right, of
        if not clips:
            raise InputError("evaluation", "no clip that can be read", "a test list of whole clips", "mend the list")
        return {"loss": loss / clips, "top1": top1 / clips, "top5": top5 / clips}

    def details(self) -> dict[str, Any]:
        """Return the right clips and all clips of each label."""
        return {"right": self.tested[0], "of": self.tested[1]}

    def line(self, epoch: int, epochs: int, trained: Figures, tested: Figures, left: float) -> str:
        """Return losses, accuracies and the weakest labels as text."""
        text = journal.epoch_line(epoch, epochs, trained, tested, left)
        return text + journal.weakest(self.labels, *self.tested)

    def identity(self) -> Sequence[Any]:
        """Return name, label and frames of each clip of both lists."""
        return [[(clip.name, clip.label, clip.count) for clip in clips] for clips in (self.data.train, self.data.test)]
