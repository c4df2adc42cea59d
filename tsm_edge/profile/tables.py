"""A profile as text for a terminal, and the table that it is made of."""

from typing import Iterator, List, Optional, Sequence, Tuple

from tsm_edge.profile.record import Layers, Profile
from tsm_edge.text import one_line

SHOWN_LAYERS = 12
LABELS = {
    "capture": "capture (in parallel)",
    "decode": "decode (in parallel)",
    "host-to-device": "host-to-device, alone",
    "frame": "frame, all but wait",
    "latency": "latency, end to end",
    "interval": "between results",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text; the first column is left-aligned, all others are right-aligned. A cell is one line."""
    lines = [[one_line(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * width for width in widths])
    line = "  ".join("{{:{}{}}}".format("<" if index == 0 else ">", width) for index, width in enumerate(widths))
    return "".join(line.format(*cells).rstrip() + "\n" for cells in lines)


def render(profile: Profile) -> str:
    """Return the whole profile as text."""
    facts = "".join("{:<11} {}\n".format(name, one_line(value)) for name, value in _facts(profile))
    notes = "".join("note: {}\n".format(one_line(note)) for note in profile.notes)
    parts = [facts, _stages(profile), "" if profile.layers is None else _layers(profile.layers), notes]
    return "\n".join(part for part in parts if part)


def _facts(p: Profile) -> Iterator[Tuple[str, str]]:
    """Yield (name, value) of what ran, where, and of the figures that belong to no stage."""
    yield "model", "{0.engine} ({0.backend}, shift by {0.shift_by}, {0.precision})".format(p.subject)
    board = "" if p.machine.board is None else p.machine.board + ", "
    yield "machine", "{}{}, {} cores".format(board, p.machine.cpu, p.machine.cores)
    paced = "" if p.source.paced is None else ", paced at {:g} frames/s".format(p.source.paced)
    yield "source", "{0.name}, {0.size[0]}x{0.size[1]}{1}".format(p.source, paced)
    counts = (
        "{0.frames} in {0.seconds:.1f} s, {0.fps:.1f} frames/s, {0.dropped} dropped, {1} corrupt, {0.resets} resets"
    )
    yield "frames", counts.format(p, "unknown" if p.corrupt is None else p.corrupt)
    state = "steady" if p.steady.reached else "NOT steady"
    yield "warm-up", "{0.frames} frames, {0.seconds:.1f} s, {1}".format(p.steady, state)
    yield "overhead", "{:.1%} of the work on a frame, the engine's step {:.1%}".format(p.overhead, 1 - p.overhead)
    yield "accounted", "the stages are {:.1%} of the wall time".format(p.accounted)
    sizes = [megabytes(size) for size in p.memory]
    yield "memory", "resident {}, peak {}, device {}, caches {} a stream".format(*sizes)
    others = "unknown" if p.load.others is None else "{:.2f}".format(p.load.others)
    yield "processors", "{:.2f} busy with this process, {} with others".format(p.load.process, others)
    for name, kind, unit in (("clocks", "clocks", "MHz"), ("heat", "temperatures", "C"), ("power", "power", "mW")):
        sensors = getattr(p.sensing, kind)
        if sensors:
            yield name, ", ".join("{} {:.0f}-{:.0f} {}".format(k, v[0], v[2], unit) for k, v in sensors.items())
    if p.cold is not None:
        total = p.cold.start + p.cold.imports + p.cold.load + p.cold.first_step
        phases = "interpreter {0.start:.0f}, imports {0.imports:.0f}, load {0.load:.0f}, first step {0.first_step:.0f}"
        yield "cold start", ("{1:.0f} ms: " + phases + " (second {0.second_step:.1f})").format(p.cold, total)
    if p.streams is not None:
        times = "{0.count}: batched {0.batched:.2f} ms, separate {0.separate:.2f} ms"
        yield "streams", (times + ", ratio {0.ratio:.3f} ({0.low:.3f} to {0.high:.3f})").format(p.streams)


def _stages(profile: Profile) -> str:
    rows = []
    for stage in profile.stages:
        figures = (stage.mean, stage.p50, stage.p90, stage.p95, stage.p99, stage.max, stage.jitter)
        rows.append([LABELS.get(stage.name, stage.name)] + ["{:.2f}".format(value) for value in figures])
    return table(["stage, ms", "mean", "p50", "p90", "p95", "p99", "max", "jitter"], rows)


def _layers(found: Layers) -> str:
    def figures(value: float) -> List[str]:
        return ["{:.3f}".format(value), "{:.1%}".format(value / found.total)]

    rows = [[layer.name, layer.op, layer.group] + figures(layer.milliseconds) for layer in found.layers[:SHOWN_LAYERS]]
    for name, value in (("all shifts", found.shift), ("layout around them", found.layout), ("all layers", found.total)):
        rows.append([name, "", ""] + figures(value))
    text = table(["layer", "op", "group", "ms", "share"], rows)
    return text + one_line("{} separate steps, timed by {}; shifts {}".format(found.steps, found.by, found.rule)) + "\n"


def megabytes(size: Optional[int]) -> str:
    """Return a number of bytes as text, "unknown" for None."""
    return "unknown" if size is None else "{:.1f} MB".format(size / 1e6)
