"""What a model file says of itself. Written by the export, checked by every loader.

The manifest is JSON. It stands in the ONNX file's metadata under ``tsm_edge.manifest`` and, with the same content, in
a file beside the model (``model.onnx`` -> ``model.json``, ``model.trt`` -> ``model.trt.json``).
"""

import json
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode

FORMAT_VERSION = 1
METADATA_KEY = "tsm_edge.manifest"

MODES = ("online", "offline")
DIRECTIONS = ("causal", "bidirectional", "none")
LOWERINGS = ("custom", "standard")
DIALECTS = ("mit",)  # Paddle's, whose first fold takes the past, would need its channels permuted


class ArchSpec(NamedTuple):
    """The network. name: "mobilenetv2", "resnet50", …; width: MobileNetV2's multiplier, 1.0 elsewhere."""

    name: str
    width: float
    num_classes: int


class ShiftSpec(NamedTuple):
    """The shift. direction: "causal", "bidirectional", or "none" (a 2D network, TSN).

    dialect: whose convention the weights follow ("mit": the first fold takes t+1 offline, t-1 online).
    places: the module names whose input is shifted, in the order of the caches. n_segment: T of the training clips.
    """

    dialect: str
    direction: str
    fold_div: int
    n_segment: int
    places: Tuple[str, ...]


class FrameSpec(NamedTuple):
    """The input tensor and how a camera frame becomes it.

    The short side is resized to `short_side` (bilinear, antialiased), the centre (height, width) cropped, values
    divided by 255, then (value - mean) / std for each channel in the order of `colour` ("RGB" or "BGR").
    """

    layout: str
    colour: str
    height: int
    width: int
    short_side: int
    crop: str
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]


class CacheSpec(NamedTuple):
    """One cached slice: the names of its input and output, its shape (F, H, W) for one stream, its dtype."""

    input: str
    output: str
    shape: Tuple[int, int, int]
    dtype: str


class DecisionSpec(NamedTuple):
    """How logits become labels and events (see tsm_edge.heads.classification).

    window: running mean over that many steps. threshold: least confidence, 0 to 1, of a label that is shown.
    hysteresis: steps in a row that a new label must lead before it replaces the old one.
    ignored: labels that mean "nothing is happening"; they never make an event.
    """

    window: int
    threshold: float
    hysteresis: int
    ignored: Tuple[str, ...]


class WeightsSpec(NamedTuple):
    """The weights. sha256: over all tensors by name; source: the file or rule they came from; trained: False for a
    random start, which every command then says."""

    sha256: str
    source: str
    trained: bool


class Manifest(NamedTuple):
    """All of it. fps: frames/s that the model expects (None: every frame). parity: the report of `tsm-edge verify`."""

    format_version: int
    recipe: str
    arch: ArchSpec
    mode: str
    shift: ShiftSpec
    frame: FrameSpec
    caches: Tuple[CacheSpec, ...]
    labels: Tuple[str, ...]
    fps: Optional[float]
    decision: DecisionSpec
    lowering: str
    precision: str
    weights: WeightsSpec
    parity: Dict[str, Any]


def to_json(manifest):
    """The manifest as JSON text (str), keys in the order of the fields."""
    return json.dumps(encode(manifest), indent=1)


def require_online(manifest, where):
    """Raise InputError where a stream cannot be run through the model `where`."""
    if manifest.mode != "online":
        raise InputError(
            "{}: mode".format(where),
            "an offline ({}) model".format(manifest.shift.direction),
            "an online one: a live stream has no next frame",
            "export causal weights with --mode online",
        )


def from_json(text, where):
    """Parse and check a manifest.

    text: str or bytes. where: what to call it in messages (the file's path).
    Raises InputError for damaged JSON, another format version, missing or unknown keys, impossible values.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            "{}: manifest".format(where),
            "damaged JSON ({})".format(error),
            "a whole manifest",
            "export the model again",
        ) from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(
            "{}: manifest format_version".format(where),
            repr(version),
            FORMAT_VERSION,
            "export the model again with this release of tsm-edge, or install the release that wrote it",
        )
    manifest = decode(Manifest, data, "{}: manifest".format(where))
    check(manifest, where)
    return manifest


def check(manifest, where):
    """Raise InputError where parts of a manifest contradict each other."""

    def need(condition, name, got, expected):
        if not condition:
            raise InputError(
                "{}: manifest {}".format(where, name), got, expected, "correct the recipe and export the model again"
            )

    m, frame, shift = manifest, manifest.frame, manifest.shift
    for name, value, allowed in (
        ("mode", m.mode, MODES),
        ("shift.dialect", shift.dialect, DIALECTS),
        ("shift.direction", shift.direction, DIRECTIONS),
        ("lowering", m.lowering, LOWERINGS),
        ("frame.colour", frame.colour, ("RGB", "BGR")),
        ("frame.layout", frame.layout, ("NCHW",)),
        ("frame.crop", frame.crop, ("center",)),
    ):
        need(value in allowed, name, repr(value), "one of " + ", ".join(allowed))
    classes = m.arch.num_classes
    need(classes >= 1, "arch.num_classes", classes, "at least 1")
    need(len(m.labels) == classes, "labels", "{} labels".format(len(m.labels)), "{} (arch.num_classes)".format(classes))
    need(len(set(m.labels)) == len(m.labels), "labels", "a label twice", "labels that differ")
    need(
        set(m.decision.ignored) <= set(m.labels),
        "decision.ignored",
        ", ".join(sorted(set(m.decision.ignored) - set(m.labels))),
        "labels of the model",
    )
    online = m.mode == "online"
    need(
        not (online and shift.direction == "bidirectional"),
        "shift.direction",
        "bidirectional in an online model",
        "causal: a bidirectional network reads the next frame, which a live stream does not have",
    )
    need(
        len(m.caches) == (len(shift.places) if online else 0),
        "caches",
        "{} caches for {} shifts".format(len(m.caches), len(shift.places)),
        "one for each shift online, none offline",
    )
    need(min(frame.height, frame.width) >= 1, "frame", (frame.height, frame.width), "a size of at least 1x1")
    need(
        frame.short_side >= max(frame.height, frame.width),
        "frame.short_side",
        frame.short_side,
        "at least the crop's {}x{}".format(frame.height, frame.width),
    )
    need(all(s > 0 for s in frame.std), "frame.std", frame.std, "three values above 0")
    need(m.fps is None or m.fps > 0, "fps", m.fps, "frames per second above 0, or null for every frame")
    need(shift.fold_div >= 1 and shift.n_segment >= 1, "shift", shift, "fold_div and n_segment of at least 1")
    need(m.decision.window >= 1, "decision.window", m.decision.window, "at least 1")
    need(m.decision.hysteresis >= 1, "decision.hysteresis", m.decision.hysteresis, "at least 1")
    need(0 <= m.decision.threshold <= 1, "decision.threshold", m.decision.threshold, "0 to 1")


def sidecar_path(model_path):
    """Where the manifest beside a model stands: x.onnx -> x.json, any other name -> name.json."""
    stem, extension = os.path.splitext(model_path)
    return (stem if extension == ".onnx" else model_path) + ".json"
