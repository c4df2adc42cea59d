"""`tsm-edge eval`: accuracy of a model on clips, its events on a stream, or the boxes of a detector."""

import argparse
import re

from tsm_edge.commands.arguments import file_name, number, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.engines import DEVICES
from tsm_edge.manifest import DIRECTIONS
from tsm_edge.preprocess import PATHS
from tsm_edge_export.commands import interruptible
from tsm_edge_export.training.checks import MAX_WORKERS

MAX_COUNT = 1_000_000  # of rendered clips, or of the frames of a dense clip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--list",
        metavar="LIST",
        type=file_name,
        help='"path frames label" lines, a folder of class folders, or a CSV; for a detector: COCO *.json or MOT text',
    )
    what.add_argument(
        "--config", metavar="CONFIG.toml", type=file_name, help="evaluate the test list of a training configuration"
    )
    what.add_argument("--synthetic", metavar="N", type=whole_number(1, MAX_COUNT), help="evaluate N rendered clips")
    what.add_argument(
        "--stream", metavar="VIDEO", type=file_name, help="a video, or a folder of frames, whose events --truth lists"
    )
    what.add_argument(
        "--synthetic-stream",
        metavar="SECONDS",
        type=number(8, maximum=86400),
        help="evaluate a rendered stream of gestures of this length",
    )
    clip_stream = "a stream made of the validation clips of a tsm-edge train folder, or of a configuration"
    what.add_argument("--clip-stream", metavar="FOLDER|CONFIG.toml", type=file_name, help=clip_stream)
    what.add_argument(
        "--merge", metavar="SHARD.json", type=file_name, nargs="+", help="the reports of all shards of one evaluation"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE.json", type=file_name, help="write the report there, its pictures beside it"
    )

    model = parser.add_argument_group("the model")
    model.add_argument(
        "--engine", metavar="FILE", type=file_name, help="an exported model, a tsm-edge train folder, or a checkpoint"
    )
    model.add_argument(
        "--recipe",
        metavar="R",
        type=file_name,
        help="recipe of a checkpoint, by name or file (default: recipe.toml beside it)",
    )
    model.add_argument(
        "--direction", choices=DIRECTIONS, help="direction of a checkpoint's shift (default: its recipe's)"
    )
    model.add_argument(
        "--force-direction", action="store_true", help="accept a direction that the checkpoint was not trained for"
    )
    model.add_argument(
        "--device", choices=("auto", *DEVICES), help="where a checkpoint runs (default: a GPU if there is one)"
    )
    model.add_argument("--threads", metavar="N", type=whole_number(1), help="CPU threads (default: free processors)")

    clips = parser.add_argument_group("clips")
    clips.add_argument(
        "--kind", choices=("frames", "folders", "segments"), help="kind of the list (default: found from the list)"
    )
    clips.add_argument(
        "--root", metavar="FOLDER", type=file_name, help="what the list's paths start from (default: its folder)"
    )
    backwards = "take clips of label A backwards as well, as B; may be repeated"
    clips.add_argument("--reversed", metavar="A=B", type=_pair, action="append", help=backwards)
    clips.add_argument(
        "--split", choices=("train", "validation", "test"), help="which list of --config (default: test)"
    )
    clips.add_argument(
        "--sampling",
        choices=("uniform", "dense"),
        help="how frames are chosen (default: the configuration's, else uniform)",
    )
    clips.add_argument(
        "--span", metavar="F", type=whole_number(1, MAX_COUNT), help="frames of a dense clip (default: 64)"
    )
    clips.add_argument(
        "--clips", metavar="K", type=whole_number(1, 1000), help="clips of each video, averaged (default: 1)"
    )
    clips.add_argument(
        "--crops", metavar="K", type=int, choices=(1, 3), help="crops of each clip, averaged (default: 1)"
    )
    clips.add_argument("--flips", action="store_true", help="average mirrored clips too, where the labels allow it")
    clips.add_argument(
        "--shard", metavar="I/N", type=_shard, help="evaluate every N-th clip from the I-th; --merge joins the reports"
    )
    clips.add_argument(
        "--workers", metavar="N", type=whole_number(0, MAX_WORKERS), help="processes that read clips (default: 2)"
    )

    stream = parser.add_argument_group("streams")
    stream.add_argument("--truth", metavar="FILE", type=file_name, help="the events: CSV path,start,end,label, or JSON")
    tolerance = "a detection may start S s after an event (default: 1)"
    stream.add_argument("--tolerance", metavar="S", type=number(0), help=tolerance)
    stream.add_argument("--fps", metavar="R", type=number(0.001), help="frames/s to run (default: the model's)")
    stream.add_argument("--preprocess", choices=PATHS, help="as of tsm-edge run (default: fast)")

    against = "another detector, on the same clips: shows the differences and their intervals"
    parser.add_argument_group("boxes").add_argument("--against", metavar="FILE", type=file_name, help=against)

    rendered = parser.add_argument_group("rendered clips")
    rendered.add_argument(
        "--seed", metavar="S", type=whole_number(0, 2**63 - 1), help="seed of the rendering (default: 0)"
    )
    rendered.add_argument(
        "--size", metavar="P", type=whole_number(32, 2048), help="side in pixels (default: the model's)"
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate, print the tables, and write the files."""
    with interruptible("torch"):
        from tsm_edge_export.evaluation.evaluate import EvaluationRequest, evaluate
        from tsm_edge_export.threads import free_threads

        request = EvaluationRequest(**{name: getattr(options, name) for name in EvaluationRequest._fields})
        with free_threads() as threads:
            if request.engine is not None and request.threads is None:
                request = request._replace(threads=threads)
            evaluate(request, print_text)
    return 0


def _shard(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"{text[:40]} is not I/N with 1 <= I <= N, such as 1/4")
    return int(found[1]), int(found[2])


def _pair(text: str) -> tuple[str, str]:
    first, equals, second = text.partition("=")
    if not (first and equals and second):
        raise argparse.ArgumentTypeError(f"{text[:400]} is not A=B, two labels")
    return first, second
