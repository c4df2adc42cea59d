"""What a model file says of itself. Written by the export, checked by every loader.

The manifest is JSON. It stands in the ONNX file's metadata under ``tsm_edge.manifest`` and, with the same content, in
a file beside the model (``model.onnx`` -> ``model.json``, ``model.trt`` -> ``model.trt.json``).
"""

import json
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode, shortened
from tsm_edge.text import one_line

FORMAT_VERSION = 2
METADATA_KEY = "tsm_edge.manifest"
MAX_BYTES = 4 << 20  # of a file that holds a manifest beside a model

MODES = ("online", "offline")
DIRECTIONS = ("causal", "bidirectional", "none")
LOWERINGS = ("custom", "standard")
DTYPES = ("float32", "float16", "int8", "uint8", "int32", "int64", "bool")
CACHE_DTYPES = ("float32", "float16")
CROPS = ("center", "letterbox")
PRECISIONS = ("float32", "float16", "fp32", "fp16", "int8")  # the last three: of engines that TensorRT built
DIALECTS = ("mit",)  # Paddle's, whose first fold takes the past, would need its channels permuted


HALF = ("float16", "fp16", "int8")  # precisions whose caches may be float16


class Limit(NamedTuple):
    """The bounds of one number, both included, and why they lie there."""

    name: str  # the path to the number in a manifest or a recipe, such as "arch.width"
    least: float  # the smallest number that is allowed
    most: float  # the largest number that is allowed
    reason: str  # half a sentence


LIMITS = (
    Limit("arch.width", 0.01, 4, "published networks end at 1.4; the weights grow with its square"),
    Limit("arch.num_classes", 1, 32768, "ImageNet-21k has 21,841 classes"),
    Limit("shift.fold_div", 1, 1024, "no network here has a shift of more channels"),
    Limit("shift.n_segment", 1, 256, "published clips have 8 to 64 frames; a proof holds twice as many"),
    Limit("frame.height", 1, 4096, "beyond it one frame takes more than 200 MB"),
    Limit("frame.width", 1, 4096, "beyond it one frame takes more than 200 MB"),
    Limit("frame.short_side", 1, 8192, "each camera frame is resized to it"),
    Limit("fps", 0.001, 1000, "frames per second, or null for every frame; no camera is faster"),
)
MAX_MEMORY_BYTES = 512 << 20  # of `memory_bytes`; 8 frames of 1080p take 200 MB
MAX_SHIFTS, MAX_OUTPUTS = 1000, 64  # a ResNet-50 has 16 shifts, a classifier one output
MAX_NAME = 200  # characters; a label is drawn on each frame

Rule = Tuple[bool, str, Any, str]  # whether it holds, the name, what was got, what is expected


class ArchSpec(NamedTuple):
    """The network architecture."""

    name: str  # "mobilenetv2", "resnet50", …: a key of `tsm_edge_export.models.ARCHITECTURES`
    width: float  # MobileNetV2's multiplier, 1.0 elsewhere
    num_classes: int  # rows of the classifier


class ShiftSpec(NamedTuple):
    """The temporal shift of a network."""

    dialect: str  # whose convention the weights follow ("mit": the first fold takes t+1 offline, t-1 online)
    direction: str  # "causal", "bidirectional", or "none" (a 2D network, TSN)
    fold_div: int  # one fold is 1/fold_div of the channels
    n_segment: int  # frames T of the training clips
    places: Tuple[str, ...]  # the modules whose input is shifted, by name, in the order of the caches


class FrameSpec(NamedTuple):
    """The input tensor and how a camera frame becomes it.

    With the crop "center" the short side is resized to `short_side` (bilinear, antialiased), and the centre (height,
    width) is cropped. With "letterbox" the whole frame is resized to fit into (height, width) and centred; a border of
    the mean colour fills the rest. Then values are divided by 255, and become (value - mean) / std for each channel in
    the order of `colour` ("RGB" or "BGR"). `tsm_edge.geometry` has the exact sizes.
    """

    layout: str  # "NCHW"
    colour: str  # "RGB" or "BGR": the order of the channels
    height: int  # pixels of the input tensor
    width: int  # pixels of the input tensor
    short_side: int  # pixels, after the resize and before the crop; "letterbox" does not use it
    crop: str  # "center" or "letterbox"
    mean: Tuple[float, float, float]  # of each channel, on the scale from 0 to 1
    std: Tuple[float, float, float]  # of each channel, on the scale from 0 to 1


class CacheSpec(NamedTuple):
    """One cached slice: the channels that a shift keeps of the frame before."""

    input: str  # of the graph: "cache_00", "cache_01", …
    output: str  # of the graph: "cache_00_next", "cache_01_next", …
    shape: Tuple[int, int, int]  # (F, H, W) of one stream
    dtype: str  # "float32" or "float16"


class OutputSpec(NamedTuple):
    """One output of the network."""

    name: str  # of the graph: "logits" of a classifier
    shape: Tuple[int, ...]  # of one stream, without the batch axis
    dtype: str  # as NumPy calls it


