"""The command line of `tsm-edge report`. What draws is imported where it is used."""

import os
import sys

from tsm_edge.sinks.files import check_apart


def add_command(commands):
    """Add `report` to an argparse subparsers object."""
    report = commands.add_parser("report", help="a page, *.html, from a profile")
    report.add_argument("profile", metavar="PROFILE.json", help="a file of tsm-edge profile --json")
    report.add_argument("-o", "--output", metavar="FILE", help="default: the profile's name, as .html")
    report.set_defaults(command=_report)


def _report(options):
    from tsm_edge.profile import record
    from tsm_edge_export.report import page

    output = options.output or os.path.splitext(options.profile)[0] + ".html"
    check_apart("-o", output, [("the profile", options.profile)])
    record.save(page.render(record.load(options.profile)), output)
    sys.stdout.write(f"wrote {output}\n")
    return 0
