"""The file that `tsm-edge profile` writes: JSON of the records below, checked when it is read.

Times are milliseconds, sizes bytes, unless a name says another unit. A value that this machine or this engine does not
give is null, never 0.
"""

import json
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode
from tsm_edge.sinks.files import check_output, unwritable

FORMAT = "tsm-edge profile"
FORMAT_VERSION = 1

# The stages that make up the loop's time, in order; capture and decode run in the thread beside it.
LOOP = ("wait", "preprocess", "infer", "decide", "sink")
BESIDE = ("capture", "decode")
DERIVED = ("host-to-device", "frame", "latency", "interval")
MOST = 1e9  # ms: no stage takes longer than eleven days
OURS = ("preprocess", "decide", "sink")


class Machine(NamedTuple):
    """What it ran on. cores: those that this process may use. board, power_mode: of a Jetson, else null."""

    cpu: str
    cores: int
    machine: str
    memory_mb: Optional[int]
    board: Optional[str]
    power_mode: Optional[str]


class Subject(NamedTuple):
    """What ran. threads: of one step as asked for, null for the back end's choice. frame: width, height."""

    engine: str
    backend: str
    shift_by: str
    recipe: str
    weights_sha256: str
    weights_trained: bool
    precision: str
    lowering: str
    threads: Optional[int]
    preprocess: str
    frame: Tuple[int, int]


class Origin(NamedTuple):
    """Where the frames came from. kind: "synthetic", "file", "folder", "camera", "csi" or "network".

    paced: frames/s that they were released at, null for as fast as they were taken (or for a live source's own rate).
    latency_from: what the latency of a frame is counted from: "due", "grabbed" or "read begun".
    """

    kind: str
    name: str
    size: Tuple[int, int]
    fps: Optional[float]
    paced: Optional[float]
    latency_from: str


class Steady(NamedTuple):
    """How the warm-up ended. reached: by the rule (else by the time allowed). spread: the rule's figure at its end.

    drift: the median frame time of the last quarter of the measured blocks over that of the first one, less 1.
    """

    reached: bool
    rule: str
    spread: Optional[float]
    frames: int
    seconds: float
    drift: Optional[float]


class Stage(NamedTuple):
    """One stage. histogram: (from ms, to ms, count) of each bin that holds something."""

    name: str
    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    jitter: float
    histogram: Tuple[Tuple[float, float, int], ...]


class Blocks(NamedTuple):
    """The run in equal parts, in order: what comparisons and plots are made of.

    frames: in each part. columns: the names of the values. rows: for each part its end, in seconds since the
    measurement began, then the mean of each column in ms.
    """

    frames: int
    columns: Tuple[str, ...]
    rows: Tuple[Tuple[float, ...], ...]


class Span(NamedTuple):
    """One stage of one frame on the time line. start: ms since the first frame of the trace was taken."""

    frame: int
    stage: str
    start: float
    duration: float


class Layer(NamedTuple):
    """One layer of the engine, ms a step. group: "shift", "layout" (conversions around it) or "other"."""

    name: str
    op: str
    group: str
    milliseconds: float


class Layers(NamedTuple):
    """Of a separate short run. by: what measured it. steps: how many. total, shift, layout: sums over the layers."""

    by: str
    steps: int
    step: float
    total: float
    shift: float
    layout: float
    rule: str
    layers: Tuple[Layer, ...]


class Memory(NamedTuple):
    """peak: of the process so far. device: of the accelerator. caches: of one stream, both buffer sets."""

    resident: Optional[int]
    peak: Optional[int]
    device: Optional[int]
    caches: int


class Start(NamedTuple):
    """Medians over `runs` fresh processes, ms. start: of the interpreter; import: of packages; load: of the model."""

    runs: int
    start: float
    imports: float
    load: float
    first_step: float
    second_step: float


class Load(NamedTuple):
    """Processors busy on average: process: with us; others: with everything else on this machine."""

    process: float
    others: Optional[float]


class Samples(NamedTuple):
    """Read beside the run. rows: seconds since the measurement began, then one value a column; null where unknown."""

    columns: Tuple[str, ...]
    rows: Tuple[Tuple[Optional[float], ...], ...]


class Sensing(NamedTuple):
    """temperatures, clocks, power: sensor -> [least, mean, most] of the run (Celsius, MHz, mW)."""

    temperatures: Dict[str, Any]
    clocks: Dict[str, Any]
    power: Dict[str, Any]
    throttling: Tuple[str, ...]


class Streams(NamedTuple):
    """count streams in one batched step against `count` states stepped in turn, ms for one frame of every stream.

    ratio: batched / separate, the median over rounds; low, high: its 95 % interval.
    """

    count: int
    rounds: int
    batched: float
    separate: float
    ratio: float
    low: float
    high: float


