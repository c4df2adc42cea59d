"""`tsm-edge info`: a model's manifest, for people and as JSON."""

import os

import numpy as np

from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt.record import EXTENSIONS, read_record
from tsm_edge.manifest import to_json

SHOWN_LABELS = 8


def info(path, as_json=False):
    """The manifest of the model at `path`, as text for a terminal or as JSON. Raises InputError where it has none."""
    record = read_record(path) if os.path.splitext(path)[1] in EXTENSIONS else None
    manifest = load_manifest(path) if record is None else record.manifest
    if as_json:
        return to_json(manifest)
    text = render(manifest, os.path.getsize(path))
    return text if record is None else text + "\n" + _lines(_engine(record))


def render(manifest, size):
    """The manifest as lines of text. size: bytes of the model file."""
    m, frame, shift = manifest, manifest.frame, manifest.shift
    rows = [
        ("recipe", m.recipe),
        ("network", "{}, width {:g}, {} classes".format(m.arch.name, m.arch.width, m.arch.num_classes)),
        ("mode", "{}, {} shift of 1/{} of the channels".format(m.mode, shift.direction, shift.fold_div)),
        ("shifts", "{} ({} dialect, clips of {} frames)".format(len(shift.places), shift.dialect, shift.n_segment)),
        ("weights", m.weights.source + ("" if m.weights.trained else " (UNTRAINED: the labels mean nothing)")),
        ("sha256", m.weights.sha256),
        ("frame", "short side {}, centre {}x{}, {}".format(frame.short_side, frame.width, frame.height, frame.colour)),
        ("mean, std", "{}, {}".format(_numbers(frame.mean), _numbers(frame.std))),
        ("frame rate", "every frame" if m.fps is None else "{:g} frames/s".format(m.fps)),
        ("caches", _caches(m.caches)),
        ("labels", _labels(m.labels)),
        ("decision", _decision(m.decision)),
        ("file", "{} lowering, {}, {:.1f} MB".format(m.lowering, m.precision, size / 1e6)),
        ("proof", _proof(m.parity)),
    ]
    return _lines(rows)


def _engine(record):
    """What a TensorRT engine is for, and how its shift was chosen."""
    jetpack = "" if record.jetpack is None else ", JetPack {}".format(record.jetpack)
    yield "engine", "TensorRT {} for {}, compute capability {}{}".format(record.tensorrt, *record.gpu + (jetpack,))
    least, _, most = record.streams
    yield "streams", "{}".format(least) if least == most else "{} to {}".format(least, most)
    yield "shift by", {"plugin": "our plugin", "standard": "standard operations"}[record.lowering]
    for time in record.times:
        said = time.why_not if time.p50 is None else "{:.3f} ms a step when it was built".format(time.p50)
        yield "  " + time.lowering, said


def _lines(rows):
    return "\n".join("{:<11} {}".format(name, value) for name, value in rows)


def _numbers(values):
    return " ".join("{:g}".format(value) for value in values)


def _caches(caches):
    if not caches:
        return "none"
    size = sum(c.shape[0] * c.shape[1] * c.shape[2] * np.dtype(c.dtype).itemsize for c in caches)
    return "{}, together {:.1f} KB for one stream".format(len(caches), size / 1e3)


def _labels(labels):
    more = len(labels) - SHOWN_LABELS
    return ", ".join(labels[:SHOWN_LABELS]) + (" and {} more".format(more) if more > 0 else "")


def _decision(decision):
    text = "mean of {} frames, shown from {:.0%} on, after {} in a row".format(
        decision.window, decision.threshold, decision.hysteresis
    )
    return text + ("; never: " + ", ".join(decision.ignored) if decision.ignored else "")


def _proof(parity):
    if not parity:
        return "NONE: not exported by tsm-edge export"
    return "{} comparisons, {}".format(
        len(parity.get("comparisons", [])), "all passed" if parity.get("passed") else "NOT PASSED"
    )
