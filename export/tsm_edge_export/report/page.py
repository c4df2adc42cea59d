"""The page: facts, tables and drawings of a profile, put together by a template that escapes every string."""

from pathlib import Path

import jinja2
from markupsafe import Markup

from tsm_edge.profile import record
from tsm_edge.profile.tables import megabytes
from tsm_edge_export.report import drawings

EXPLAINED = {
    "capture": "waiting for the source, in its own thread",
    "decode": "reading and decoding, in the source's thread",
    "wait": "the loop waits for a frame",
    "preprocess": "resize, crop, normalise",
    "infer": "the engine's step",
    "host-to-device": "copies within infer",
    "decide": "logits to label and events",
    "sink": "writing results",
    "frame": "all of the loop but wait",
    "latency": "end to end, to the decision",
    "interval": "from one decision to the next",
}
LATENCY_FROM = {
    "due": "counted from when each frame was due, late or not",
    "grabbed": "counted from when the driver handed the frame over",
    "read begun": "counted from when its reading began: it holds the wait among frames decoded ahead",
}


def render(profile: record.Profile) -> str:
    """The whole page as text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(megabytes=megabytes, ms=_milliseconds, percent="{:.1%}".format)
    return environment.get_template("page.html").render(
        p=profile,
        stage={stage.name: stage for stage in profile.stages},
        explained=EXPLAINED,
        latency_from=LATENCY_FROM.get(profile.source.latency_from, profile.source.latency_from),
        loop_stages=record.LOOP,
        derived=record.DERIVED,
        work=sum(stage.mean for stage in profile.stages if stage.name in record.LOOP),
        cold_total=_cold_total(profile.cold),
        tiles=list(_tiles(profile)),
        drawn={name: Markup(svg) for name, svg in drawings.all_of(profile).items()},
    )


def _milliseconds(value: float) -> str:
    """Three significant digits are what a timing has; never an exponent."""
    for digits, least in ((0, 100), (1, 10), (2, 0.1)):
        if value >= least:
            return f"{value:.{digits}f}"
    return f"{value:.3f}"


def _cold_total(cold: record.Start | None) -> float:
    return 0.0 if cold is None else cold.start + cold.imports + cold.load + cold.first_step


def _tiles(profile):
    """(figure, unit, what it is) for the head of the page."""
    latency = record.stage(profile, "latency")
    yield f"{profile.fps:.1f}", "frames/s", "throughput"
    yield _milliseconds(latency.p50), "ms", "latency, median"
    yield _milliseconds(latency.p99), "ms", "latency, 99 of 100"
    yield _milliseconds(record.stage(profile, "infer").p50), "ms", "engine step, median"
    yield f"{profile.ours:.1%}", "", "of the work is ours, the rest the engine's"
    if profile.layers is not None:
        yield f"{profile.layers.shift / profile.layers.total:.1%}", "", "of the engine's layers are shifts"
    yield f"{profile.dropped}", "", "frames dropped"
    if profile.memory.peak is not None:
        yield f"{profile.memory.peak / 1e6:.0f}", "MB", "memory, peak"
    if profile.cold is not None:
        yield f"{_cold_total(profile.cold) / 1e3:.2f}", "s", "cold start to first answer"