class WeightsSpec(NamedTuple):
    """Where the weights come from."""

    sha256: str  # over all tensors by name
    source: str  # the file or rule they came from
    trained: bool  # False for a random start, which every command then says


class Manifest(NamedTuple):
    """All that a model file says of itself."""

    format_version: int  # 2; see FORMAT_VERSION
    task: str  # what the outputs mean: a key of `tsm_edge.heads.TASKS`, such as "classification"
    recipe: str  # the name of the recipe that it was exported from
    arch: ArchSpec  # the network
    mode: str  # "online" (one frame a step) or "offline" (whole clips)
    shift: ShiftSpec  # the temporal shift
    frame: FrameSpec  # the input tensor
    caches: Tuple[CacheSpec, ...]  # one for each shift, in the order of the graph; none offline
    outputs: Tuple[OutputSpec, ...]  # in the order of the graph, without the caches
    labels: Tuple[str, ...]  # a name for each class
    fps: Optional[float]  # frames/s that the model expects, None for every frame of the source
    decision: Dict[str, Any]  # options of the task's head
    lowering: str  # "custom" (the shift is a node of our domain) or "standard" (standard ONNX operations)
    precision: str  # one of PRECISIONS
    weights: WeightsSpec  # where the weights come from
    parity: Dict[str, Any]  # the report of the export's proof: its comparisons with their errors


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
    return from_data(parsed(text, where), where)


def parsed(text: Union[str, bytes], where: str) -> Dict[str, Any]:
    """Return a manifest's JSON as plain values, of which only `format_version` is checked. Raises as `from_json`."""
    try:
        data = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        got = "damaged JSON ({})".format(error)
        raise InputError("{}: manifest".format(where), got, "a whole manifest", "export the model again") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if type(version) is not int or version not in (1, FORMAT_VERSION):
        raise InputError(
            "{}: manifest format_version".format(where),
            shortened(version),
            "1 or {}".format(FORMAT_VERSION),
            "export the model again with this release of tsm-edge, or install the release that wrote it",
        )
    return data


def from_data(data: Dict[str, Any], where: str) -> Manifest:
    """Return the checked manifest of the values that `parsed` returned. Raises as `from_json`."""
    data = upgraded(data) if data["format_version"] == 1 else data
    manifest = decode(Manifest, data, "{}: manifest".format(where))
    check(manifest, where)
    if not manifest.weights.sha256:
        where = "{}: manifest weights.sha256".format(where)
        raise InputError(where, "none", "64 hexadecimal digits", "export it again")
    return manifest


def upgraded(data: Dict[str, Any]) -> Dict[str, Any]:
    """Return a manifest of format version 1, not checked yet, as one of version 2: every model classified."""
    classes = data["arch"].get("num_classes") if isinstance(data.get("arch"), dict) else None
    outputs = [{"name": "logits", "shape": [classes], "dtype": "float32"}]
    return dict(data, format_version=FORMAT_VERSION, task="classification", outputs=outputs)


def check(manifest: Manifest, where: str) -> None:
    """Raise InputError where a manifest's numbers are out of bounds, or where parts of it contradict each other."""
    check_limits(manifest, where)
    for holds, name, got, expected in _rules(manifest) + _list_rules(manifest) + _parity_rules(manifest.parity):
        if not holds:
            raise _wrong("{}: manifest {}".format(where, name), got, expected)


def check_limits(values: Any, where: str) -> None:
    """Raise InputError where a number is out of the bounds of LIMITS, before anything is built from it.

    values: a Manifest, or a recipe, which has part of the same fields.
    """
    for limit in LIMITS:
        value = values
        for name in limit.name.split("."):
            value = getattr(value, name, None)
        if value is not None and not limit.least <= value <= limit.most:
            name, expected = "{}: manifest {}".format(where, limit.name), "{:,} to {:,}".format(limit.least, limit.most)
            raise _wrong(name, shortened(value), "{} ({})".format(expected, limit.reason))


def memory_bytes(manifest: Manifest) -> int:
    """Return the bytes of one clip of frames, of both sets of caches and of all outputs, for one stream."""
    frame, sizes = manifest.frame, {"float32": 4, "float16": 2, "int32": 4, "int64": 8}
    total = manifest.shift.n_segment * 3 * frame.height * frame.width * sizes["float32"]
    tensors: List[Any] = list(manifest.caches) * 2
    for tensor in tensors + list(manifest.outputs):
        size = sizes.get(tensor.dtype, 1)
        for length in tensor.shape:
            size *= length
        total += size
    return total


