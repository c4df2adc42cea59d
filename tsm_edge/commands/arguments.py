"""Argument types and options that several commands share."""

import argparse
from typing import Any, Callable, Sequence, Tuple

from tsm_edge.engines import DEVICES
from tsm_edge.files import EMPTY_NAME
from tsm_edge.preprocess import PATHS
from tsm_edge.sources import LARGEST_CAMERA

LARGEST = 1000000000  # of any number on the command line: more is a slip of the keyboard, or meant to do harm
LONGEST = 40  # characters of a number: to read one takes time that grows with the square of its digits


def number(
    minimum: float, kind: Callable[[str], Any] = float, name: str = "number", maximum: float = LARGEST
) -> Callable[[str], Any]:
    """Return an argument type: a number from `minimum` to `maximum`. `name` is what argparse calls it."""

    def parse(text: str) -> Any:
        shown = text if len(text) <= LONGEST else text[:LONGEST] + "..."
        try:
            value = kind(text) if len(text) <= LONGEST else None
        except ValueError:
            value = None
        if value is None:
            raise argparse.ArgumentTypeError("{!r} is no {} from {:g} to {}".format(shown, name, minimum, maximum))
        if not value >= minimum:  # nan too
            raise argparse.ArgumentTypeError("{} is not at least {}".format(shown, minimum))
        if value > maximum:
            raise argparse.ArgumentTypeError("{} is not at most {}".format(shown, maximum))
        return value

    return parse


def whole_number(minimum: int, maximum: int = LARGEST) -> Callable[[str], int]:
    """Return an argument type: a whole number from `minimum` to `maximum`."""
    return number(minimum, int, "whole number", maximum)


camera_number = whole_number(0, LARGEST_CAMERA)


def file_name(text: str) -> str:
    """Return a name of a file, folder, address or label unchanged: an argument type that refuses an empty one."""
    if not text:
        raise argparse.ArgumentTypeError(EMPTY_NAME)
    return text


def parts_of(allowed: Sequence[str]) -> Callable[[str], Tuple[str, ...]]:
    """Return an argument type: words of `allowed`, one at least, with commas between them."""

    def parse(text: str) -> Tuple[str, ...]:
        words = tuple(word.strip() for word in text.split(","))
        unknown = [word for word in words if word not in allowed]
        if unknown:
            shown = repr(unknown[0] if len(unknown[0]) <= LONGEST else unknown[0][:LONGEST] + "...")
            raise argparse.ArgumentTypeError("{} is none of {}".format(shown, ", ".join(allowed)))
        return words

    return parse


def add_execution_options(parser: argparse.ArgumentParser) -> None:
    """Add `--threads`, `--device` and `--preprocess`: how a model is executed."""
    parser.add_argument("--threads", metavar="N", type=whole_number(1), help="CPU threads (default: one a core)")
    text = "where an *.onnx runs; cuda needs onnxruntime-gpu"
    parser.add_argument("--device", choices=DEVICES, default="cpu", help=text)
    text = "fast (default): one OpenCV resize of the crop; exact: Pillow's resize, as in training"
    parser.add_argument("--preprocess", choices=PATHS, default="fast", help=text)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add `--engine`, which must be given, and the options of :func:`add_execution_options`."""
    parser.add_argument("--engine", metavar="FILE", type=file_name, required=True, help="the model, *.onnx or *.trt")
    add_execution_options(parser)
