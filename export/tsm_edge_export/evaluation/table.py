"""Reports as text for a terminal."""

from tsm_edge.profile.tables import table

from .report import ClipReport
from .stream import StreamReport


def clips_text(report: ClipReport) -> str:
    """Return the figures of a clip evaluation as text."""
    figures, top5 = report.figures, report.figures["top5"]
    of = "" if report.shard.of == 1 else ", shard {}/{}".format(*report.shard)
    rows = [[r["label"], str(r["clips"]), str(r["right"]), _percent(r["share"])] for r in figures["per_class"]]
    text = f"{_model(report)} on {report.list['name']}{of}\n\n{table(('class', 'clips', 'right', 'accuracy'), rows)}\n"
    text += f"top-1 {_percent(figures['top1']['share'])}, "
    text += f"top-5 {_percent(top5['share'])}, " if len(report.labels) > 5 else ""  # of fewer labels all are among five
    text += f"mean class {_percent(figures['mean_class'])} of {figures['clips']} clips; "
    text += f"{len(report.broken)} broken left out\n"
    if figures["seen"]:
        points = ", ".join(f"{point['frames']}: {_percent(point['share'])}" for point in figures["seen"])
        text += f"top-1 by frames seen: {points}\n"
    return text


def stream_text(report: StreamReport) -> str:
    """Return the figures of a stream evaluation as text."""
    figures, columns = report.figures, ("label", "events", "right", "wrong", "false")
    rows = [[str(row[key]) for key in columns] for row in figures["per_label"]]
    text = f"{_model(report)} on {report.stream}: {report.frames} frames, {report.seconds:.1f} s\n\n"
    text += f"{table(columns, rows)}\n"
    text += f"{figures['right']} of {figures['events']} events right ({_percent(figures['right_share'])}), "
    text += f"{figures['wrong']} under another label, {figures['missed']} missed\n"
    text += f"{figures['false']} false events, {figures['false_per_minute']:.2f} a minute; "
    text += f"{figures['fragments']} fragments of events seen already\n"
    for edge in ("start", "end"):
        delay = figures[f"delay_from_{edge}"]
        if delay:
            text += f"delay from an event's {edge}: median {delay['median']:.2f} s, p90 {delay['p90']:.2f} s\n"
    return text


def _model(report: ClipReport | StreamReport) -> str:
    model = report.model
    text = f"{model['recipe']} ({model['engine']}, {model['mode']}, {model['direction']})"
    if model["trained_direction"] != model["direction"]:
        text += f", FORCED: trained as {model['trained_direction']}"
    return text if model["trained"] else text + ", untrained: its labels mean nothing"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
