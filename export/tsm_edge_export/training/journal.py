"""The record of a training: log.jsonl, one JSON object a line, and curves.png drawn from it.

Lines carry "kind": "start", "resume", "broken" (clip, reason), "train" and "test" (one an epoch), "end".
"""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tsm_edge.errors import InputError

from .state import replace


class Journal:
    """Appends to a log file. position: its bytes so far; a resume cuts off the lines after a saved position."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path = path
        try:
            with open(path, "ab") as file:
                self.position = min(position, file.tell())  # a log that was taken away begins anew
                file.truncate(self.position)
        except OSError as error:
            raise InputError(path, error.strerror, "a file that can be written", "give another output") from None

    def write(self, kind: str, **values: Any) -> None:
        """Add a line. Raises InputError where the disk is full."""
        line = json.dumps({"kind": kind, **values}).encode() + b"\n"
        try:
            with open(self.path, "ab") as file:
                file.write(line)
        except OSError as error:
            raise InputError(self.path, error.strerror, "room for a line", "make room, then --resume") from None
        self.position += len(line)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw(lines: Iterable[dict[str, Any]], path: Path) -> None:
    """Draw loss and accuracy over the epochs as a PNG file, from the lines of a log."""
    from matplotlib.figure import Figure  # without pyplot, which would look for a screen

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, key, title in zip(figure.subplots(1, 2), ("loss", "top1"), ("loss", "top-1 accuracy"), strict=True):
        for kind in ("train", "test"):
            rows = [line for line in lines if line["kind"] == kind]
            axes.plot([row["epoch"] for row in rows], [row[key] for row in rows], label=kind, marker=".")
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    replace(path, picture.getvalue())
