"""`tsm-edge build` on the command line."""

import logging
import os
import sys

LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO, "verbose": logging.DEBUG}
WORKSPACE = 256  # MB: what the builder may take beside the network; a Nano shares 4 GB with everything


def add_build_command(commands, at_least):
    """Add `build` to the subparsers `commands`. at_least: (least, kind) -> an argument's type."""
    build = commands.add_parser("build", help="build a TensorRT engine of a model, on the GPU that will run it")
    build.add_argument("model", metavar="FILE", help="the exported model, *.onnx")
    build.add_argument(
        "-o", "--output", metavar="FILE", help="the engine, *.trt (default: the model's name, beside it)"
    )
    precision = build.add_mutually_exclusive_group()
    for name, text in (
        ("fp16", "compute in float16: what a Jetson is for (default: float32)"),
        ("int8", "for a model that carries its scales, on a GPU that has it (not the Nano)"),
    ):
        precision.add_argument("--" + name, dest="precision", action="store_const", const=name, help=text)
    build.set_defaults(precision="fp32")
    build.add_argument(
        "--streams", metavar="N", default="1", help="streams in one batch: N, or MIN:OPT:MAX (default: 1, the fastest)"
    )
    build.add_argument(
        "--lowering",
        choices=("auto", "plugin", "standard"),
        default="auto",
        help="the shift as our plugin or as standard operations; auto (default) builds both and keeps the faster",
    )
    build.add_argument(
        "--workspace",
        metavar="MB",
        type=at_least(1, int),
        default=WORKSPACE,
        help="memory to build with (default: 256)",
    )
    build.add_argument("--timing-cache", metavar="FILE", help="kept between builds, which it makes faster")
    build.add_argument("--log-level", choices=tuple(LEVELS), default="warning", help="how much TensorRT's log says")
    build.set_defaults(command=_build)


def _build(options):
    from tsm_edge.engines.tensorrt.build import Request, build
    from tsm_edge.sinks.console import encodable

    logging.getLogger("tsm_edge.tensorrt").setLevel(LEVELS[options.log_level])
    output = options.output or os.path.splitext(options.model)[0] + ".trt"
    request = Request(
        onnx=options.model,
        output=output,
        precision=options.precision,
        lowering=options.lowering,
        streams=options.streams,
        workspace=options.workspace,
        timing_cache=options.timing_cache,
        log_level=options.log_level,
    )

    def say(text):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    sys.stdout.write(encodable(render(build(request, say), output), sys.stdout) + "\n")
    return 0


def render(record, path):
    """What was built, as lines of text."""
    lines = ["{}: {} lowering, {}, {:.1f} MB".format(path, record.lowering, record.precision, record.plan.bytes / 1e6)]
    for timed in record.times:
        if timed.why_not is not None:
            lines.append("  {:<9} {}".format(timed.lowering, timed.why_not))
        else:
            lines.append("  {:<9} {:.2f} ms a step, p95 {:.2f}".format(timed.lowering, timed.p50, timed.p95))
    streams = ":".join(str(count) for count in record.streams)
    lines.append("  for TensorRT {}, {}, streams {}".format(record.tensorrt, record.gpu[0], streams))
    return "\n".join(lines)
