"""A profile and a comparison as text for a terminal. Tables by tabulate where it is installed, else by ourselves."""

SHOWN_LAYERS = 12
LABELS = {
    "capture": "capture (beside)",
    "decode": "decode (beside)",
    "host-to-device": "host-to-device, alone",
    "frame": "frame, all but wait",
    "latency": "latency, end to end",
    "interval": "between results",
}


def grid(header, rows):
    """A table as text. header: names, the first column is left-aligned. rows: lists of str."""
    try:
        from tabulate import tabulate
    except ImportError:
        return _plain(header, rows)
    align = ("left",) + ("right",) * (len(header) - 1)
    return tabulate(rows, headers=header, tablefmt="simple", colalign=align, disable_numparse=True) + "\n"


def _plain(header, rows):
    lines = [list(header)] + [list(row) for row in rows]
    wide = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * size for size in wide])
    return "".join(
        "  ".join(
            cell.ljust(size) if column == 0 else cell.rjust(size) for column, (cell, size) in enumerate(zip(line, wide))
        ).rstrip()
        + "\n"
        for line in lines
    )


def render(profile):
    """The whole profile as text."""
    parts = [facts(profile), _stages(profile)]
    if profile.layers is not None:
        parts.append(_layers(profile.layers))
    parts.append("".join("note: {}\n".format(note) for note in profile.notes))
    return "\n".join(part for part in parts if part)


def facts(profile):
    """(name, value) lines of what ran, where, and the figures that are no stage's."""
    return "".join("{:<11} {}\n".format(name, value) for name, value in _facts(profile))


def _facts(p):
    m, s, o = p.machine, p.subject, p.source
    yield "model", "{} ({}, shift by {}, {})".format(s.engine, s.backend, s.shift_by, s.precision)
    yield "machine", "{}{}, {} cores".format("" if m.board is None else m.board + ", ", m.cpu, m.cores)
    yield (
        "source",
        "{}, {}x{}{}".format(
            o.name, o.size[0], o.size[1], "" if o.paced is None else ", paced at {:g} frames/s".format(o.paced)
        ),
    )
    yield (
        "frames",
        "{} in {:.1f} s, {:.1f} frames/s, {} dropped, {} resets".format(
            p.frames, p.seconds, p.fps, p.dropped, p.resets
        ),
    )
    state = "steady" if p.steady.reached else "NOT steady"
    yield "warm-up", "{} frames, {:.1f} s, {}".format(p.steady.frames, p.steady.seconds, state)
    yield "ours", "{:.1%} of a frame's work, the engine {:.1%}".format(p.ours, 1 - p.ours)
    yield "accounted", "the stages are {:.1%} of the wall time".format(p.accounted)
    yield (
        "memory",
        "resident {}, peak {}, device {}, caches {} a stream".format(
            megabytes(p.memory.resident),
            megabytes(p.memory.peak),
            megabytes(p.memory.device),
            megabytes(p.memory.caches),
        ),
    )
    yield (
        "processors",
        "{:.2f} busy with this, {} with the rest".format(
            p.load.process, "unknown" if p.load.others is None else "{:.2f}".format(p.load.others)
        ),
    )
    for name, values, unit in (
        ("clocks", p.sensing.clocks, "MHz"),
        ("heat", p.sensing.temperatures, "C"),
        ("power", p.sensing.power, "mW"),
    ):
        if values:
            yield name, ", ".join("{} {:.0f}-{:.0f} {}".format(k, v[0], v[2], unit) for k, v in values.items())
    if p.cold is not None:
        c = p.cold
        yield (
            "cold start",
            "{:.0f} ms: interpreter {:.0f}, imports {:.0f}, load {:.0f}, first step {:.0f} (second {:.1f})".format(
                c.start + c.imports + c.load + c.first_step, c.start, c.imports, c.load, c.first_step, c.second_step
            ),
        )
    if p.streams is not None:
        st = p.streams
        yield (
            "streams",
            "{}: batched {:.2f} ms, one by one {:.2f} ms, ratio {:.3f} ({:.3f} to {:.3f})".format(
                st.count, st.batched, st.separate, st.ratio, st.low, st.high
            ),
        )


def _stages(profile):
    rows = []
    for stage in profile.stages:
        figures = (stage.mean, stage.p50, stage.p90, stage.p95, stage.p99, stage.max, stage.jitter)
        rows.append([LABELS.get(stage.name, stage.name)] + ["{:.2f}".format(value) for value in figures])
    return grid(["stage, ms", "mean", "p50", "p90", "p95", "p99", "max", "jitter"], rows)


def _layers(found):
    def figures(value):
        return ["{:.3f}".format(value), "{:.1%}".format(value / found.total)]

    rows = [[layer.name, layer.op, layer.group] + figures(layer.milliseconds) for layer in found.layers[:SHOWN_LAYERS]]
    for name, value in (("all shifts", found.shift), ("layout around them", found.layout), ("all layers", found.total)):
        rows.append([name, "", ""] + figures(value))
    text = grid(["layer", "op", "group", "ms", "share"], rows)
    return text + "of {} steps of their own by {}; shifts {}\n".format(found.steps, found.by, found.rule)


def megabytes(size):
    return "unknown" if size is None else "{:.1f} MB".format(size / 1e6)
