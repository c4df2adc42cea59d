"""The record of a training: log.jsonl, one JSON object a line, and curves.png drawn from it.

Lines carry "kind": "start", "resume", "broken" (clip, reason), "train" and "test" (one an epoch), "end".
"""

import datetime
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure  # without pyplot, which would look for a screen

from tsm_edge.errors import InputError
from tsm_edge.files import read_limited

from .state import replace

MAX_BYTES = 100_000_000


class Journal:
    """Appends to a log file. position: its bytes so far; a resume cuts off the lines after a saved position."""

    def __init__(self, path: Path, position: int = 0) -> None:
        self.path = path
        if os.path.exists(path) and not os.path.isfile(path):  # a named pipe would block
            raise InputError(path, "no regular file", "a log file, or none", "remove it, or give another output")
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
    text = read_limited(path, MAX_BYTES, "the log of a training").decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def epoch_line(epoch: int, epochs: int, trained: dict[str, float], tested: dict[str, float], left: float) -> str:
    """Return the line of text about one epoch. trained, tested: loss and top1. left: estimated seconds to the end."""
    text = f"epoch {epoch:>{len(str(epochs))}}/{epochs}  loss {trained['loss']:.3f}  train {trained['top1']:6.1%}"
    text += f"  test {tested['top1']:6.1%}"
    return text + time_left(left, epoch, epochs)


def time_left(left: float, epoch: int, epochs: int) -> str:
    """Return the end of a line about an epoch: the estimated time to the end of the training, "" for the last epoch."""
    return f"  {duration(left)} left, until {clock(left)}" if epoch < epochs else ""


def weakest(labels: Sequence[str], right: Sequence[int], of: Sequence[int], most: int = 3) -> str:
    """Return the labels of the lowest accuracy as the end of a line, "" where all test clips are right.

    right, of: of each label, its test clips that were right, and all of them.
    """
    shares = sorted(
        (hit / count, label, hit, count) for label, hit, count in zip(labels, right, of, strict=True) if count
    )
    shown = [f"{label} {hit} of {count}" for share, label, hit, count in shares if share < 1]
    return "  weakest: " + ", ".join(shown[:most]) if shown else ""


def duration(seconds: float) -> str:
    """Return a rough duration: "40 s", "12 min" or "3.5 h"."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


def clock(left: float) -> str:
    """Return the local time in `left` seconds: "14:05", with the date where that is another day.

    "later" stands for a time beyond the year 9999.
    """
    now = datetime.datetime.now()
    try:
        end = now + datetime.timedelta(seconds=left)
    except OverflowError:
        return "later"
    return end.strftime("%H:%M" if end.date() == now.date() else "%Y-%m-%d %H:%M")


def draw(lines: Iterable[dict[str, Any]], path: Path, curves: Sequence[tuple[str, str]]) -> None:
    """Draw figures over the epochs as a PNG file, from the lines of a log. curves: (key, title) of two panels or more.

    A panel shows the lines that have its key: a figure of the test clips alone has one curve.
    """
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, len(curves)), curves, strict=True):
        for kind in ("train", "test"):
            rows = [line for line in lines if line["kind"] == kind and key in line]
            if not rows:
                continue
            axes.plot([row["epoch"] for row in rows], [row[key] for row in rows], label=kind, marker=".")
        axes.set(xlabel="epoch", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    replace(path, picture.getvalue())
