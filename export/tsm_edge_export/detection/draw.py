"""Pictures of a detector's evaluation: precision against recall, and the worst frames. Needs matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tsm_edge_export.evaluation.draw import as_png, new_figure, plain_text

from .average_precision import RECALLS
from .scoring import Frame, Scores
from .truth import BoxClip

WORST, WORST_OF_A_CLIP = 12, 2  # frames that are drawn
COLUMNS = 4
MAX_FOUND = 20  # found boxes that are drawn in a frame, the best ones
MAX_CURVES = 10  # classes that have a curve of their own
TRUE, FOUND, IGNORED = "#35c759", "#ff9500", "#8e8e93"


def precision_recall_png(scores: Scores, title: str) -> bytes:
    """Draw precision against recall at a least overlap of 0.5, a line a class, and the mean in black."""
    figure, axes = new_figure(6, 4.5)
    curves = np.stack([ranked.precisions(levels=1)[0] for ranked in scores.classes()])
    known = np.flatnonzero(~np.isnan(curves[:, 0]))
    for number in known[:MAX_CURVES] if len(known) > 1 else []:
        axes.plot(RECALLS, curves[number], label=f"{plain_text(scores.labels[number])} {curves[number].mean():.1%}")
    mean = curves[known].mean(0)
    axes.plot(RECALLS, mean, color="black", linewidth=2, label=f"all {mean.mean():.1%}")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(plain_text(title), fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(title="AP50", fontsize=8)
    return as_png(figure)


def worst_frames(scores: Scores) -> list[Frame]:
    """Return the frames with the most errors, of each clip the two worst at most, the worst first."""
    chosen: list[Frame] = []
    for error in sorted(scores.errors(), key=lambda e: (-(e.missed + e.false), e.clip, e.frame)):
        of_clip = sum(other.clip == error.clip for other in chosen)
        if error.missed + error.false and of_clip < WORST_OF_A_CLIP and len(chosen) < WORST:
            chosen.append(error)
    return chosen


def worst_png(scores: Scores, clips: Sequence[BoxClip], title: str) -> bytes | None:
    """Draw the worst frames with their true boxes (dashed green) and the boxes found (orange); None without errors.

    Args:
        scores: of the detector.
        clips: those of `scores`, which are read again.
        title: of the picture.
    """
    chosen = worst_frames(scores)
    if not chosen:
        return None
    rows = -(-len(chosen) // COLUMNS)
    columns = min(COLUMNS, len(chosen))
    figure, grid = new_figure(3.2 * columns, 3.3 * rows + 0.5, rows, columns)
    panels = np.atleast_1d(grid).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, error in zip(panels, chosen, strict=False):
        clip = scores.clips[error.clip]
        axes.imshow(clips[error.clip].read([error.frame])[0])
        truth, found = clip.truths[error.frame], clip.found[error.frame]
        shown = np.flatnonzero(np.asarray(found.scores) >= scores.threshold)
        for number in shown[np.argsort(-np.asarray(found.scores)[shown], kind="mergesort")][:MAX_FOUND]:
            label = plain_text(scores.labels[found.classes[number]])
            _box(axes, found.boxes[number], FOUND, f"{label} {found.scores[number]:.0%}")
        for box, class_id, ignored in zip(truth.boxes, truth.classes, truth.ignored, strict=True):
            _box(axes, box, IGNORED if ignored else TRUE, plain_text(scores.labels[class_id]), below=True)
        name = plain_text(clip.name)
        name = name if len(name) <= 34 else "…" + name[-33:]
        axes.set_title(f"{name}, frame {error.frame}\n{error.missed} missed, {error.false} false", fontsize=7)
    figure.suptitle(f"{plain_text(title)}\ntrue boxes dashed green, found boxes orange", fontsize=9)
    return as_png(figure)


def _box(axes: Any, box: np.ndarray, colour: str, text: str, below: bool = False) -> None:
    left, top, right, bottom = (float(value) for value in box)
    style = "--" if below else "-"
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, linestyle=style))
    where, side = (bottom, "top") if below else (top, "bottom")
    behind = {"facecolor": colour, "pad": 0.5, "linewidth": 0}
    axes.text(left, where, text, fontsize=5, color="black", va=side, clip_on=True, bbox=behind)
