"""The web page of a training: accuracy, confusion matrix, curves and the worst clips, in one file."""

import base64
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from tsm_edge_export.report import templates
from tsm_edge_export.training.loop import CURVES
from tsm_edge_export.training.state import replace

from .summary import CONFUSION, Summary, interval, mistakes

PAGE = "report.html"


def write(summary: Summary, lines: Sequence[str], following: str) -> Path:
    """Write the page into the output folder. lines: what the training printed. following: the next command."""
    figures = summary.report.figures
    right, count = figures["top1"]["right"], figures["clips"]
    environment = templates.environment(Path(__file__).parent)
    environment.filters["percent"] = lambda share: "-" if share is None else f"{share:.0%}"
    text = environment.get_template("page.html").render(
        name=summary.report.model["recipe"],
        share=right / count,
        count=count,
        interval=interval(right, count),
        labels=figures["per_class"],
        mistakes=mistakes(summary.report),
        worst=[
            (worst, summary.report.labels, _embedded(worst.picture, "jpeg"))
            for worst in summary.worst
            if worst.picture is not None
        ],
        confusion=_embedded(summary.output / CONFUSION, "png"),
        curves=_embedded(summary.output / CURVES, "png"),
        lines=lines,
        following=following,
    )
    path = summary.output / PAGE
    replace(path, text.encode("utf-8", "replace"))
    return path


def _embedded(path: Path, kind: str) -> Markup:
    """Return a picture as a data URI, which a page can hold. It has no character that HTML would need escaped."""
    return Markup(f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode("ascii"))
