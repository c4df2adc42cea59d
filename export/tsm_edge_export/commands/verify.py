"""`tsm-edge verify`: the proof of an exported model, repeated."""

import argparse

from tsm_edge.commands.arguments import file_name
from tsm_edge.commands.output import print_text
from tsm_edge_export.commands import interruptible


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("file", metavar="FILE", type=file_name, help="an exported model, *.onnx")


def run(options: argparse.Namespace) -> int:
    """Print each comparison. Returns 1 where one failed."""
    passed = []
    with interruptible("torch"):
        from tsm_edge_export.threads import free_threads
        from tsm_edge_export.verify import verify

        with free_threads():
            for comparison in verify(options.file):
                print_text(str(comparison))
                passed.append(comparison.passed)
    print_text(f"{options.file}: {sum(passed)} comparisons passed, {len(passed) - sum(passed)} failed")
    return 0 if all(passed) else 1
