"""The file that `tsm-edge profile` writes: JSON of the records below, checked when it is read.

Times are milliseconds, sizes bytes, unless a name says another unit. A value that this machine or this engine does not
give is null, never 0.
"""

import json
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

from tsm_edge.errors import InputError
from tsm_edge.files import read_limited
from tsm_edge.schema import decode, encode, shortened

FORMAT = "tsm-edge profile"
FORMAT_VERSION = 2  # since version 2 there is "corrupt", and "overhead" instead of "ours"

# The stages that make up the loop's time, in order.
LOOP_STAGES = ("wait", "preprocess", "infer", "decide", "sink")
PARALLEL_STAGES = ("capture", "decode")  # in the source's thread, meanwhile
DERIVED_STAGES = ("host-to-device", "frame", "latency", "interval")
STAGES = PARALLEL_STAGES + LOOP_STAGES + DERIVED_STAGES  # in the order in which they are shown
RUNTIME_STAGES = ("preprocess", "decide", "sink")  # the work on a frame that is not the engine's
LAYER_GROUPS = ("shift", "layout", "other")  # layout: conversions around shifts
MAX_BYTES = 16 << 20  # of a file
MAX_MILLISECONDS = 1e9  # no stage takes longer than eleven days
MIN_MILLISECONDS = 1e-9  # of times that are divided by
MAX_READING = 1e15  # of a sensor
MAX_TEXT = 300  # characters of a text from the file in a message
_DO = "profile again with this release: tsm-edge profile --json FILE"


class Machine(NamedTuple):
    """What the run was on. cores: that this process may use. board, power_mode: of a Jetson, null elsewhere."""

    cpu: str
    cores: int
    machine: str
    memory_mb: Optional[int]
    board: Optional[str]
    power_mode: Optional[str]


class Subject(NamedTuple):
    """The model that ran. threads: as asked for, null for the back end's choice. frame: (width, height) in pixels."""

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
    """Where the frames came from. kind: "synthetic", or of `tsm_edge.sources.SOURCES`. size: (width, height) in pixels.

    fps: frames/s of the source as the session read it, null where unknown. paced: frames/s at which a recording was
    released. latency_from: the begin of a frame's latency, "due" (paced), "grabbed" (live) or "read begun" (recording).
    """

    kind: str
    name: str
    size: Tuple[int, int]
    fps: Optional[float]
    paced: Optional[float]
    latency_from: str


class Steady(NamedTuple):
    """How the warm-up ended. reached: in the time allowed. spread: the figure of the rule. frames, seconds: of it.

    drift: the median frame time of the last quarter of the run over that of the first quarter, less 1.
    """

    reached: bool
    rule: str
    spread: Optional[float]
    frames: int
    seconds: float
    drift: Optional[float]


class Stage(NamedTuple):
    """The times of one stage. histogram: (from ms, to ms, count) of each bin that is not empty."""

    name: str
    count: int  # type: ignore[assignment]
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float
    jitter: float
    histogram: Tuple[Tuple[float, float, int], ...]


class Blocks(NamedTuple):
    """The run in equal parts of so many frames, in order, which comparisons and plots are made of.

    rows: for each part its end, in seconds since the measurement began, then the mean of each stage in `columns`.
    """

    frames: int
    columns: Tuple[str, ...]
    rows: Tuple[Tuple[float, ...], ...]


class Span(NamedTuple):
    """One stage of one frame on the time line. start: since the first span of the trace."""

    frame: int
    stage: str
    start: float
    duration: float


class Layer(NamedTuple):
    """One layer, its time a step. group: one of LAYER_GROUPS."""

    name: str
    op: str
    group: str
    milliseconds: float


class Layers(NamedTuple):
    """The layers, slowest first, from a separate short run. by: the profiler. step: the time of a whole step meanwhile.

    total, shift, layout: sums over all layers, shifts and layout conversions. rule: how the shifts are known.
    """

    by: str
    steps: int
    step: float
    total: float
    shift: float
    layout: float
    rule: str
    layers: Tuple[Layer, ...]


class Memory(NamedTuple):
    """Memory in use. peak: of the process so far. device: of the accelerator. caches: of one stream, both sets."""

    resident: Optional[int]
    peak: Optional[int]
    device: Optional[int]
    caches: int


class ColdStart(NamedTuple):
    """Medians over `runs` fresh processes. start: of the interpreter. imports: of packages. load: of the model."""

    runs: int
    start: float
    imports: float
    load: float
    first_step: float
    second_step: float


class Load(NamedTuple):
    """Processors busy on average. process: with this process. others: with everything else on this machine."""

    process: float
    others: Optional[float]


class Samples(NamedTuple):
    """Read during the run. rows: seconds since the measurement began, then one value for each column."""

    columns: Tuple[str, ...]
    rows: Tuple[Tuple[Optional[float], ...], ...]


class Sensing(NamedTuple):
    """The board's sensors: name -> [minimum, mean, maximum] in Celsius, MHz, mW. throttling: what slowed it down."""

    temperatures: Dict[str, Any]
    clocks: Dict[str, Any]
    power: Dict[str, Any]
    throttling: Tuple[str, ...]


class Streams(NamedTuple):
    """One batched step of `count` streams against `count` steps of one stream each, the median over `rounds`.

    batched, separate: the time for one frame of every stream. low, high: the 95 % interval of their ratio.
    """

    count: int  # type: ignore[assignment]
    rounds: int
    batched: float
    separate: float
    ratio: float
    low: float
    high: float


