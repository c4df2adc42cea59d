"""Pictures of a clip report. Needs matplotlib."""

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure  # without pyplot, which would look for a screen

from tsm_edge.text import one_line

from .report import ClipReport

MAX_CLASSES_WITH_COUNTS = 25  # of a matrix into which the counts are written


def confusion_png(report: ClipReport) -> bytes:
    """Draw the confusion matrix: rows are true classes, coloured by the share of the row."""
    matrix, classes = report.confusion, len(report.labels)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = 3 + min(0.35 * classes, 40)
    figure, axes = new_figure(side + 1, side)
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [plain_text(label) for label in report.labels]
    axes.set_xticks(range(classes), names, rotation=90, fontsize=8)
    axes.set_yticks(range(classes), names, fontsize=8)
    axes.set(xlabel="predicted", ylabel="true")
    _entitle(axes, report)
    if classes <= MAX_CLASSES_WITH_COUNTS:
        for true, guessed in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if shares[true, guessed] > 0.5 else "black"
            count = str(matrix[true, guessed])
            axes.text(guessed, true, count, ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(picture, label="share of the true class", shrink=0.7)
    return as_png(figure)


def seen_png(report: ClipReport) -> bytes:
    """Draw accuracy against frames seen, of an online model."""
    seen = report.figures["seen"]
    figure, axes = new_figure(5, 3.5)
    axes.plot([point["frames"] for point in seen], [point["share"] for point in seen], marker="o")
    axes.set(xlabel="frames seen", ylabel="top-1 accuracy", ylim=(0, 1.02))
    _entitle(axes, report)
    axes.set_xticks([point["frames"] for point in seen])
    axes.grid(alpha=0.3)
    return as_png(figure)


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """Return a figure of width x height inches and its axes, an array of them where there are several."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns)


def _entitle(axes: Any, report: ClipReport) -> None:
    lines = f"{report.model['recipe']} on {report.list['name']}", f"{report.top1:.1%} of {len(report.rows)} clips right"
    axes.set_title("\n".join(plain_text(line) for line in lines), fontsize=9)


def plain_text(text: str) -> str:
    """Return a text on one line as matplotlib shows it."""
    return one_line(text).replace("$", r"\$")  # matplotlib would read formulas


def as_png(figure: Any) -> bytes:
    """Return a figure as a PNG file."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
