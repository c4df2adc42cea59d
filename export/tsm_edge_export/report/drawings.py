"""The plots of the page, as SVG that takes its colours from the page: one drawing reads well on light and dark.

matplotlib draws with stand-in colours; in its SVG each of them becomes a CSS variable of the page's style sheet.
"""

import io
import re

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tsm_edge.profile import record

COLOURS = (
    "ink",
    "muted",
    "grid",
    "accent",
    "capture",
    "decode",
    "wait",
    "preprocess",
    "infer",
    "decide",
    "sink",
    "shift",
)
_STAND_IN = {name: f"#{index + 1:02x}00{index + 1:02x}" for index, name in enumerate(COLOURS)}
TOP_LAYERS = 18
_SMALL = {"fontsize": 7.5, "color": _STAND_IN["muted"]}
STYLE = {
    "svg.fonttype": "none",  # text stays text: the page's own font, and it can be searched
    "text.parse_math": False,  # a layer called a$b$c is no formula
    "font.size": 9,
    "text.color": _STAND_IN["ink"],
    "axes.edgecolor": _STAND_IN["grid"],
    "axes.labelcolor": _STAND_IN["muted"],
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "xtick.color": _STAND_IN["muted"],
    "ytick.color": _STAND_IN["muted"],
    "grid.color": _STAND_IN["grid"],
    "grid.linewidth": 0.6,
}


def all_of(profile: record.Profile) -> dict[str, str]:
    """{name: SVG}; a plot whose data the profile lacks is left out."""
    drawn = {"latency": _latency(profile), "stages": _stages(profile)}
    if profile.trace:
        drawn["trace"] = _trace(profile)
    if profile.layers is not None and profile.layers.layers:
        drawn["layers"] = _layers(profile.layers)
    if profile.samples.rows:
        drawn["samples"] = _samples(profile.samples)
    return drawn


def _figure(name, height, draw, columns=1, rows=1, **options):
    """One drawing of `height` inches. draw: takes the axes. name: keeps its ids apart from those of other drawings."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(9, height), layout="constrained")
        draw(figure.subplots(rows, columns, **options))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    return _for_page(buffer.getvalue(), name)


def _for_page(svg, name):
    """Of a whole SVG file the element alone, as wide as the page, with the page's colours and ids of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg role="img" aria-labelledby="caption-{name}" \1>', svg, count=1
    )
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{name}-", svg).replace("xlink:href", "href")
    for colour, stand_in in _STAND_IN.items():
        svg = svg.replace(stand_in, f"var(--{colour})")
    return svg


def _latency(profile):
    """Histograms of the end-to-end latency and of the loop's work on a frame, with their percentiles."""

    def draw(axes):
        for axis, name, title in zip(axes, ("latency", "frame"), ("end to end", "work on a frame"), strict=True):
            stage = record.stage(profile, name)
            low, high, count = zip(*stage.histogram, strict=True)
            widths = [b - a for a, b in zip(low, high, strict=True)]
            shares = [100 * c / stage.count for c in count]
            axis.bar(low, shares, widths, align="edge", color=_STAND_IN["accent"])
            marks = [(percentile, getattr(stage, percentile)) for percentile in ("p50", "p95", "p99")]
            for _, at in marks:
                axis.axvline(at, color=_STAND_IN["ink"], linewidth=0.8, linestyle=(0, (4, 2)))
            said = ", ".join(f"{percentile} {at:.3g}" for percentile, at in marks)
            axis.set(title=f"{title}: {said}", xlabel="ms", ylabel="% of frames", xlim=(0.95 * low[0], None))
            axis.margins(x=0.1)
            axis.grid(axis="y")

    return _figure("latency", 2.6, draw, columns=2)


