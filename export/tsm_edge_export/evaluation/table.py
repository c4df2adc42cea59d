"""Reports as tables on a terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tsm_edge.sinks.console import encodable


def print_clips(report, stream):
    """Print the figures of a ClipReport. stream: a text file."""
    figures, console = report.figures, _Console(stream)
    of = "" if report.shard.of == 1 else ", shard {}/{}".format(*report.shard)
    console.say(f"{_model(report)} on {report.list['name']}{of}")
    console.rows(
        ("class", "clips", "right", "accuracy"),
        [(row["label"], row["clips"], row["right"], _percent(row["share"])) for row in figures["per_class"]],
    )
    top5 = figures["top5"]
    console.say(
        f"top-1 {_percent(figures['top1']['share'])}, top-{top5['of']} {_percent(top5['share'])}, "
        f"mean class {_percent(figures['mean_class'])} of {figures['clips']} clips; "
        f"{len(report.broken)} broken left out"
    )
    if figures["seen"]:
        points = ", ".join(f"{point['frames']}: {_percent(point['share'])}" for point in figures["seen"])
        console.say(f"top-1 by frames seen: {points}")


def print_stream(report, stream):
    """Print the figures of a StreamReport. stream: a text file."""
    figures, console = report.figures, _Console(stream)
    console.say(f"{_model(report)} on {report.stream}: {report.frames} frames, {report.seconds:.1f} s")
    console.rows(
        ("label", "events", "right", "wrong", "false"),
        [[row[key] for key in ("label", "events", "right", "wrong", "false")] for row in figures["per_label"]],
    )
    console.say(
        f"{figures['right']} of {figures['events']} events right ({_percent(figures['right_share'])}), "
        f"{figures['wrong']} under another label, {figures['missed']} missed"
    )
    console.say(
        f"{figures['false']} false events, {figures['false_per_minute']:.2f} a minute; "
        f"{figures['fragments']} fragments of events seen already"
    )
    for edge in ("start", "end"):
        delay = figures[f"delay_from_{edge}"]
        if delay:
            console.say(f"delay from an event's {edge}: median {delay['median']:.2f} s, p90 {delay['p90']:.2f} s")


class _Console:
    """A rich console for any stream and any label: no markup, no colours, nothing that its encoding lacks."""

    def __init__(self, stream):
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, safe_box=True)

    def say(self, text):
        self._console.print(self._text(text), soft_wrap=True)

    def rows(self, names, rows):
        table = Table(box=box.ASCII2 if "utf" not in self._console.encoding else box.SIMPLE)
        for place, name in enumerate(names):
            table.add_column(name, justify="right" if place else "left", overflow="fold")
        for row in rows:
            table.add_row(*(self._text(str(cell)) for cell in row))
        self._console.print(table)

    def _text(self, text):
        return Text(encodable(text, self._stream))


def _model(report):
    model = report.model
    text = f"{model['recipe']} ({model['engine']}, {model['mode']}, {model['direction']})"
    if model["trained_direction"] != model["direction"]:
        text += f", FORCED: trained as {model['trained_direction']}"
    return text if model["trained"] else text + ", untrained: its labels mean nothing"


def _percent(share):
    return "-" if share is None else f"{share:.1%}"
