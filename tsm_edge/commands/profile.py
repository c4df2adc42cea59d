"""`tsm-edge profile`: measure where the time of a frame goes."""

import argparse
import sys

from tsm_edge.commands.arguments import add_engine_options, camera_number, file_name, number, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.files import check_apart, check_output, write_whole
from tsm_edge.manifest import files_of_model
from tsm_edge.profile.measure import ProfileRequest, measure_profile
from tsm_edge.profile.record import to_json
from tsm_edge.profile.tables import render
from tsm_edge.sources import files_of

MOST_SECONDS = 86400  # a day
MOST_STREAMS = 1024
MOST_COLD_STARTS = 1000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_engine_options(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--camera", metavar="N", dest="source", type=camera_number, help="measure on the camera of this number"
    )
    source.add_argument(
        "--source",
        metavar="S",
        type=file_name,
        help="a source as of run; a file starts again at its end (default: noise)",
    )
    seconds = number(0.001, maximum=MOST_SECONDS)
    parser.add_argument("--seconds", metavar="S", type=seconds, help="length of the measurement (default: %(default)g)")
    parser.add_argument("--warm-up", metavar="S", type=seconds, help="longest warm-up (default: %(default)g)")
    parser.add_argument(
        "--paced",
        metavar="FPS",
        type=number(0.001, maximum=1000),
        help="release the frames of a file at this rate, as a camera does",
    )
    parser.add_argument(
        "--streams", metavar="N", type=whole_number(1, MOST_STREAMS), help="measure N streams too, batched and separate"
    )
    text = "number of cold starts to measure (default: %(default)d)"
    parser.add_argument("--cold", metavar="N", dest="cold_starts", type=whole_number(0, MOST_COLD_STARTS), help=text)
    parser.add_argument(
        "--no-layers", dest="layers", action="store_false", help="do not measure the layers of the network"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=file_name, help="write the profile to FILE, for report and compare"
    )
    parser.set_defaults(**ProfileRequest._field_defaults)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit code."""
    if options.json:  # before the minutes are spent
        taken = files_of_model(options.engine)
        taken += [] if options.source is None else [("the source", path) for path in files_of(options.source)]
        check_apart("--json", options.json, taken)
        check_output(options.json)
    request = ProfileRequest(*[getattr(options, field) for field in ProfileRequest._fields])
    profile = measure_profile(request, lambda line: print_text("profile: " + line, sys.stderr))
    if options.json:
        write_whole(options.json, to_json(profile))
    print_text(render(profile))
    return 0
