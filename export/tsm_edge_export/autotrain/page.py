"""The web page of a training: accuracy, confusion matrix, curves and the worst clips, in one file."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from tsm_edge.text import shown
from tsm_edge_export.training.loop import CURVES
from tsm_edge_export.training.state import replace

from .summary import CONFUSION, Summary, interval, mistakes

PAGE = "report.html"


def write(summary: Summary, lines: Sequence[str], following: str) -> Path:
    """Write the page into the output folder. lines: what the training printed. following: the next command."""
    figures = summary.report.figures
    right, count = figures["top1"]["right"], figures["clips"]
    settings: Any = {"autoescape": True, "undefined": jinja2.StrictUndefined, "finalize": _safe}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), **settings)
    environment.filters["percent"] = lambda share: "-" if share is None else f"{share:.0%}"
    environment.trim_blocks = environment.lstrip_blocks = True
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


def _safe(value: Any) -> Any:
    """Return text without secrets and control characters; the template escapes what is markup."""
    return shown(value) if isinstance(value, str) and not value.startswith("data:image/") else value


def _embedded(path: Path, kind: str) -> str:
    """Return a picture as a data URI, which a page can hold."""
    return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode("ascii")
