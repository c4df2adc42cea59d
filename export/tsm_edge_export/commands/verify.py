"""`tsm-edge verify`: the proof of an exported model, repeated."""

import argparse

from tsm_edge.commands.output import print_text


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", metavar="FILE", help="an exported model, *.onnx")


def run(options: argparse.Namespace) -> int:
    """Print each comparison. Returns 1 where one failed."""
    from tsm_edge_export.verify import verify

    passed = []
    for comparison in verify(options.file):
        print_text(str(comparison))
        passed.append(comparison.passed)
    print_text(f"{options.file}: {sum(passed)} comparisons passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1
