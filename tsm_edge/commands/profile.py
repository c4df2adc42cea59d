"""The command lines of `tsm-edge profile` and `tsm-edge compare`, and what they print."""

import sys

from tsm_edge.errors import InputError

METRICS = ("infer", "frame", "latency")


def add_commands(commands, at_least, devices):
    """Add both to an argparse subparsers object.

    at_least: (least, type) -> a type for add_argument. devices: the choices of --device.
    """
    whole, number = at_least(1, int), at_least(0.001, float)
    profile = commands.add_parser("profile", help="where the time of a frame goes")
    profile.add_argument("--engine", metavar="FILE", required=True, help="the model, *.onnx or *.trt")
    source = profile.add_mutually_exclusive_group()
    source.add_argument("--camera", metavar="N", type=at_least(0, int), help="camera number")
    source.add_argument("--source", metavar="S", help="as of run; a file begins again at its end (default: noise)")
    profile.add_argument("--seconds", metavar="S", type=number, default=10.0, help="measured (default: 10)")
    profile.add_argument("--warm-up", metavar="S", type=number, default=5.0, help="at most, until steady (default: 5)")
    profile.add_argument("--paced", metavar="FPS", type=number, help="release the frames of a file as a camera would")
    profile.add_argument("--streams", metavar="N", type=whole, default=1, help="also N streams, batched and one by one")
    profile.add_argument("--cold", metavar="N", type=at_least(0, int), default=3, help="cold starts (default: 3)")
    profile.add_argument("--no-layers", dest="layers", action="store_false", help="leave the layers out")
    profile.add_argument("--json", metavar="FILE", help="write the profile, for report and compare")
    profile.set_defaults(command=_profile)
    compare = commands.add_parser("compare", help="profiles, or engines in turn: the ratio, and a gate for CI")
    compare.add_argument("files", metavar="A.json B.json", nargs="*", help="profiles, each against the first")
    compare.add_argument("--run", metavar="FILE", nargs="+", help="models to run in turn here, each against the first")
    compare.add_argument("--rounds", metavar="K", type=at_least(5, int), default=30, help="of --run (default: 30)")
    compare.add_argument("--threshold", metavar="R", type=number, help="exit 3 where the ratio is certainly above R")
    compare.add_argument("--metric", choices=METRICS, default="frame", help="that --threshold is for (default: frame)")
    compare.add_argument("--allow-different", action="store_true", help="compare other machines' or sources' profiles")
    compare.add_argument("--json", metavar="FILE", help="write the comparison")
    compare.set_defaults(command=_compare)
    for command in (profile, compare):
        command.add_argument("--threads", metavar="N", type=whole, help="CPU threads (default: one a core)")
        command.add_argument("--device", choices=devices, default="cpu", help="where an *.onnx runs")
        command.add_argument("--preprocess", choices=("fast", "exact"), default="fast", help="as of run")


def _profile(options):
    from tsm_edge.profile import measure, record, tables

    found = measure.profile(options, _say)
    if options.json:
        record.save(record.to_json(found), options.json)
    _print(tables.render(found))
    return 0


def _compare(options):
    from tsm_edge.profile import compare

    if bool(options.run) == bool(options.files) or len(options.run or options.files) < 2:
        got = "{} profiles and {} models to run".format(len(options.files), len(options.run or ()))
        do = "tsm-edge compare A.json B.json, or tsm-edge compare --run A.onnx B.onnx"
        raise InputError("tsm-edge compare", got, "two or more of the one, or two or more of the other", do)
    if options.run and options.metric == "latency":
        raise InputError("--metric latency", "with --run", "infer or frame: there is no source", "leave --metric away")
    if options.files and options.threads:
        raise InputError("--threads", "with profiles", "--run", "give --threads to tsm-edge profile")
    found, code = compare.compare(options)
    _print(compare.render(found))
    if code:
        _print("REGRESSED: {} certainly over {:g} times the first's\n".format(options.metric, options.threshold))
    return code


def _say(text):
    sys.stderr.write("profile: {}\n".format(text))
    sys.stderr.flush()


def _print(text):
    from tsm_edge.sinks.console import encodable

    sys.stdout.write(encodable(text, sys.stdout))
    sys.stdout.flush()