def _stages(profile):
    """Where the loop's time went, over the run."""
    rows, columns = profile.blocks.rows, profile.blocks.columns
    # Each part of the run ends where the next one begins; the first one's begin is not written down.
    ends = [row[0] for row in rows]
    edges = [0.0, *ends]

    def draw(axis):
        below = [0.0] * len(rows)
        for name in record.LOOP:
            values = [row[columns.index(name) + 1] for row in rows]
            top = [a + b for a, b in zip(below, values, strict=True)]
            axis.stairs(top, edges, baseline=below, fill=True, color=_STAND_IN[name], label=name)
            below = top
        axis.set(xlabel="seconds", ylabel="ms a frame", xlim=(0, edges[-1] or 1), ylim=(0, None))
        axis.grid(axis="y")
        axis.legend(ncols=len(record.LOOP), loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)

    return _figure("stages", 2.8, draw)


def _trace(profile):
    """The first measured frames on a time line, one row for each thread."""

    def draw(axis):
        end = max(span.start + span.duration for span in profile.trace)
        written = [-end, -end]  # where the last number of each row stands
        for span in profile.trace:
            row = 1 if span.stage in record.BESIDE else 0
            style = {"color": _STAND_IN[span.stage], "edgecolor": _STAND_IN["grid"], "linewidth": 0.4}
            axis.barh(row, span.duration, 0.62, span.start, **style)
            if span.stage in ("infer", "decode") and span.start > written[row] + 0.02 * end:
                axis.annotate(str(span.frame), (span.start, row + 0.34), **_SMALL)
                written[row] = span.start
        used = {span.stage for span in profile.trace}
        axis.set(xlabel="ms", yticks=(0, 1), yticklabels=("loop", "source"), ylim=(-0.45, 1.55))
        axis.grid(axis="x")
        names = [name for name in record.BESIDE + record.LOOP if name in used]
        handles = [Patch(color=_STAND_IN[name], label=name) for name in names]
        axis.legend(handles=handles, ncols=len(names), loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)

    return _figure("trace", 1.9, draw)


def _layers(found):
    """The slowest layers, the shifts marked, and the sums of shifts and layout conversions."""
    shown = found.layers[:TOP_LAYERS]
    sums = [(f"all shifts ({sum(la.group == 'shift' for la in found.layers)} nodes)", found.shift, "shift")]
    sums += [("layout conversions around them", found.layout, "wait")] if found.layout else []
    colour = {"shift": "shift", "layout": "wait", "other": "accent"}
    bars = sums + [(_short(f"{la.name}  {la.op}"), la.milliseconds, colour[la.group]) for la in shown]

    def draw(axis):
        places = [index + (0 if index < len(sums) else 0.6) for index in range(len(bars))]
        axis.barh(places, [bar[1] for bar in bars], 0.72, color=[_STAND_IN[bar[2]] for bar in bars])
        for place, (_, value, _) in zip(places, bars, strict=True):
            axis.annotate(f"{value:.3f}", (value, place), (4, 0), textcoords="offset points", va="center", **_SMALL)
        axis.set(xlabel="ms a step", yticks=places, yticklabels=[bar[0] for bar in bars])
        axis.invert_yaxis()
        axis.margins(x=0.1, y=0.01)
        axis.grid(axis="x")

    return _figure("layers", 0.7 + 0.2 * len(bars), draw)


def _short(name, most=58):
    return name if len(name) <= most else "…" + name[1 - most :]


def _samples(samples):
    """Memory, processors, heat and clock beside the run: one strip each, those that the machine tells."""
    shown = []
    for index, name in enumerate(samples.columns, start=1):
        points = [(row[0], row[index]) for row in samples.rows if row[0] is not None and row[index] is not None]
        if points:
            scale, label = (1e-6, "resident MB") if name == "resident bytes" else (1, name)
            shown.append((label, [at for at, _ in points], [value * scale for _, value in points]))

    def draw(axes):
        for axis, (label, at, values) in zip(axes[:, 0], shown, strict=True):
            axis.plot(at, values, color=_STAND_IN["accent"], linewidth=1.4, marker="." if len(at) < 3 else None)
            axis.set(title=label, ylim=(0, 1.15 * max(values) or 1))
            axis.grid(axis="y")
        axes[-1, 0].set(xlabel="seconds")

    return _figure("samples", 0.4 + 1.15 * len(shown), draw, rows=len(shown), sharex=True, squeeze=False)
