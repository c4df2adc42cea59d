"""A small profile made by hand, whose parts agree, and ways to change it."""

import json

from tsm_edge.files import write_whole
from tsm_edge.profile import record

LOOP_MS = {"wait": 1.0, "preprocess": 0.5, "infer": 7.0, "decide": 0.25, "sink": 0.25}


def stage(name, ms, count=40):
    histogram = ((0.95 * ms, ms, count - 1), (ms, 1.05 * ms, 1))
    return record.Stage(name, count, ms, ms, ms, ms, 1.02 * ms, 1.05 * ms, 0.1, histogram)


def sample(infer=7.0, **changes):
    """A :class:`record.Profile` of 40 frames whose step takes `infer` ms; `changes` replace its fields."""
    loop = dict(LOOP_MS, infer=infer)
    frame = sum(loop.values()) - loop["wait"]
    every = dict(loop, capture=30.0, decode=1.0, frame=frame, latency=frame + 4.0, interval=9.0)
    columns = record.LOOP_STAGES + ("frame", "latency")
    # Blocks that scatter by a few per cent around the mean, as a real run's do.
    rows = tuple(
        (0.04 * (index + 1),) + tuple(every[name] * (1 + 0.02 * (index % 5 - 2)) for name in columns)
        for index in range(10)
    )
    trace = tuple(
        record.Span(number, name, 9.0 * number + start, loop[name])
        for number in range(3)
        for name, start in (("wait", 0.0), ("infer", 1.5))
    )
    layers = record.Layers(
        "ONNX Runtime",
        30,
        7.1,
        6.5,
        0.2,
        0.3,
        "known by the name of the op",
        (
            record.Layer("/features.0/Conv", "Conv", "other", 6.0),
            record.Layer("ReorderInput", "ReorderInput", "layout", 0.3),
            record.Layer("/features.3/TemporalShiftStep", "TemporalShiftStep", "shift", 0.2),
        ),
    )
    profile = record.Profile(
        format=record.FORMAT,
        format_version=record.FORMAT_VERSION,
        tsm_edge="0.1.0",
        versions={"numpy": "1.19.5", "python": "3.6.15"},
        date="2026-11-22T12:00:00",
        machine=record.Machine("Some CPU", 4, "aarch64", 3964, "NVIDIA Jetson Nano Developer Kit", "MAXN"),
        subject=record.Subject(
            "m.onnx",
            "onnxruntime",
            "function body",
            "tiny",
            "0" * 64,
            True,
            "float32",
            "custom",
            None,
            "fast",
            (96, 64),
        ),
        source=record.Origin("file", "in.mp4", (340, 256), 30.0, 30.0, "due"),
        sinks=("JSON lines to the null device",),
        frames=40,
        seconds=0.36,
        fps=111.1,
        dropped=3,
        corrupt=2,
        resets=1,
        accounted=0.999,
        overhead=1.0 / (1.0 + infer),
        steady=record.Steady(True, "some rule", 0.01, 60, 0.6, 0.01),
        stages=tuple(stage(name, every[name]) for name in ("capture", "decode") + columns + ("interval",)),
        blocks=record.Blocks(4, columns, rows),
        trace=trace,
        memory=record.Memory(120000000, 130000000, None, 216384),
        load=record.Load(1.2, 0.1),
        samples=record.Samples(("resident bytes", "processors busy"), ((0.1, 1.2e8, 1.0), (0.2, 1.21e8, None))),
        sensing=record.Sensing({"CPU-therm": [40.0, 41.0, 42.5]}, {"cpu0": [1479.0, 1479.0, 1479.0]}, {}, ()),
        layers=layers,
        streams=record.Streams(2, 12, 10.0, 14.0, 0.714, 0.7, 0.73),
        cold=record.ColdStart(3, 50.0, 200.0, 150.0, 20.0, 7.5),
        notes=("A note.",),
    )
    return profile._replace(**changes)


def written(profile, path):
    """Write `profile` to `path`. Returns path as str."""
    write_whole(str(path), record.to_json(profile))
    return str(path)


def changed(profile, change):
    """The profile's JSON text after `change` was let loose on its dict."""
    value = json.loads(record.to_json(profile))
    change(value)
    return json.dumps(value)
