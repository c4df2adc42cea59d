"""`tsm-edge info`: show a model's manifest, and what a TensorRT engine was built for."""

import argparse
import os
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from tsm_edge.commands.arguments import file_name
from tsm_edge.commands.output import print_text
from tsm_edge.engines import read_model_file
from tsm_edge.engines.tensorrt.record import EXTENSIONS, EngineRecord, check_text, read_record
from tsm_edge.heads import head_class
from tsm_edge.manifest import Manifest, OutputSpec, to_json
from tsm_edge.text import one_line

COLUMNS = 100  # of a line of labels


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `tsm-edge info`."""
    parser.add_argument("file", metavar="FILE", type=file_name, help="a model file, *.onnx or *.trt")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def run(options: argparse.Namespace) -> int:
    """Print what the model file says about itself."""
    model = read_model_file(options.file)
    if options.json:
        print_text(to_json(model.manifest))
        return 0
    rows = list(manifest_rows(model.manifest, options.file, model.sha256))
    if os.path.splitext(options.file)[1] in EXTENSIONS:
        rows += engine_rows(read_record(options.file))
    print_text("\n".join("{:<11} {}".format(name, one_line(value)).rstrip() for name, value in rows))
    return 0


def manifest_rows(manifest: Manifest, path: str, sha256: Optional[str]) -> Iterator[Tuple[str, str]]:
    """Yield (name, value) for what the manifest of the model file at `path` says; sha256: its checked checksum."""
    m, frame, shift = manifest, manifest.frame, manifest.shift
    yield "recipe", m.recipe
    yield "network", "{}, width {:g}, {} classes".format(m.arch.name, m.arch.width, m.arch.num_classes)
    shifted = "{} shift of 1/{} of the channels".format(shift.direction, shift.fold_div)
    yield "mode", "{}, {}".format(m.mode, "without shift" if shift.direction == "none" else shifted)
    yield "shifts", "{} ({} dialect, clips of {} frames)".format(len(shift.places), shift.dialect, shift.n_segment)
    yield "weights", m.weights.source + ("" if m.weights.trained else " (UNTRAINED: the labels mean nothing)")
    yield "sha256", m.weights.sha256
    crop = "whole, in" if frame.crop == "letterbox" else "short side {}, centre".format(frame.short_side)
    yield "frame", "{} {}x{}, {}".format(crop, frame.width, frame.height, frame.colour)
    yield "mean, std", "{}, {}".format(_numbers(frame.mean), _numbers(frame.std))
    yield "frame rate", "every frame" if m.fps is None else "{:g} frames/s".format(m.fps)
    size = sum(int(np.prod(cache.shape)) * np.dtype(cache.dtype).itemsize for cache in m.caches)
    yield "caches", "{}, together {:.1f} KB for one stream".format(len(m.caches), size / 1e3) if m.caches else "none"
    yield "task", m.task
    yield "outputs", "; ".join(map(_output, m.outputs))
    for number, line in enumerate(_label_lines(m.labels)):
        yield "" if number else "labels", line
    yield "decision", head_class(manifest, path).describe(manifest)
    yield "file", "{} lowering, {}, {:.1f} MB".format(m.lowering, m.precision, os.path.getsize(path) / 1e6)
    none = "NONE: exported by an older release, so damage would go unnoticed; export the model again"
    yield "checksum", none if sha256 is None else "{} (checked)".format(sha256)
    yield "proof", _proof(m.parity)


def engine_rows(record: EngineRecord) -> Iterator[Tuple[str, str]]:
    """Yield (name, value) for what a TensorRT engine was built for, and how its shift was chosen."""
    jetpack = "" if record.jetpack is None else ", JetPack {}".format(record.jetpack)
    gpu, capability = record.gpu
    yield "engine", "TensorRT {} for {}, compute capability {}{}".format(record.tensorrt, gpu, capability, jetpack)
    minimum, _, maximum = record.streams
    yield "streams", "{}".format(minimum) if minimum == maximum else "{} to {}".format(minimum, maximum)
    yield "shift by", {"plugin": "our plugin", "standard": "standard operations"}[record.lowering]
    for time in record.times:
        speed = time.why_not if time.p50 is None else "{:.3f} ms a step when it was built".format(time.p50)
        yield "  " + time.lowering, str(speed)
    compared = record.check()
    if compared is not None:
        yield "compared", check_text(compared)
    if record.float32_caches is not None:
        yield "caches", "float32, because TensorRT said: {}".format(record.float32_caches)


def _numbers(values: Iterable[float]) -> str:
    return " ".join("{:g}".format(value) for value in values)


def _output(output: OutputSpec) -> str:
    return "{} ({}) {}".format(output.name, "x".join(map(str, output.shape)), output.dtype)


def _label_lines(labels: Sequence[str]) -> List[str]:
    """Return all labels in lines of about COLUMNS characters, broken between labels alone."""
    lines = [""]
    for label in labels:
        if lines[-1] and len(lines[-1]) + len(label) >= COLUMNS:
            lines.append("")
        lines[-1] += label + ", "
    return [line[:-1] if number < len(lines) - 1 else line[:-2] for number, line in enumerate(lines)]


def _proof(parity: Dict[str, Any]) -> str:
    if not parity:
        return "NONE: not exported by tsm-edge export"
    return "{} comparisons, all passed".format(len(parity.get("comparisons", [])))
