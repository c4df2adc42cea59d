"""`tsm-edge export`: a checkpoint as a proven ONNX model with its manifest."""

import argparse

from tsm_edge.commands.arguments import file_name
from tsm_edge.commands.output import print_text
from tsm_edge.manifest import DIRECTIONS, LOWERINGS, MODES
from tsm_edge_export import recipe
from tsm_edge_export.commands import interruptible


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    what = f"an output folder of tsm-edge train, a recipe file *.toml, or one of {', '.join(recipe.names())}"
    parser.add_argument("model", metavar="MODEL", type=file_name, help=what)
    parser.add_argument(
        "--weights", metavar="FILE", type=file_name, help="a checkpoint (default: the folder's or the recipe's)"
    )
    parser.add_argument("--mode", choices=MODES, help="online: one frame a step; offline: whole clips")
    parser.add_argument(
        "--direction", choices=DIRECTIONS, help="of the shift (default: the recipe's); none: a network without shift"
    )
    parser.add_argument(
        "--lowering",
        choices=LOWERINGS,
        default="custom",
        help="the shift as a custom op (default) or as standard operations",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=file_name, help="the model file (default: build/MODEL.onnx)"
    )


def run(options: argparse.Namespace) -> int:
    """Export and prove the model, printing each comparison."""
    faults: list[OSError] = []

    def tell(line: object) -> None:
        try:
            print_text(str(line))
        except OSError as error:  # of standard output; within the export it would pass for one of the model's file
            faults.append(error)

    with interruptible("torch"):
        from tsm_edge_export.exporter import export
        from tsm_edge_export.threads import free_threads

        chosen = options.model, options.weights, options.mode, options.lowering, options.output
        with free_threads():
            path = export(*chosen, progress=tell, say=tell, direction=options.direction)
    if faults:  # the model is written nevertheless
        raise faults[0]
    print_text(f"wrote {path} and {path.with_suffix('.json')}")
    return 0
