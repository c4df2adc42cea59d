"""`tsm-edge export`: a checkpoint as a proven ONNX model with its manifest."""

import argparse

from tsm_edge.commands.output import print_text
from tsm_edge.manifest import LOWERINGS, MODES
from tsm_edge_export import recipe


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("model", metavar="MODEL", help=f"a recipe file *.toml, or one of {', '.join(recipe.names())}")
    parser.add_argument("--weights", metavar="FILE", help="a checkpoint (default: the recipe's)")
    parser.add_argument("--mode", choices=MODES, help="online: one frame a step; offline: whole clips")
    parser.add_argument("--lowering", choices=LOWERINGS, default="custom", help="the shift as a custom op (default)")
    parser.add_argument("-o", "--output", metavar="FILE", help="default: build/MODEL.onnx")


def run(options: argparse.Namespace) -> int:
    """Export and prove the model, printing each comparison."""
    from tsm_edge_export.exporter import export

    chosen = options.model, options.weights, options.mode, options.lowering, options.output
    path = export(*chosen, progress=lambda comparison: print_text(str(comparison)))
    print_text(f"wrote {path} and {path.with_suffix('.json')}")
    return 0
