"""`tsm-edge build`: build a TensorRT engine from an exported model, on the GPU that will run the engine."""

import argparse
import logging
import os
import sys

from tsm_edge.commands.arguments import file_name, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.engines.tensorrt.build import Request, build
from tsm_edge.engines.tensorrt.compat import LEVELS
from tsm_edge.engines.tensorrt.record import LOWERINGS, WORKSPACE_MB, EngineRecord, check_text
from tsm_edge.interrupt import Interruptible


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `tsm-edge build`, each under the name of its field of Request."""
    parser.add_argument("onnx", metavar="FILE", type=file_name, help="the exported model, *.onnx")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=file_name, help="the engine (default: MODEL.trt beside MODEL.onnx)"
    )
    precision = parser.add_mutually_exclusive_group()
    for name, text in (
        ("fp16", "compute in float16, the usual choice on a Jetson (default: float32)"),
        ("int8", "for a quantised model, on a GPU that computes in int8 (not the Nano)"),
    ):
        precision.add_argument("--" + name, dest="precision", action="store_const", const=name, help=text)
    parser.set_defaults(precision="fp32")
    text = "streams in one batch: N, or MIN:OPT:MAX (default: 1, the fastest)"
    parser.add_argument("--streams", metavar="N", default="1", help=text)
    text = "the shift as our plugin or as standard operations; auto (default) builds both and keeps the faster"
    parser.add_argument("--lowering", choices=LOWERINGS, default="auto", help=text)
    text = "memory to build with (default: {})".format(WORKSPACE_MB)
    parser.add_argument("--workspace", metavar="MB", type=whole_number(1), default=WORKSPACE_MB, help=text)
    parser.add_argument(
        "--timing-cache",
        metavar="FILE",
        type=file_name,
        help="a file of timings, kept between builds to make them faster",
    )
    text = "do not compare the engine with ONNX Runtime on the CPU; its record says so, and so does each run"
    parser.add_argument("--no-check", dest="check", action="store_false", help=text)
    parser.add_argument("--log-level", choices=LEVELS, default="warning", help="how much TensorRT logs")


def run(options: argparse.Namespace) -> int:
    """Build the engine, and print what was built."""
    level = logging.DEBUG if options.log_level == "verbose" else options.log_level.upper()
    logging.getLogger("tsm_edge.tensorrt").setLevel(level)
    request = Request(**{name: getattr(options, name) for name in Request._fields})
    request = request._replace(output=options.output or os.path.splitext(options.onnx)[0] + ".trt")
    with Interruptible():  # also at SIGTERM and SIGHUP, the process that builds must end, and the drafts must go
        record = build(request, lambda text: print_text(text, sys.stderr))
    print_text(render(record, request.output))
    return 0


def render(record: EngineRecord, path: str) -> str:
    """Return lines of text about the engine that was built at `path`."""
    lines = ["{}: {} lowering, {}, {:.1f} MB".format(path, record.lowering, record.precision, record.plan.bytes / 1e6)]
    for timed in record.times:
        speed = "{:.2f} ms a step, p95 {:.2f}".format(timed.p50 or 0, timed.p95 or 0)
        lines.append("  {:<9} {}".format(timed.lowering, speed if timed.why_not is None else timed.why_not))
    lines += ["  {:<9} {}".format(check.lowering, check_text(check)) for check in record.checks]
    if record.float32_caches is not None:
        lines.append("  caches    float32, because TensorRT said: {}".format(record.float32_caches))
    streams = ":".join(map(str, record.streams))
    lines.append("  for TensorRT {}, {}, streams {}".format(record.tensorrt, record.gpu[0], streams))
    return "\n".join(lines)
