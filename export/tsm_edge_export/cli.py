"""The host half's commands of `tsm-edge`. Imported for every command line, so torch and onnx wait for their use."""

import sys

from tsm_edge.manifest import DIRECTIONS, LOWERINGS, MODES
from tsm_edge_export import recipe
from tsm_edge_export.evaluation.options import add_eval
from tsm_edge_export.report.command import add_command as add_report


def add_commands(commands):
    """Add `export`, `verify`, `train`, `eval` and `report` to an argparse subparsers object."""
    export = commands.add_parser("export", help="checkpoint -> proven ONNX model with its manifest")
    export.add_argument(
        "model", metavar="MODEL", help="one of {}, or a recipe file *.toml".format(", ".join(recipe.names()))
    )
    export.add_argument("--weights", metavar="FILE", help="a checkpoint (default: the recipe's)")
    export.add_argument("--mode", choices=MODES, help="online: one frame a step; offline: whole clips")
    export.add_argument("--lowering", choices=LOWERINGS, default="custom", help="the shift as a custom op (default)")
    export.add_argument("-o", "--output", metavar="FILE", help="default: build/MODEL.onnx")
    export.set_defaults(command=_export)
    verify = commands.add_parser("verify", help="prove clip == torch steps == ONNX steps for a model file")
    verify.add_argument("file", metavar="FILE", help="an exported model, *.onnx")
    verify.set_defaults(command=_verify)
    _add_train(commands)
    add_report(commands)
    add_eval(commands)


def _add_train(commands):
    train = commands.add_parser("train", help="train a TSM, or fine-tune a checkpoint, by a configuration file")
    train.add_argument("config", metavar="CONFIG.toml", help="the configuration; see docs/training.md")
    train.add_argument("-o", "--output", metavar="FOLDER", help="default: run.output, else build/training/NAME")
    train.add_argument("--resume", action="store_true", help="go on with a run that was broken off")
    train.add_argument("--start", metavar="FILE", help="a checkpoint of any dialect to start from")
    train.add_argument("--direction", choices=DIRECTIONS, help="causal (online), bidirectional (offline), none (TSN)")
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: a GPU where there is one")
    train.add_argument("--workers", metavar="N", type=int, help="processes that read clips")
    train.set_defaults(command=_train)


def _export(options):
    from tsm_edge_export.exporter import export

    path = export(
        options.model, options.weights, options.mode, options.lowering, options.output, progress=_print_comparison
    )
    sys.stdout.write(f"wrote {path} and {path.with_suffix('.json')}\n")
    return 0


def _verify(options):
    from tsm_edge_export.verify import verify

    comparisons = []
    for comparison in verify(options.file):
        comparisons.append(comparison)
        _print_comparison(comparison)
    failed = sum(not c.passed for c in comparisons)
    sys.stdout.write(f"{options.file}: {len(comparisons) - failed} comparisons passed, {failed} failed\n")
    return 1 if failed else 0


def _train(options):
    from tsm_edge_export.training.train import train

    run = {"output": options.output, "device": options.device, "workers": options.workers}
    changes = {
        "direction": options.direction,
        "start": {"weights": options.start},
        "run": run,
    }
    trained = train(options.config, _given(changes), options.resume, report=lambda text: print(text, flush=True))
    best = trained.best
    sys.stdout.write(
        f"best: epoch {best['epoch']}, top-1 {best['top1']:.1%}, top-5 {best['top5']:.1%}; "
        f"{len(trained.broken)} broken clips left out\n"
        f"export it: tsm-edge export {trained.recipe} --weights {trained.weights}\n"
    )
    return 0


def _given(options):
    """Without what the command line left out."""
    kept = {key: _given(value) if isinstance(value, dict) else value for key, value in options.items()}
    return {key: value for key, value in kept.items() if value not in (None, {})}


def _print_comparison(c):
    limit = f"<= {c.tolerance:.1e}" if c.tolerance else "bit-exact"
    sys.stdout.write(f"{'ok  ' if c.passed else 'FAIL'} {c.name:<62} {c.error:.1e} {limit}\n")
    sys.stdout.flush()
