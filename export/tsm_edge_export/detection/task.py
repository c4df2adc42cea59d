"""Detection as a task of the training loop: clips with boxes, scored by the average precision of their boxes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from tsm_edge.errors import InputError, SourceError
from tsm_edge.geometry import placement
from tsm_edge.machine.system_files import memory_mb
from tsm_edge_export.models import Network
from tsm_edge_export.training import journal, memory
from tsm_edge_export.training.predict import to_input
from tsm_edge_export.training.task import Figures, Forward, Note, StepResult

from .clip_sets import Sets, hold
from .config import Config, Loss
from .dataset import Batch, TestClip, TrainSet, collate, stacked, test_clip, test_targets
from .loss import GridTargets, Parts, detection_loss, teacher_loss
from .predict import boxes_in_source, clip_grids
from .scoring import ClipResult, Scores
from .teacher import Teacher
from .truth import BoxClip, Truth

PARTS = ("heat", "size", "offset", "teacher")
MOST_TEST_BYTES = 1 << 30  # of test frames that are kept in memory between epochs


class Detection:
    """See training.task.Task. teacher: the frozen network, None for none. device: of the network and the teacher."""

    no_sums: Figures = {"loss": 0.0, **dict.fromkeys(PARTS, 0.0), "clips": 0}
    measure = "ap50"
    curves: tuple[tuple[str, str], ...] = ("loss", "loss"), ("ap50", "AP50")

    def __init__(self, config: Config, sets: Sets, teacher: Teacher | None, device: Any) -> None:
        self.config, self.sets, self.teacher, self.device = config, sets, teacher, torch.device(device)
        self.labels, self.broken, self.half = sets.labels, sets.broken, config.half
        self.collate: Callable[[Sequence[Any]], Any] = collate
        self.labelled = config.data.kind != "video"
        self.train_set = TrainSet(sets.train, config, len(sets.labels), self.labelled, teacher is not None)
        self.counts = {"train": len(sets.train), "test": len(sets.test)}
        self._kept: dict[int, TestClip] = {}
        self._groups: dict[str, Any] = {}

    def prepare(self, note: Note) -> None:
        """Read training clips into memory where data.hold says so."""
        free = memory_mb(key="MemAvailable")
        most = memory.DEFAULT_BYTES if free is None else (free << 20) // memory.SHARE_OF_MEMORY
        hold(self.sets.train, most, lambda name, reason: note([(name, str(reason))]))

    def first_clips(self, count: int) -> torch.Tensor:
        """Return the input of the first training clips that can be read: (N, T, 3, H, W) float32, N <= count.

        Raises InputError where none can be read.
        """
        batch = collate([self.train_set[0, number] for number in range(min(count, len(self.train_set)))])
        if batch.frames is None:
            raise InputError(batch.broken[0][0], batch.broken[0][1], "clips that can be read", "mend the list")
        return to_input(batch.frames.to(self.device), self.config.frame, self.config.speed)

    def step(self, forward: Forward, batch: Batch, number: int) -> StepResult:
        """Return the loss of a batch of clips."""
        del number  # nothing is drawn here
        config = self.config
        assert batch.frames is not None
        (grid,) = forward(to_input(batch.frames.to(self.device), config.frame, config.speed))
        taught = None
        if self.teacher is not None and batch.clean is not None:
            taught = self.teacher.grid(to_input(batch.clean.to(self.device), config.frame, config.speed))
        targets = batch.targets
        if targets is None:
            assert self.teacher is not None and taught is not None
            rows = [self.teacher.targets(clip, config.frame) for clip in taught.cpu().numpy()]
            targets = stacked(rows)
        loss, parts = self._loss(grid, targets, taught)
        clips = len(batch.frames)
        sums = {name: float(value) * clips for name, value in {"loss": loss.detach(), **parts}.items()}
        return StepResult(loss, {**sums, "clips": clips})

    def _loss(
        self, grid: torch.Tensor, targets: GridTargets, taught: torch.Tensor | None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the weighted loss, and its parts without weights."""
        weights = self.config.loss
        own = detection_loss(grid, GridTargets(*(tensor.to(grid.device) for tensor in targets)))
        loss = weighted(own, weights)
        parts = dict(zip(PARTS, (part.detach() for part in own), strict=False))
        if taught is not None:
            apart = weighted(teacher_loss(grid, taught, self.config.teacher.threshold), weights)
            loss = loss + self.config.teacher.weight * apart
            parts["teacher"] = apart.detach()
        return loss, parts

    def figures(self, sums: Figures) -> Figures:
        """Return the loss and its parts, without their weights, on the training clips."""
        return {name: sums[name] / sums["clips"] for name in ("loss", *PARTS) if name != "teacher" or self.teacher}

    def evaluate(self, network: Network, note: Note) -> Figures:
        """Return the loss, AP50 and AP50:95 on the test clips, each from a stream's start."""
        network.eval()
        results, losses = [], []
        for number, clip in enumerate(self.sets.test):
            try:
                item = self._test_item(number)
            except SourceError as error:
                note([(clip.name, str(error))])
                continue
            result, loss = self.evaluate_clip(network, clip, item)
            results.append(result)
            losses.append(loss)
        if not results:
            raise InputError("evaluation", "no clip that can be read", "test clips", "mend the list")
        scores = Scores(self.labels, results, threshold=self.config.decision.get("threshold", 0.3))
        precision = scores.average_precision()
        if np.isnan(precision[0]):
            raise InputError("evaluation", "no true box in the test clips", "boxes", "give other test clips")
        of_groups = {f"{group.kind} {group.name}": scores.average_precision(group)[0] for group in scores.groups}
        self._groups = {name: float(value) for name, value in of_groups.items() if not np.isnan(value)}
        mean = float(np.mean(losses))
        return {"loss": mean, "ap50": float(precision[0]), "ap50_95": float(precision.mean())}

    def _test_item(self, number: int) -> TestClip:
        if number not in self._kept:
            item = test_clip(self.sets.test[number], number, self.config)
            size = item.frames.nbytes + item.clean.nbytes
            if sum(kept.frames.nbytes + kept.clean.nbytes for kept in self._kept.values()) + size > MOST_TEST_BYTES:
                return item
            self._kept[number] = item
        return self._kept[number]

    @torch.no_grad()
    def evaluate_clip(self, network: Network, clip: BoxClip, item: TestClip) -> tuple[ClipResult, float]:
        """Return the boxes that were found in a test clip, and its loss without a teacher's part."""
        config, classes = self.config, len(self.labels)
        how = config.frame, config.speed, self.device
        grid, truths = clip_grids(network, item.frames, config.direction, *how), item.truths
        if not self.labelled:
            assert self.teacher is not None
            taught = clip_grids(self.teacher.network, item.clean, "none", *how).numpy()
            truths = self._in_source(self.teacher.truths(taught, config.frame), clip.size)
        targets = stacked([test_targets(clip, truths, config.frame, classes)])
        loss = weighted(detection_loss(grid[None], targets), config.loss)
        found = boxes_in_source(grid.numpy(), classes, config.frame, clip.size)
        return ClipResult(clip.name, clip.size, truths, found), float(loss)

    def _in_source(self, truths: Sequence[Truth], size: tuple[int, int]) -> list[Truth]:
        at = placement(self.config.frame, *size)
        return [truth._replace(boxes=at.to_source(truth.boxes)) for truth in truths]

    def details(self) -> dict[str, Any]:
        """Return the AP50 of each group of true boxes."""
        return {"groups": self._groups}

    def line(self, epoch: int, epochs: int, trained: Figures, tested: Figures, left: float) -> str:
        """Return losses and AP50 as text."""
        text = f"epoch {epoch:>{len(str(epochs))}}/{epochs}  loss {trained['loss']:.3f}  test {tested['loss']:.3f}"
        text += f"  AP50 {tested['ap50']:6.1%}"
        return text + journal.time_left(left, epoch, epochs)

    def identity(self) -> Any:
        """Return the labels, and name, frames and size of each clip of both lists."""
        rows = [[(clip.name, clip.count, list(clip.size)) for clip in clips] for clips in self.sets[:2]]
        return [list(self.labels), self.teacher and self.teacher.sha256, rows]


def weighted(parts: Parts, weights: Loss) -> torch.Tensor:
    """Return the sum of the parts of a loss, each times its weight."""
    return weights.heat * parts.heat + weights.size * parts.size + weights.offset * parts.offset
