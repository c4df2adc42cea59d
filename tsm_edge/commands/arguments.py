"""Argument types and options that several commands share."""

import argparse
from typing import Any, Callable

from tsm_edge.engines import DEVICES
from tsm_edge.preprocess import PATHS


def number(minimum: float, kind: Callable[[str], Any] = float, name: str = "number") -> Callable[[str], Any]:
    """Return an argument type: a finite number of at least `minimum`. `name` is what argparse calls it."""

    def parse(text: str) -> Any:
        value = kind(text)
        if not minimum <= value < float("inf"):
            raise argparse.ArgumentTypeError("{} is not at least {}".format(text, minimum))
        return value

    parse.__name__ = name  # argparse says "invalid whole number value"
    return parse


def whole_number(minimum: int) -> Callable[[str], int]:
    """Return an argument type: a whole number of at least `minimum`."""
    return number(minimum, int, "whole number")


def add_execution_options(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`, `--device` and `--preprocess`: how a model is executed."""
    parser.add_argument("--threads", metavar="N", type=whole_number(1), help="CPU threads (default: one a core)")
    text = "where an *.onnx runs; cuda needs onnxruntime-gpu"
    parser.add_argument("--device", choices=DEVICES, default="cpu", help=text)
    text = "fast (default): one OpenCV resize of the crop; exact: Pillow's resize, as in training"
    parser.add_argument("--preprocess", choices=PATHS, default="fast", help=text)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add `--engine`, which must be given, and the options of :func:`add_execution_options`."""
    parser.add_argument("--engine", metavar="FILE", required=True, help="the model, *.onnx or *.trt")
    add_execution_options(parser)