class Profile(NamedTuple):
    """All of it. accounted: the sum of the loop's stages over the wall time. ours: our share of a frame's work."""

    format: str
    format_version: int
    tsm_edge: str
    versions: Dict[str, Any]
    date: str
    machine: Machine
    subject: Subject
    source: Origin
    sinks: Tuple[str, ...]
    frames: int
    seconds: float
    fps: float
    dropped: int
    resets: int
    accounted: float
    ours: float
    steady: Steady
    stages: Tuple[Stage, ...]
    blocks: Blocks
    trace: Tuple[Span, ...]
    memory: Memory
    load: Load
    samples: Samples
    sensing: Sensing
    layers: Optional[Layers]
    streams: Optional[Streams]
    cold: Optional[Start]
    notes: Tuple[str, ...]


def to_json(profile):
    """The profile as JSON text (str). Numbers keep six significant digits: finer than any clock here."""
    return json.dumps(_rounded(encode(profile)), allow_nan=False, separators=(",", ":")) + "\n"


def save(text, path):
    """Write `text` to `path`, whole or not at all. Raises InputError where that cannot be."""
    check_output(path)
    beside = "{}.{}.tmp".format(path, os.getpid())
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # /dev/stdout, a named pipe
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        if os.path.exists(beside):
            os.remove(beside)
        raise unwritable(path, error) from error


def load(path):
    """The checked :class:`Profile` in the file at `path`. Raises InputError where it holds none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise _refused(path, error.strerror, "a file of tsm-edge profile --json") from error
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, "damaged JSON ({})".format(error), "a whole profile") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _refused(path, "JSON of another kind", '"format": "{}"'.format(FORMAT))
    if value.get("format_version") != FORMAT_VERSION:
        raise _refused(path + ": format_version", repr(value.get("format_version")), FORMAT_VERSION)
    try:
        profile = decode(Profile, value, path)
    except InputError as error:
        raise _refused(error.where, error.got, error.expected) from error
    check(profile, path)
    return profile


def check(profile, where):
    """Raise InputError where parts of a profile contradict each other."""
    for name, table in (("blocks", profile.blocks), ("samples", profile.samples)):
        wide = {len(row) for row in table.rows}
        if not wide <= {len(table.columns) + 1}:
            raise _refused("{}: {}".format(where, name), "rows of another length", len(table.columns) + 1)
    for kind in ("temperatures", "clocks", "power"):
        for name, values in getattr(profile.sensing, kind).items():
            numbers = isinstance(values, list) and [v for v in values if isinstance(v, (int, float))]
            if not numbers or len(values) != 3 or len(numbers) != 3:
                raise _refused("{}: sensing {} {}".format(where, kind, name), values, "least, mean and most")
    names = [stage.name for stage in profile.stages]
    if len(set(names)) != len(names) or not set(names) <= set(LOOP + BESIDE + DERIVED):
        raise _refused(where + ": stages", ", ".join(names), "each of {} once".format(", ".join(LOOP + BESIDE)))
    missing = [name for name in LOOP + ("frame", "latency") if name not in names]
    if missing or not profile.blocks.rows or profile.frames < 1:
        raise _refused(where, "no " + (", ".join(missing) or "frames"), "a run of at least one frame")
    for stage in profile.stages:
        figures = (stage.mean, stage.p50, stage.p90, stage.p95, stage.p99, stage.max, stage.jitter)
        if not 0 <= min(figures) <= max(figures) <= MOST or not stage.p50 <= stage.p99 <= stage.max * 1.01:
            raise _refused("{}: stage {}".format(where, stage.name), "impossible times", "0 <= p50 <= p99 <= max")
        bins = stage.histogram
        if not bins or sum(count for _, _, count in bins) != stage.count or not _ascending(bins):
            raise _refused("{}: stage {}".format(where, stage.name), "a histogram of another run", stage.count)
    values = [value for row in profile.blocks.rows for value in row]
    ends = [row[0] for row in profile.blocks.rows]
    if not 0 <= min(values) <= max(values) <= MOST or ends != sorted(ends):
        raise _refused(where + ": blocks", "impossible times", "0 or more, in order")
    if not sum(stage.mean for stage in profile.stages if stage.name in LOOP) > 0:
        raise _refused(where + ": stages", "no time at all", "times above 0")
    if profile.layers is not None and not profile.layers.total > 0:
        raise _refused(where + ": layers total", profile.layers.total, "above 0")


def _ascending(bins):
    edges = [edge for low, high, _ in bins for edge in (low, high)]
    return (
        edges[0] >= 0 and edges[-1] <= 2 * MOST and all(low < high for low, high, _ in bins) and edges == sorted(edges)
    )


def stage(profile, name):
    """The :class:`Stage` of that name, None where the run had none."""
    return next((stage for stage in profile.stages if stage.name == name), None)


def _refused(where, got, expected):
    return InputError(where, got, expected, "profile again with this release: tsm-edge profile --json FILE")


def _rounded(value):
    if isinstance(value, float):
        return float("{:.6g}".format(value))
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
