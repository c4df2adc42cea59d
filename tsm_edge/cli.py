"""The command line. It parses, dispatches, and turns errors into exit codes; each command imports what it needs."""

import argparse
import importlib.util
import logging
import os
import sys

from tsm_edge import __version__
from tsm_edge.commands.build import add_build_command
from tsm_edge.commands.profile import add_commands as add_profile_commands
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.machine.install_hints import PACKAGES, missing

HOST_PACKAGE = "tsm_edge_export"
HOST_COMMANDS = ("export", "verify", "train", "eval", "report")


def main(arguments=None):
    """Run one command. Returns the exit code: 0 done, 2 wrong input, 1 a fault of ours, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(options.verbose, 2)],
        format="%(name)s: %(message)s",
    )
    if not options.verbose:
        # What FFmpeg and OpenCV would print, our errors say in words. OpenCV reads these when it is imported.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    try:
        code = options.command(options)
        sys.stdout.flush()  # while a broken pipe can still be caught
        return code
    except TsmEdgeError as error:
        sys.stderr.write("tsm-edge: error: {}\n".format(error))
        logging.getLogger(__name__).debug("the error above came from here", exc_info=True)
        return error.exit_code
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        if package not in PACKAGES:
            raise
        refusal = missing(package, error)
        sys.stderr.write("tsm-edge: error: {}\n".format(refusal))
        return refusal.exit_code
    except KeyboardInterrupt as interrupt:
        return getattr(interrupt, "exit_code", 130)
    except BrokenPipeError:  # `tsm-edge info model.onnx | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it ends
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="tsm-edge", description="Run a Temporal Shift Module (TSM) video model live on an edge device."
    )
    parser.add_argument("--version", action="version", version="tsm-edge " + __version__)
    parser.add_argument("-v", "--verbose", action="count", default=0, help="say more; twice: everything")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="name")
    commands.required = True
    _add_run(commands)
    add_profile_commands(commands, _at_least, devices=("cpu", "cuda"))
    add_build_command(commands, _at_least)
    info = commands.add_parser("info", help="show what a model says of itself")
    info.add_argument("file", metavar="FILE", help="a model file, *.onnx or *.trt")
    info.add_argument("--json", action="store_true", help="as JSON")
    info.set_defaults(command=_info)
    doctor = commands.add_parser("doctor", help="show what this machine has, and what is missing for what")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(command=_doctor)
    if importlib.util.find_spec(HOST_PACKAGE) is not None:
        from tsm_edge_export.cli import add_commands

        add_commands(commands)
    else:
        for name in HOST_COMMANDS:
            # No argument begins with "\0", so none counts as an option, and all of them lead to the same advice.
            missing = commands.add_parser(name, help="(on the host only)", add_help=False, prefix_chars="\0")
            missing.add_argument("rest", nargs=argparse.REMAINDER)
            missing.set_defaults(command=_host_missing)
    return parser


def _add_run(commands):
    run = commands.add_parser("run", help="stream a video or a camera through a model")
    run.add_argument("--engine", metavar="FILE", required=True, help="the model, *.onnx or *.trt")
    source = run.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", metavar="N", type=_at_least(0, int), help="camera number")
    source.add_argument(
        "--source", metavar="S", help="a video file, a folder of frames, rtsp://..., http://..., or csi://0 on a Jetson"
    )
    run.add_argument("--save", metavar="VIDEO", help="write an annotated video (.mp4, .avi, .mkv)")
    run.add_argument("--jsonl", metavar="FILE", help="write results as JSON lines")
    display = run.add_mutually_exclusive_group()
    display.add_argument("--display", action="store_true", help="show a window; q or Esc ends the run")
    display.add_argument("--no-display", dest="display", action="store_false", help="no window (the default)")
    run.add_argument("--max-frames", metavar="N", type=_at_least(1, int), help="stop after that many frames")
    run.add_argument("--loop", action="store_true", help="begin a file again at its end")
    run.add_argument("--threads", metavar="N", type=_at_least(1, int), help="CPU threads (default: one a core)")
    run.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="where an *.onnx runs; cuda needs onnxruntime-gpu"
    )
    run.add_argument(
        "--fps", metavar="R", type=_at_least(0.001, float), help="frames/s of the source to run (default: the model's)"
    )
    run.add_argument(
        "--preprocess",
        choices=("fast", "exact"),
        default="fast",
        help="fast (default): one OpenCV resize of the crop; exact: Pillow's, as training saw it",
    )
    run.set_defaults(command=_run)


def _at_least(least, kind):
    def parse(text):
        value = kind(text)
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError("{} is not at least {}".format(text, least))
        return value

    parse.__name__ = {int: "whole number", float: "number"}[kind]
    return parse


def _print(text):
    from tsm_edge.sinks.console import encodable

    sys.stdout.write(encodable(text, sys.stdout) + "\n")


def _run(options):
    from tsm_edge.commands.run import run

    return run(options)


def _info(options):
    from tsm_edge.commands.info import info

    _print(info(options.file, options.json))
    return 0


def _doctor(options):
    from tsm_edge.commands import doctor

    report = doctor.inspect_machine()
    if options.json:
        import json

        text = json.dumps(report, indent=1)
    else:
        text = doctor.render(report).rstrip("\n")
    _print(text)
    return 0


def _host_missing(options):
    raise InputError(
        "tsm-edge " + options.name,
        "no host half on this machine",
        "the package " + HOST_PACKAGE + " (Python 3.10 or later, torch, onnx)",
        'run it on the host: pip install "tsm-edge[export]"; the device needs only the exported model',
    )
