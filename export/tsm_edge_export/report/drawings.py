"""The plots of the page, as SVG that takes its colours from the page, so that it reads well on light and dark.

matplotlib draws with stand-in colours. In its SVG each of them becomes a CSS variable of the page's style sheet.
Each plot is drawn twice, for a desktop and for a phone, because a plot that is scaled down scales its text down too.
"""

import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tsm_edge.profile import record
from tsm_edge.text import one_line, shown

COLOURS = ("ink", "muted", "grid", "accent", "shift", *record.PARALLEL_STAGES, *record.LOOP_STAGES)
_STAND_IN = {name: f"#{index + 1:02x}00{index + 1:02x}" for index, name in enumerate(COLOURS)}
TOP_LAYERS = 18


class Form(NamedTuple):
    """How wide a plot is drawn. width: inches. columns: of plots. legend: its columns. label: its most characters."""

    name: str
    width: float
    columns: int
    legend: int
    label: int


BROAD, NARROW = Form("broad", 9.0, 2, 7, 58), Form("narrow", 4.3, 1, 3, 22)
_SMALL: Any = {"fontsize": 7.5, "color": _STAND_IN["muted"]}
_ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderpad": 0}  # a legend over the axes
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: the page's own font, and it can be searched
    "text.parse_math": False,  # a layer called a$b$c is no formula
    "font.size": 9,
    "text.color": _STAND_IN["ink"],
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    **dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color"), _STAND_IN["muted"]),
    **dict.fromkeys(("axes.edgecolor", "grid.color"), _STAND_IN["grid"]),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), "none"),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
}


def all_of(profile: record.Profile, form: Form = BROAD) -> dict[str, str]:
    """Return the plots as SVG by name, without those whose data the profile lacks."""
    drawn = {"latency": _latency(profile, form), "stages": _stages(profile.blocks, form)}
    if profile.trace:
        drawn["trace"] = _trace(profile.trace, form)
    if profile.layers is not None and profile.layers.layers:
        drawn["layers"] = _layers(profile.layers, form)
    if profile.samples.rows:
        drawn["samples"] = _samples(profile.samples, form)
    return drawn


def _figure(name: str, form: Form, height: float, draw: Callable[[Any], None], **subplots: Any) -> str:
    """Return a drawing of `height` inches, made by draw(axes)."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name + form.name}):
        figure = Figure(figsize=(form.width, height), layout="constrained")
        draw(figure.subplots(**subplots))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    return _for_page(buffer.getvalue(), name, form)


def _for_page(svg: str, name: str, form: Form) -> str:
    """Return the element of an SVG file, as wide as the page, in the colours of the page, with unique ids."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    opening = rf'<svg class="{form.name}" role="img" aria-labelledby="caption-{name}" \1>'
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', opening, svg, count=1)
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-{form.name}-", svg).replace("xlink:href", "href")
    for colour, stand_in in _STAND_IN.items():
        svg = svg.replace(stand_in, f"var(--{colour})")
    return svg


def _latency(profile: record.Profile, form: Form) -> str:
    """Draw histograms of the end-to-end latency and of the loop's work on a frame, with their percentiles."""
    stages, rows = {stage.name: stage for stage in profile.stages}, 2 // form.columns

    def draw(axes: Any) -> None:
        for axis, name, title in zip(axes, ("latency", "frame"), ("end to end", "work on a frame"), strict=True):
            low, high, count = zip(*stages[name].histogram, strict=True)
            widths = [b - a for a, b in zip(low, high, strict=True)]
            shares = [100 * c / stages[name].count for c in count]
            axis.bar(low, shares, widths, align="edge", color=_STAND_IN["accent"])
            marks = {percentile: getattr(stages[name], percentile) for percentile in ("p50", "p95", "p99")}
            for at in marks.values():
                axis.axvline(at, color=_STAND_IN["ink"], linewidth=0.8, linestyle=(0, (4, 2)))
            title += ": " + ", ".join(f"{percentile} {at:.3g}" for percentile, at in marks.items())
            axis.set(title=title, xlabel="ms", ylabel="% of frames", xlim=(0.95 * low[0], None))
            axis.margins(x=0.1)
            axis.grid(axis="y")

    return _figure("latency", form, 2.6 * rows, draw, nrows=rows, ncols=form.columns)


