"""What a model file says of itself. Written by the export, checked by every loader.

The manifest is JSON. It stands in the ONNX file's metadata under ``tsm_edge.manifest`` and, with the same content, in
a file beside the model (``model.onnx`` -> ``model.json``, ``model.trt`` -> ``model.trt.json``).
"""

import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode

FORMAT_VERSION = 2
METADATA_KEY = "tsm_edge.manifest"

MODES = ("online", "offline")
DIRECTIONS = ("causal", "bidirectional", "none")
LOWERINGS = ("custom", "standard")
DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "bool")
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


class OutputSpec(NamedTuple):
    """One output of the network: its name, its shape for one stream (without the batch axis), its dtype."""

    name: str
    shape: Tuple[int, ...]
    dtype: str


class WeightsSpec(NamedTuple):
    """The weights.

    sha256: over all tensors by name. source: the file or rule they came from. trained: False for a random start,
    which every command then says.
    """

    sha256: str
    source: str
    trained: bool


class Manifest(NamedTuple):
    """All of it.

    task: what the outputs mean, "classification" (see `tsm_edge.heads`). decision: the options of that task's head.
    fps: frames/s that the model expects (None: every frame). parity: the report of `tsm-edge verify`.
    """

    format_version: int
    task: str
    recipe: str
    arch: ArchSpec
    mode: str
    shift: ShiftSpec
    frame: FrameSpec
    caches: Tuple[CacheSpec, ...]
    outputs: Tuple[OutputSpec, ...]
    labels: Tuple[str, ...]
    fps: Optional[float]
    decision: Dict[str, Any]
    lowering: str
    precision: str
    weights: WeightsSpec
    parity: Dict[str, Any]


def to_json(manifest: Manifest) -> str:
    """Return the manifest as JSON text, keys in the order of the fields."""
    return json.dumps(encode(manifest), indent=1)


def require_online(manifest: Manifest, where: str) -> None:
    """Raise InputError where a stream cannot be run through the model `where`."""
    if manifest.mode != "online":
        raise InputError(
            "{}: mode".format(where),
            "an offline ({}) model".format(manifest.shift.direction),
            "an online one: a live stream has no next frame",
            "export causal weights with --mode online",
        )


def from_json(text: Union[str, bytes], where: str) -> Manifest:
    """Parse and check a manifest.

    Args:
        text: the JSON.
        where: what to call it in messages (the file's path).

    Raises:
        InputError: damaged JSON, an unknown format version, missing or unknown keys, impossible values.
    """
    try:
        data = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        got = "damaged JSON ({})".format(error)
        raise InputError("{}: manifest".format(where), got, "a whole manifest", "export the model again") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if version == 1:
        data = upgraded(data)
    elif version != FORMAT_VERSION:
        raise InputError(
            "{}: manifest format_version".format(where),
            repr(version),
            "1 or {}".format(FORMAT_VERSION),
            "export the model again with this release of tsm-edge, or install the release that wrote it",
        )
    manifest = decode(Manifest, data, "{}: manifest".format(where))
    check(manifest, where)
    return manifest


def upgraded(data: Dict[str, Any]) -> Dict[str, Any]:
    """Return a manifest of format version 1, not checked yet, as one of version 2: every model classified."""
    classes = data["arch"].get("num_classes") if isinstance(data.get("arch"), dict) else None
    outputs = [{"name": "logits", "shape": [classes], "dtype": "float32"}]
    return dict(data, format_version=FORMAT_VERSION, task="classification", outputs=outputs)


def check(manifest: Manifest, where: str) -> None:
    """Raise InputError where parts of a manifest contradict each other."""
    m, frame, shift = manifest, manifest.frame, manifest.shift
    classes, online = m.arch.num_classes, m.mode == "online"
    names = [output.name for output in m.outputs]
    taken = names + [name for cache in m.caches for name in (cache.input, cache.output)] + ["frame", "frames"]
    rules: List[Tuple[bool, str, Any, str]] = [
        (value in allowed, name, repr(value), "one of " + ", ".join(allowed))
        for name, value, allowed in (
            ("mode", m.mode, MODES),
            ("shift.dialect", shift.dialect, DIALECTS),
            ("shift.direction", shift.direction, DIRECTIONS),
            ("lowering", m.lowering, LOWERINGS),
            ("frame.colour", frame.colour, ("RGB", "BGR")),
            ("frame.layout", frame.layout, ("NCHW",)),
            ("frame.crop", frame.crop, ("center",)),
        )
    ]
    rules += [
        (min(output.shape + (1,)) >= 1, "outputs." + output.name, output.shape, "sizes of at least 1")
        for output in m.outputs
    ]
    rules += [
        (output.dtype in DTYPES, "outputs." + output.name, output.dtype, "one of " + ", ".join(DTYPES))
        for output in m.outputs
    ]
    rules += [
        (classes >= 1, "arch.num_classes", classes, "at least 1"),
        (len(m.labels) == classes, "labels", "{} labels".format(len(m.labels)), "{} (num_classes)".format(classes)),
        (len(set(m.labels)) == len(m.labels), "labels", "a label twice", "labels that differ"),
        (bool(names) and len(set(taken)) == len(taken), "outputs", ", ".join(names), "names that differ, at least one"),
        (
            not (online and shift.direction == "bidirectional"),
            "shift.direction",
            "bidirectional in an online model",
            "causal: a bidirectional network reads the next frame, which a live stream does not have",
        ),
        (
            len(m.caches) == (len(shift.places) if online else 0),
            "caches",
            "{} caches for {} shifts".format(len(m.caches), len(shift.places)),
            "one for each shift online, none offline",
        ),
        (min(frame.height, frame.width) >= 1, "frame", (frame.height, frame.width), "a size of at least 1x1"),
        (
            frame.short_side >= max(frame.height, frame.width),
            "frame.short_side",
            frame.short_side,
            "at least the crop's {}x{}".format(frame.height, frame.width),
        ),
        (all(s > 0 for s in frame.std), "frame.std", frame.std, "three values above 0"),
        (m.fps is None or m.fps > 0, "fps", m.fps, "frames per second above 0, or null for every frame"),
        (shift.fold_div >= 1 and shift.n_segment >= 1, "shift", shift, "fold_div and n_segment of at least 1"),
    ]
    for holds, name, got, expected in rules:
        if not holds:
            do = "correct the recipe and export the model again"
            raise InputError("{}: manifest {}".format(where, name), got, expected, do)


def sidecar_path(model_path: str) -> str:
    """Return where the manifest beside a model stands: x.onnx -> x.json, any other name -> name.json."""
    stem, extension = os.path.splitext(model_path)
    return (stem if extension == ".onnx" else model_path) + ".json"
