"""What the training loop asks of a task: its batches, its loss, its figures and its curves."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import torch

from tsm_edge_export.models import Network

from .broken import Broken

Forward = Callable[[torch.Tensor], tuple[torch.Tensor, ...]]  # frames (N, T, 3, H, W) -> the outputs of each frame
Note = Callable[[Iterable[tuple[str, str]]], None]  # notes broken clips: their names and reasons
Figures = dict[str, float]


class StepResult(NamedTuple):
    """What one batch gave."""

    loss: torch.Tensor  # one number, the mean over the batch
    sums: Figures  # what to add to the epoch's sums; "clips" counts the clips


class Task(Protocol):
    """A task to train.

    Attributes:
        labels: the name of each class.
        broken: the clips that were left out before the training.
        counts: the clips of each list, for the log.
        no_sums: the sums of an epoch without a step.
        train_set: random clips by (epoch, index); it has a length.
        collate: makes a batch of items of `train_set`. A batch has `broken` and `frames`, None where all are broken.
        measure: the key of the figure that chooses the best weights; higher is better.
        curves: (key, title) of each panel of the curves.
        half: whether the best weights are stored as float16.
    """

    labels: tuple[str, ...]
    broken: Broken
    counts: dict[str, int]
    no_sums: Figures
    train_set: Any
    collate: Callable[[Sequence[Any]], Any]
    measure: str
    curves: tuple[tuple[str, str], ...]
    half: bool

    def prepare(self, note: Note) -> None:
        """Read into memory what the configuration keeps there. Called once before the first epoch of a run."""
        ...

    def step(self, forward: Forward, batch: Any, number: int) -> StepResult:
        """Return the loss of a batch. number: the steps before it, in all epochs. Random choices depend on it alone."""
        ...

    def figures(self, sums: Figures) -> Figures:
        """Return an epoch's figures on the training clips, "loss" among them, from its sums."""
        ...

    def evaluate(self, network: Network, note: Note) -> Figures:
        """Return the figures on the test clips, "loss" and `measure` among them. Leaves the network in eval mode."""
        ...

    def details(self) -> dict[str, Any]:
        """Return further values of the last evaluation for its line of the log."""
        ...

    def line(self, epoch: int, epochs: int, trained: Figures, tested: Figures, left: float) -> str:
        """Return the line of text about one epoch. left: estimated seconds to the end."""
        ...

    def identity(self) -> Any:
        """Return plain values that tell these clips from others, for a resume."""
        ...
