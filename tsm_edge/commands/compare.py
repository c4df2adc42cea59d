"""`tsm-edge compare`: compare profiles, or models that run in turn; a gate for CI."""

import argparse
import json

from tsm_edge.commands.arguments import add_execution_options, file_name, number, whole_number
from tsm_edge.commands.output import print_text
from tsm_edge.errors import InputError
from tsm_edge.files import check_apart, check_output, write_whole
from tsm_edge.manifest import sidecar_path
from tsm_edge.profile import compare
from tsm_edge.profile.stats import MIN_TIMES
from tsm_edge.profile.tables import table
from tsm_edge.text import one_line

MOST_ROUNDS = 100000
REGRESSED = 3  # the exit code: 1 is a fault of ours, 2 wrong input


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "files", metavar="A.json B.json", type=file_name, nargs="*", help="profiles; each is compared with the first"
    )
    parser.add_argument(
        "--run",
        metavar="FILE",
        type=file_name,
        nargs="+",
        help="run these models in turn; each is compared with the first",
    )
    parser.add_argument(
        "--rounds",
        metavar="K",
        type=whole_number(MIN_TIMES, MOST_ROUNDS),
        help="number of turns of --run (default: %(default)d)",
    )
    ratio = number(0.001, maximum=1000)
    parser.add_argument("--threshold", metavar="R", type=ratio, help="exit with 3 if the ratio is certainly above R")
    parser.add_argument(
        "--metric", choices=compare.METRICS, default="frame", help="the time that --threshold is about (default: frame)"
    )
    parser.add_argument(
        "--allow-different", action="store_true", help="compare profiles of different machines or sources"
    )
    parser.add_argument("--json", metavar="FILE", type=file_name, help="write the comparison to FILE")
    add_execution_options(parser)
    parser.set_defaults(**compare.CompareRequest._field_defaults)


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns its exit code."""
    given = options.run or options.files
    if bool(options.run) == bool(options.files) or len(given) < 2:
        got = "{} profiles and {} models to run".format(len(options.files), len(options.run or ()))
        do = "tsm-edge compare A.json B.json, or tsm-edge compare --run A.onnx B.onnx"
        raise InputError("tsm-edge compare", got, "two or more of the one, or two or more of the other", do)
    if options.run and options.metric not in compare.RUN_METRICS:
        expected = " or ".join(compare.RUN_METRICS)
        raise InputError("--metric " + options.metric, "with --run", expected, "leave --metric away")
    if options.files and options.threads:
        raise InputError("--threads", "with profiles", "--run", "give --threads to tsm-edge profile")
    if options.json:
        taken = [("a file to compare", path) for path in given]
        check_apart("--json", options.json, taken + [("a model's manifest", sidecar_path(path)) for path in given])
        check_output(options.json)
    if options.run:
        settings = (options.rounds, options.threads, options.device, options.preprocess)
        comparison = compare.compare_models(compare.CompareRequest(tuple(given), *settings))
    else:
        comparison = compare.compare_profiles(given, options.allow_different)
    regressed = compare.slower(comparison, options.metric, options.threshold)
    if options.json:
        value = {"format": "tsm-edge comparison", "format_version": 1, **comparison._asdict()}
        value["rows"] = [row._asdict() for row in comparison.rows]
        value.update(metric=options.metric, threshold=options.threshold, regressed=regressed)
        write_whole(options.json, json.dumps(value, indent=1) + "\n")
    print_text(render(comparison))
    if regressed:
        print_text("REGRESSED: {} certainly over {:g} times the first's".format(options.metric, options.threshold))
    return REGRESSED if regressed else 0


def render(comparison: compare.Comparison) -> str:
    """Return the comparison as text."""
    rows = [
        [row.name, row.metric]
        + ["{:.3f}".format(value) for value in (row.base, row.other, row.ratio)]
        + ["{:.3f} to {:.3f}".format(row.low, row.high)]
        for row in comparison.rows
    ]
    text = table(["against " + comparison.base, "ms", "base", "this", "ratio", "95 % interval"], rows)
    notes = "".join("note: {}\n".format(one_line(note)) for note in comparison.notes)
    return text + one_line(comparison.how) + "\n" + notes
