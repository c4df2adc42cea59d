"""What a training is worth: accuracy with its interval, the confusion matrix, and the clips it is most wrong about."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import cv2
import numpy as np

from tsm_edge.errors import SourceError
from tsm_edge.heads.classification import softmax
from tsm_edge_export.evaluation import data as sets
from tsm_edge_export.evaluation import draw
from tsm_edge_export.evaluation.clips import evaluate_clips
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.evaluation.report import ClipReport, Row, to_json
from tsm_edge_export.evaluation.table import table
from tsm_edge_export.training import config as configs
from tsm_edge_export.training.clips import Clip
from tsm_edge_export.training.crops import eval_crops
from tsm_edge_export.training.sampling import eval_indices
from tsm_edge_export.training.state import replace
from tsm_edge_export.training.train import Trained

REPORT, CONFUSION = "validation.json", "confusion.png"
MOST_CLIPS = 2000  # of a validation list that is evaluated once more at the end
WORST = 5
MOST_COLUMNS = 14  # labels of a matrix that is printed
CONFIDENCE = 0.95


class Worst(NamedTuple):
    """A clip with the lowest probability of its true label. probability, other: of the true and of the best label."""

    row: Row
    probability: float
    other: float
    picture: Path | None


class Summary(NamedTuple):
    """The validation of a training, and where its files are."""

    report: ClipReport
    worst: list[Worst]
    output: Path


def summarise(trained: Trained) -> Summary | None:
    """Evaluate the chosen weights on the validation clips, and write the report and its pictures beside the weights.

    Returns None for rendered clips, and for more than MOST_CLIPS clips: `tsm-edge eval` measures these.
    """
    spec, found = trained.config, trained.data
    if spec.data.kind == "synthetic" or len(found.test) > MOST_CLIPS:
        return None
    with open_engine(trained.weights, str(trained.recipe)) as engine:
        clips = sets.EvalData(found.test, found.labels, Path(spec.data.test or "").name, found.broken)
        report = evaluate_clips(engine, clips._replace(sampling=spec.sampling), workers=spec.run.workers)
    replace(trained.output / REPORT, to_json(report).encode())
    replace(trained.output / CONFUSION, draw.confusion_png(report))
    worst = []
    for place, row in enumerate(worst_rows(report)[:WORST], 1):
        picture = trained.output / f"worst_{place}.jpg"
        drawn = strip(found.test[row.index], spec)
        if drawn is not None:
            replace(picture, drawn)
        chances = _chances(row)
        worst.append(Worst(row, chances[row.label], max(chances), None if drawn is None else picture))
    return Summary(report, worst, trained.output)


def worst_rows(report: ClipReport) -> list[Row]:
    """Return the clips, those with the least probability of their true label first."""
    return sorted(report.rows, key=lambda row: _chances(row)[row.label])


def interval(right: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the Wilson interval of a share: right of count, as (low, high) from 0 to 1.

    It takes clips for independent, which clips of one recording are not quite.
    Source: E. B. Wilson, Probable inference, JASA 22 (1927).
    """
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share, square = right / count, z * z / count
    centre = (share + square / 2) / (1 + square)
    spread = z * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(0.0, centre - spread), min(1.0, centre + spread)


def strip(clip: Clip, spec: configs.Config) -> bytes | None:
    """Return the frames of a clip that the network saw, side by side, as a JPEG. None where they cannot be read."""
    chosen = eval_indices(spec.sampling.kind, clip.count, spec.shift.n_segment, 1, spec.sampling.span)[0]
    try:
        frames = eval_crops(clip.read(chosen), spec.frame)[0]
    except SourceError:
        return None
    row = cv2.cvtColor(np.concatenate(list(frames), 1), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", row, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def text_of(summary: Summary) -> str:
    """Return the summary as text: a line of accuracy, the matrix or the commonest mistakes, and the worst clips."""
    report, figures = summary.report, summary.report.figures
    right, count = figures["top1"]["right"], figures["clips"]
    low, high = interval(right, count)
    lines = [f"accuracy {right / count:.1%} of {count} validation clips (95 % interval: {low:.0%} to {high:.0%})", ""]
    if len(report.labels) <= MOST_COLUMNS:
        lines += [matrix_text(report), ""]
    else:
        rows = [(r["label"], str(r["clips"]), str(r["right"])) for r in figures["per_class"] if r["right"] < r["clips"]]
        lines += [table(("label", "clips", "right"), rows), ""] if rows else []
    found = mistakes(report)
    lines += ["the commonest mistakes: " + "; ".join(found)] if found else []
    for worst in summary.worst:
        if worst.row.predicted != worst.row.label:
            guessed, picture = report.labels[worst.row.predicted], worst.picture.name if worst.picture else "no picture"
            lines.append(f"  {worst.row.name}: taken for {guessed}, {worst.other:.0%} ({picture})")
    return "\n".join(lines)


def matrix_text(report: ClipReport) -> str:
    """Return the confusion matrix as text: a row for each true label, a column for each predicted one."""
    matrix = report.confusion.tolist()
    numbers = [str(number) for number in range(1, len(report.labels) + 1)]
    rows = [
        [f"{number} {label}", *(str(count) if count else "." for count in counts)]
        for number, label, counts in zip(numbers, report.labels, matrix, strict=True)
    ]
    return table(("true label", *numbers), rows).rstrip("\n")


def mistakes(report: ClipReport, most: int = 3) -> list[str]:
    """Return the commonest mistakes as text, such as "wave taken for push (3 of 10 clips)"."""
    matrix = report.confusion
    counts, totals = matrix - np.diag(matrix.diagonal()), matrix.sum(1)
    places = sorted(zip(*np.nonzero(counts), strict=True), key=lambda place: -counts[place])[:most]
    return [
        f"{report.labels[true]} taken for {report.labels[guessed]} ({counts[true, guessed]} of {totals[true]} clips)"
        for true, guessed in places
    ]


def _chances(row: Row) -> Sequence[float]:
    """Return the probabilities of a clip's labels."""
    return softmax(np.array(row.logits)).tolist()