def _stages(blocks: record.Blocks, form: Form) -> str:
    """Draw where the loop's time went, over the run."""
    edges = [0.0, *(row[0] for row in blocks.rows)]  # each part of the run ends where the next one begins

    def draw(axis: Any) -> None:
        below = [0.0] * len(blocks.rows)
        for name in record.LOOP_STAGES:
            column = blocks.columns.index(name) + 1
            top = [a + row[column] for a, row in zip(below, blocks.rows, strict=True)]
            axis.stairs(top, edges, baseline=below, fill=True, color=_STAND_IN[name], label=name)
            below = top
        axis.set(xlabel="seconds", ylabel="ms a frame", xlim=(0, edges[-1] or 1), ylim=(0, None))
        axis.grid(axis="y")
        axis.legend(ncols=min(form.legend, len(record.LOOP_STAGES)), **_ABOVE)

    return _figure("stages", form, 2.8, draw)


def _trace(trace: tuple[record.Span, ...], form: Form) -> str:
    """Draw the first measured frames on a time line, one row for each thread."""

    def draw(axis: Any) -> None:
        end = max(span.start + span.duration for span in trace)
        last_number = [-end, -end]  # where the last frame number of each row stands
        for span in trace:
            row = 1 if span.stage in record.PARALLEL_STAGES else 0
            style = {"color": _STAND_IN[span.stage], "edgecolor": _STAND_IN["grid"], "linewidth": 0.4}
            axis.barh(row, span.duration, 0.62, span.start, **style)
            if span.stage in ("infer", "decode") and span.start > last_number[row] + 0.18 / form.width * end:
                axis.annotate(str(span.frame), (span.start, row + 0.34), **_SMALL)
                last_number[row] = span.start
        axis.set(xlabel="ms", yticks=(0, 1), yticklabels=("loop", "source"), ylim=(-0.45, 1.55))
        axis.grid(axis="x")
        used = {span.stage for span in trace}
        names = [name for name in record.PARALLEL_STAGES + record.LOOP_STAGES if name in used]
        handles = [Patch(color=_STAND_IN[name], label=name) for name in names]
        axis.legend(handles=handles, ncols=min(form.legend, len(names)), **_ABOVE)

    return _figure("trace", form, 1.9, draw)


def _layers(layers: record.Layers, form: Form) -> str:
    """Draw the sums of shifts and of layout conversions, then the slowest layers in the colours of their groups."""
    sums = [(f"all shifts ({sum(layer.group == 'shift' for layer in layers.layers)} nodes)", layers.shift, "shift")]
    sums += [("layout conversions", layers.layout, "wait")] if layers.layout else []
    colour = {"shift": "shift", "layout": "wait", "other": "accent"}
    slowest = layers.layers[:TOP_LAYERS]
    bars = sums + [(f"{layer.name}  {layer.op}", layer.milliseconds, colour[layer.group]) for layer in slowest]

    def draw(axis: Any) -> None:
        places = [index + (0 if index < len(sums) else 0.6) for index in range(len(bars))]
        axis.barh(places, [bar[1] for bar in bars], 0.72, color=[_STAND_IN[bar[2]] for bar in bars])
        for place, (_, value, _) in zip(places, bars, strict=True):
            axis.annotate(f"{value:.3f}", (value, place), (4, 0), textcoords="offset points", va="center", **_SMALL)
        axis.set(xlabel="ms a step", yticks=places, yticklabels=[_short(bar[0], form) for bar in bars])
        axis.invert_yaxis()
        axis.margins(x=0.1, y=0.01)
        axis.grid(axis="x")

    return _figure("layers", form, 0.7 + 0.2 * len(bars), draw)


def _short(name: str, form: Form) -> str:
    name = one_line(shown(name))
    return name if len(name) <= form.label else "…" + name[1 - form.label :]


def _samples(samples: record.Samples, form: Form) -> str:
    """Draw memory, processors, temperatures and clocks during the run: a strip for each that the machine reports."""
    strips = []
    for index, name in enumerate(samples.columns, start=1):
        points = [(row[0], row[index]) for row in samples.rows if row[0] is not None and row[index] is not None]
        if points:
            scale, label = (1e-6, "resident MB") if name == "resident bytes" else (1, one_line(shown(name)))
            strips.append((label, [at for at, _ in points], [(value or 0.0) * scale for _, value in points]))

    def draw(axes: Any) -> None:
        for axis, (label, at, values) in zip(axes[:, 0], strips, strict=True):
            axis.plot(at, values, color=_STAND_IN["accent"], linewidth=1.4, marker="." if len(at) < 3 else None)
            axis.set(title=label, ylim=(0, 1.15 * max(values) or 1))
            axis.grid(axis="y")
        axes[-1, 0].set(xlabel="seconds")

    return _figure("samples", form, 0.4 + 1.15 * len(strips), draw, nrows=len(strips), sharex=True, squeeze=False)