def _rules(m: Manifest) -> List[Rule]:
    """Return what must hold of single values and of numbers together."""
    frame, shift, online = m.frame, m.shift, m.mode == "online"
    half = any(cache.dtype == "float16" for cache in m.caches)
    rules: List[Rule] = [
        (value in allowed, name, shortened(value), "one of " + ", ".join(allowed))
        for name, value, allowed in (
            ("mode", m.mode, MODES),
            ("shift.dialect", shift.dialect, DIALECTS),
            ("shift.direction", shift.direction, DIRECTIONS),
            ("lowering", m.lowering, LOWERINGS),
            ("precision", m.precision, PRECISIONS),
            ("frame.colour", frame.colour, ("RGB", "BGR")),
            ("frame.layout", frame.layout, ("NCHW",)),
            ("frame.crop", frame.crop, CROPS),
        )
    ]
    return rules + [
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
        (
            frame.crop == "letterbox" or frame.short_side >= max(frame.height, frame.width),
            "frame.short_side",
            frame.short_side,
            "at least the crop's {}x{}".format(frame.height, frame.width),
        ),
        (all(1e-6 <= s <= 1e6 for s in frame.std), "frame.std", frame.std, "three values above 0, 1e-6 to 1e6"),
        (all(abs(value) <= 1e6 for value in frame.mean), "frame.mean", frame.mean, "three values of at most 1e6"),
        (not half or m.precision in HALF, "caches", "float16 in a {} model".format(m.precision), "its precision"),
        (
            bool(re.match("([0-9a-f]{64})?$", m.weights.sha256)),  # empty in a manifest that only checks a recipe
            "weights.sha256",
            shortened(m.weights.sha256),
            "64 hexadecimal digits",
        ),
        (
            memory_bytes(m) <= MAX_MEMORY_BYTES,
            "frame, caches and outputs",
            "{:,} bytes for one stream".format(memory_bytes(m)),
            "at most {:,}".format(MAX_MEMORY_BYTES),
        ),
    ]


def _list_rules(m: Manifest) -> List[Rule]:
    """Return what must hold of names and of lists."""
    classes, outputs = m.arch.num_classes, [output.name for output in m.outputs]
    tensors = outputs + [name for cache in m.caches for name in (cache.input, cache.output)]
    rules: List[Rule] = [
        (len(m.labels) == classes, "labels", "{} labels".format(len(m.labels)), "{} (num_classes)".format(classes)),
        (len(set(m.labels)) == len(m.labels), "labels", "a label twice", "labels that differ"),
        (
            bool(outputs) and len(set(tensors) | {"frame", "frames"}) == len(tensors) + 2,
            "outputs",
            shortened(", ".join(outputs)),
            "names that differ, at least one",
        ),
    ]
    for name, count, most in (
        ("shift.places", len(m.shift.places), MAX_SHIFTS),
        ("outputs", len(m.outputs), MAX_OUTPUTS),
    ):
        rules.append((count <= most, name, "{} of them".format(count), "at most {}".format(most)))
    named = [("task", m.task), ("recipe", m.recipe), ("arch.name", m.arch.name)]
    named += [("labels[{}]".format(index), label) for index, label in enumerate(m.labels)]
    named += [("shift.places", place) for place in m.shift.places]
    named += [("caches", name) for cache in m.caches for name in (cache.input, cache.output)]
    named += [("outputs", name) for name in outputs]
    expected = "1 to {} characters, not blank, without control characters".format(MAX_NAME)
    rules += [(is_name(text), name, shortened(text), expected) for name, text in named]
    specs: List[Tuple[str, Any, Tuple[str, ...]]] = [("caches." + c.input, c, CACHE_DTYPES) for c in m.caches]
    specs += [("outputs." + output.name, output, DTYPES) for output in m.outputs]
    for name, spec, dtypes in specs:
        sizes = shortened(spec.shape)
        rules.append((min(spec.shape + (1,)) >= 1 and len(spec.shape) <= 8, name, sizes, "sizes of at least 1"))
        rules.append((spec.dtype in dtypes, name, shortened(spec.dtype), "one of " + ", ".join(dtypes)))
    return rules


def _parity_rules(parity: Dict[str, Any]) -> List[Rule]:
    """Return what must hold of the report of a proof: it passed, and so did all that it compared."""
    rows = parity.get("comparisons", [])
    if not parity or not isinstance(rows, list):
        return [(not parity, "parity.comparisons", shortened(rows), "a list")]
    failed = [row for row in rows if not _passed(row)]
    return [
        (parity.get("passed") is True, "parity.passed", shortened(parity.get("passed")), "true: a proof that passed"),
        (not failed, "parity.comparisons", shortened(failed[:1]), "errors that are at most the tolerance"),
    ]


def _passed(row: Any) -> bool:
    numbers: List[Any] = [row.get(name) for name in ("error", "tolerance")] if isinstance(row, dict) else []
    return [type(n) in (int, float) for n in numbers] == [True, True] and numbers[0] <= numbers[1]


def is_name(text: str) -> bool:
    """Return whether `text` may name a label or a tensor: 1 to MAX_NAME characters that show on one line."""
    return bool(text.strip()) and len(text) <= MAX_NAME and one_line(text) == text


def _wrong(where: str, got: Any, expected: str) -> InputError:
    return InputError(where, got, expected, "correct the recipe and export the model again")


def files_of_model(path: str) -> List[Tuple[str, str]]:
    """Return (what, path) of the files that belong to a model, so that no output overwrites them."""
    return [("the model", path), ("the model's manifest", sidecar_path(path))]


def sidecar_path(model_path: str) -> str:
    """Return where the manifest beside a model stands: x.onnx -> x.json, any other name -> name.json."""
    stem, extension = os.path.splitext(model_path)
    return (stem if extension == ".onnx" else model_path) + ".json"
