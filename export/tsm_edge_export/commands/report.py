"""`tsm-edge report`: a web page from a profile."""

import argparse
import os

from tsm_edge.commands.arguments import file_name
from tsm_edge.commands.output import print_text
from tsm_edge.files import check_apart, write_whole
from tsm_edge_export.commands import interruptible


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("profile", metavar="PROFILE.json", type=file_name, help="a file of tsm-edge profile --json")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=file_name, help="the page (default: the profile's name, with .html)"
    )


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    output = options.output or os.path.splitext(options.profile)[0] + ".html"
    check_apart("-o", output, [("the profile", options.profile)])
    with interruptible():
        from tsm_edge.profile import record
        from tsm_edge_export.report import page

        write_whole(output, page.render(record.load(options.profile)))
    print_text(f"wrote {output}")
    return 0
