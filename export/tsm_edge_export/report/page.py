"""The page: facts, tables and drawings of a profile, in a template that escapes every string."""

from collections.abc import Iterator
from pathlib import Path

from markupsafe import Markup

from tsm_edge.profile import record
from tsm_edge.profile.tables import megabytes
from tsm_edge_export.report import drawings, templates


def render(profile: record.Profile) -> str:
    """Return the page as HTML text, without secrets and control characters."""
    environment = templates.environment(Path(__file__).parent)
    environment.filters.update(megabytes=megabytes, ms=_milliseconds, percent="{:.1%}".format)
    narrow = drawings.all_of(profile, drawings.NARROW)
    cold = profile.cold
    cold_total = 0.0 if cold is None else cold.start + cold.imports + cold.load + cold.first_step
    return environment.get_template("page.html").render(
        p=profile,
        loop_stages=record.LOOP_STAGES,
        derived=record.DERIVED_STAGES,
        loop_time=sum(stage.mean for stage in profile.stages if stage.name in record.LOOP_STAGES),
        cold_total=cold_total,
        tiles=list(_tiles(profile, cold_total)),
        drawn={name: (Markup(svg), Markup(narrow[name])) for name, svg in drawings.all_of(profile).items()},
    )


def _milliseconds(value: float) -> str:
    """Return a time with three significant digits, which is what a timing has, and without an exponent."""
    for digits, least in ((0, 100), (1, 10), (2, 0.1)):
        if value >= least:
            return f"{value:.{digits}f}"
    return f"{value:.3f}"


def _tiles(profile: record.Profile, cold_total: float) -> Iterator[tuple[str, str, str]]:
    """Yield (figure, unit, what it is) for the top of the page."""
    stages = {stage.name: stage for stage in profile.stages}
    yield f"{profile.fps:.1f}", "frames/s", "throughput"
    yield _milliseconds(stages["latency"].p50), "ms", "latency, median"
    yield _milliseconds(stages["latency"].p99), "ms", "latency, 99th percentile"
    yield _milliseconds(stages["infer"].p50), "ms", "engine step, median"
    yield f"{profile.overhead:.1%}", "", "of the work on a frame is overhead, the rest the engine's step"
    if profile.layers is not None:
        yield f"{profile.layers.shift / profile.layers.total:.1%}", "", "of the layers' time is shifts"
    yield f"{profile.dropped}", "", "frames dropped"
    if profile.corrupt is not None:
        yield f"{profile.corrupt}", "", "frames corrupt"
    if profile.memory.peak is not None:
        yield f"{profile.memory.peak / 1e6:.0f}", "MB", "peak memory"
    if profile.cold is not None:
        yield f"{cold_total / 1e3:.2f}", "s", "cold start to first result"