class Profile(NamedTuple):
    """A profile.

    dropped, corrupt, resets: while it was measured; corrupt is null in version 1. accounted: the sum of LOOP_STAGES
    over the wall time. overhead: the share of RUNTIME_STAGES in the work on a frame, whose rest is the engine's.
    """

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
    corrupt: Optional[int]
    resets: int
    accounted: float
    overhead: float
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
    cold: Optional[ColdStart]
    notes: Tuple[str, ...]


def to_json(profile: Profile) -> str:
    """Return the profile as JSON text. Numbers keep six significant digits: finer than any clock here."""
    return json.dumps(_rounded(encode(profile)), allow_nan=False, separators=(",", ":")) + "\n"


def load(path: str) -> Profile:
    """Read and check the profile in a file, of this version or of version 1. Raises InputError where it holds none."""
    data = read_limited(path, MAX_BYTES, "a file of tsm-edge profile --json", _DO)
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _refused(path, "damaged JSON ({})".format(error), "a whole profile") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise _refused(path, "JSON of another kind", '"format": "{}"'.format(FORMAT))
    if value.get("format_version") == 1:
        value = {"overhead" if name == "ours" else name: item for name, item in value.items()}
        value.update(format_version=FORMAT_VERSION, corrupt=None)
    if value.get("format_version") != FORMAT_VERSION:
        raise _refused(path + ": format_version", value.get("format_version"), "1 or {}".format(FORMAT_VERSION))
    try:
        profile = decode(Profile, value, path)
    except InputError as error:
        raise _refused(error.where, error.got, error.expected) from error
    check(profile, path)
    return profile


def check(profile: Profile, where: str) -> None:
    """Raise InputError where parts of a profile contradict each other. where: the path, for messages."""
    tables: Any = (("blocks", profile.blocks), ("samples", profile.samples))
    for name, table in tables:
        if any(len(row) != len(table.columns) + 1 for row in table.rows):
            raise _refused("{}: {}".format(where, name), "rows of another length", len(table.columns) + 1)
    for kind in ("temperatures", "clocks", "power"):
        for name, values in getattr(profile.sensing, kind).items():
            numbers = values if isinstance(values, list) and len(values) == 3 else []
            if not numbers or not all(isinstance(v, (int, float)) and abs(v) <= MAX_READING for v in numbers):
                raise _refused("{}: sensing {} {}".format(where, kind, name), values, "minimum, mean and maximum")
    names = [stage.name for stage in profile.stages]
    if len(set(names)) != len(names) or not set(names) <= set(STAGES):
        raise _refused(where + ": stages", ", ".join(names), "each of {} once at most".format(", ".join(STAGES)))
    missing = [name for name in LOOP_STAGES + ("frame", "latency") if name not in names]
    if missing or not profile.blocks.rows or profile.frames < 1:
        raise _refused(where, "no " + (", ".join(missing) or "frames"), "a run of at least one frame")
    for stage in profile.stages:
        figures = (stage.mean, stage.p50, stage.p90, stage.p95, stage.p99, stage.max, stage.jitter)
        if not _possible(figures) or not stage.p50 <= stage.p99 <= stage.max * 1.01:
            raise _refused("{}: stage {}".format(where, stage.name), "impossible times", "0 <= p50 <= p99 <= max")
        bins = stage.histogram
        if not bins or sum(count for _, _, count in bins) != stage.count or not _ascending(bins):
            raise _refused("{}: stage {}".format(where, stage.name), "a histogram of another run", stage.count)
    missing = [name for name in LOOP_STAGES if name not in profile.blocks.columns]
    if missing:
        raise _refused(where + ": blocks columns", "no " + ", ".join(missing), "every one of " + ", ".join(LOOP_STAGES))
    ends = [row[0] for row in profile.blocks.rows]
    if not _possible([value for row in profile.blocks.rows for value in row]) or ends != sorted(ends):
        raise _refused(where + ": blocks", "impossible times", "0 or more, in order")
    if not sum(stage.mean for stage in profile.stages if stage.name in LOOP_STAGES) > 0:
        raise _refused(where + ": stages", "no time at all", "times above 0")
    for span in profile.trace:
        if span.stage not in STAGES:
            raise _refused(where + ": trace", "stage " + span.stage, "one of " + ", ".join(STAGES))
    if profile.layers is not None:
        _check_layers(profile.layers, where + ": layers")


def _check_layers(layers: Layers, where: str) -> None:
    if not layers.total > 0:
        raise _refused(where + " total", layers.total, "above 0")
    expected = "one of " + ", ".join(LAYER_GROUPS)
    for layer in layers.layers:
        if layer.group not in LAYER_GROUPS:
            raise _refused("{}: group of {}".format(where, layer.name), layer.group, expected)


def stage(profile: Profile, name: str) -> Optional[Stage]:
    """Return the :class:`Stage` of that name, None where the run had none."""
    return next((stage for stage in profile.stages if stage.name == name), None)


def _possible(times: Sequence[float]) -> bool:
    return 0 <= min(times) <= max(times) <= MAX_MILLISECONDS


def _ascending(bins: Sequence[Tuple[float, float, int]]) -> bool:
    edges = [edge for low, high, _ in bins for edge in (low, high)]
    far = 2 * MAX_MILLISECONDS
    return edges[0] >= 0 and edges[-1] <= far and all(a < b for a, b, _ in bins) and edges == sorted(edges)


def _refused(where: str, got: Any, expected: Any) -> InputError:
    where, got = (text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..." for text in (where, _text(got)))
    return InputError(where, got, expected, _DO)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else shortened(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float("{:.6g}".format(value))
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
