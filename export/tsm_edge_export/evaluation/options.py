"""The arguments of `tsm-edge eval`. Imported for every command line, so nothing heavy stands here."""

import argparse
import math
import re

from tsm_edge.manifest import DIRECTIONS

KINDS = ("frames", "folders", "segments")
SPLITS = ("train", "validation", "test")


def add_eval(commands):
    """Add `eval` to an argparse subparsers object."""
    parser = commands.add_parser("eval", help="accuracy of a model on clips, or its events on a stream")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", metavar="LIST", help='"path frames label" lines, a folder of class folders, or a CSV')
    what.add_argument("--config", metavar="CONFIG.toml", help="the test list of a training configuration")
    what.add_argument("--synthetic", metavar="N", type=_whole(1), help="N rendered gesture clips")
    what.add_argument("--stream", metavar="VIDEO", help="a video, or a folder of frames, whose events --truth tells")
    what.add_argument("--synthetic-stream", metavar="SECONDS", type=_number(8), help="a rendered stream of gestures")
    what.add_argument("--merge", metavar="SHARD.json", nargs="+", help="the reports of all shards of one evaluation")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the report there, its pictures beside it")
    _add_model(parser.add_argument_group("the model"))
    _add_clips(parser.add_argument_group("clips"))
    _add_stream(parser.add_argument_group("streams"))
    rendered = parser.add_argument_group("rendered gestures")
    rendered.add_argument("--seed", metavar="S", type=_whole(0), help="which ones (default: 0)")
    rendered.add_argument("--size", metavar="P", type=_whole(32), help="side in pixels (default: the model's)")
    parser.set_defaults(command=_run)


def _add_model(group):
    group.add_argument("--engine", metavar="FILE", help="an exported model, or a checkpoint of any dialect")
    group.add_argument("--recipe", metavar="R", help="of a checkpoint: name or file (default: recipe.toml beside it)")
    group.add_argument("--direction", choices=DIRECTIONS, help="run a checkpoint so (default: as its recipe says)")
    group.add_argument("--force-direction", action="store_true", help="even in a direction that it was not trained for")
    group.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: a checkpoint takes a GPU if any")
    group.add_argument("--threads", metavar="N", type=_whole(1), help="CPU threads of the model")


def _add_clips(group):
    group.add_argument("--kind", choices=KINDS, help="of the list (default: by what it is)")
    group.add_argument("--root", metavar="FOLDER", help="what the list's paths start from (default: its folder)")
    group.add_argument(
        "--reversed",
        metavar="A=B",
        type=_pair,
        action="append",
        help="take clips of label A backwards as well, as B; may be repeated",
    )
    group.add_argument("--split", choices=SPLITS, help="of a configuration or of rendered clips (default: test)")
    group.add_argument("--sampling", choices=("uniform", "dense"), help="default: the configuration's, else uniform")
    group.add_argument("--span", metavar="F", type=_whole(1), help="frames that a dense clip covers (default: 64)")
    group.add_argument("--clips", metavar="K", type=_whole(1), help="clips of each video, averaged (default: 1)")
    group.add_argument("--crops", metavar="K", type=int, choices=(1, 3), help="crops of each, averaged (default: 1)")
    group.add_argument("--flips", action="store_true", help="average mirrored clips too, where the labels allow it")
    group.add_argument(
        "--shard", metavar="I/N", type=_shard, help="every N-th clip from the I-th; put together: --merge"
    )
    group.add_argument("--workers", metavar="N", type=_whole(0), help="processes that read clips (default: 2)")


def _add_stream(group):
    group.add_argument("--truth", metavar="FILE", help="the events: CSV path,start,end,label, or JSON")
    group.add_argument(
        "--tolerance", metavar="S", type=_number(0), help="a detection may start S s after an event (default: 1)"
    )
    group.add_argument("--fps", metavar="R", type=_number(0.001), help="frames/s to run (default: the model's)")
    group.add_argument("--preprocess", choices=("fast", "exact"), help="as tsm-edge run has it (default: fast)")


def _run(options):
    from .command import run

    return run(options)


def _whole(least):
    return _named("whole number", lambda text: _at_least(least, int(text)))


def _number(least):
    return _named("number", lambda text: _at_least(least, float(text)))


def _at_least(least, value):
    if not least <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{value} is not at least {least}")
    return value


def _named(name, parse):
    parse.__name__ = name
    return parse


def _shard(text):
    found = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text} is not I/N with 1 <= I <= N, such as 1/4")
    return int(found[1]), int(found[2])


def _pair(text):
    first, equals, second = text.partition("=")
    if not (first and equals and second):
        raise argparse.ArgumentTypeError(f"{text} is not A=B, two labels")
    return first, second
