"""What a training ends with: its accuracy and mistakes as text, its page, and the next command."""

import shlex
from collections.abc import Callable, Sequence

from tsm_edge_export.training.train import Trained

from . import page
from .summary import summarise, text_of


def show(trained: Trained, lines: Sequence[str], say: Callable[[str], object]) -> None:
    """Tell the accuracy and the next command, and write the page where the clips are few enough to look at.

    lines: what the training told; the page repeats it. say: called with lines of text for the user.
    """
    best = trained.best
    top5 = f", top-5 {best['top5']:.1%}" if len(trained.labels) > 5 else ""  # of fewer labels all are among five
    text = f"{trained.config.schedule.choose}: epoch {best['epoch']}, top-1 {best['top1']:.1%}{top5}; "
    say(text + f"{len(trained.broken)} broken clips left out")
    following = "tsm-edge export " + shlex.quote(str(trained.output))
    summary = summarise(trained)
    if summary is not None:
        say("\n" + text_of(summary))
        say(f"report: {page.write(summary, lines, following)}")
    say(f"next: {following}")
