"""`tsm-edge export`: recipe and checkpoint in, a proven model file and its manifest out; or nothing."""

import contextlib
import errno
import os
import tempfile
from pathlib import Path

import onnx

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.manifest import MODES, WeightsSpec, sidecar_path, to_json
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.download import download
from tsm_edge_export.onnx_export import embed, to_onnx
from tsm_edge_export.verify import report, verify


def export(model, weights=None, mode=None, lowering="custom", output=None, progress=lambda comparison: None):
    """Export recipe `model` (a name or a *.toml path) and prove it. Returns the path of the model file.

    weights: a checkpoint of any dialect of tsm_edge_export.checkpoints; None takes the recipe's own (a file beside it,
    a download, or a seeded random start). mode: "online" or "offline", None for the recipe's. lowering: "custom" or
    "standard".
    output: default build/<recipe>.onnx; the manifest goes beside it. progress: called with each comparison.
    Raises InputError for anything wrong with the input, and TsmEdgeError, naming the comparisons that failed, for a
    model that fails its proof. Either way nothing is written, and files that were there before stay.
    """
    spec = recipe.load(str(model))
    mode = mode or spec.mode
    if mode not in MODES:
        raise InputError("mode", mode, " or ".join(MODES), "choose one of them")
    output = Path(output or Path("build") / (spec.name + ".onnx"))
    if output.suffix != ".onnx":
        raise InputError(output, f"extension {output.suffix!r}", ".onnx", "name the model like build/model.onnx")
    with _draft_folder(output) as folder:
        network, weights_spec, labels = load_network(spec, weights, mode)
        manifest = recipe.manifest_of(spec._replace(labels=labels), mode, lowering, network, weights_spec, model)
        graph = to_onnx(models.fuse(network), manifest)
        draft, sidecar = folder / output.name, Path(sidecar_path(str(output)))
        onnx.save(graph, draft)
        manifest = manifest._replace(parity=report(_proven(draft, output, progress)))
        embed(graph, manifest)
        onnx.save(graph, draft)
        (folder / sidecar.name).write_text(to_json(manifest) + "\n", encoding="utf-8")
        sidecar.unlink(missing_ok=True)  # a kill between the two moves must not leave a model beside a stale manifest
        os.replace(draft, output)
        os.replace(folder / sidecar.name, sidecar)
    return output


def load_network(spec, weights, mode):
    """The network of a recipe with its weights, their WeightsSpec, and its labels. See `export` for the arguments.

    The labels are the recipe's; where it names none, those that the checkpoint carries. Raises InputError where both
    name labels and they differ.
    """
    network = models.build(spec.arch, spec.shift.fold_div)
    weights = spec.weights.file if weights is None else weights
    if weights is None and spec.weights.url is None:
        models.init_(network, spec.weights.seed)
        digest = checkpoints.weights_sha256(network.state_dict())
        return network.eval(), WeightsSpec(digest, f"untrained, seed {spec.weights.seed}", trained=False), spec.labels
    path = Path(weights) if weights is not None else download(spec.weights.url)
    checkpoint = checkpoints.load(path, spec.arch, spec.weights.start, spec.weights.seed, spec.shift.fold_div)
    direction = "causal" if mode == "online" else spec.shift.offline_direction
    checkpoints.require_direction(checkpoint, direction, path)
    network.load_state_dict(checkpoint.state, strict=True)
    weights_spec = WeightsSpec(checkpoint.sha256, f"{path.name} ({checkpoint.dialect})", checkpoint.head_loaded)
    return network.eval(), weights_spec, _labels(spec, checkpoint, path)


def _labels(spec, checkpoint, path):
    carried = checkpoint.metadata.get("labels") if checkpoint.head_loaded else None
    if carried is None or spec.labels == carried:
        return spec.labels
    if spec.labels == recipe.default_labels(spec.arch.num_classes):
        return carried
    index = next(i for i, pair in enumerate(zip(spec.labels, carried, strict=True)) if pair[0] != pair[1])
    raise InputError(
        f"{path}: labels",
        f"label {index} is {carried[index]!r}",
        f"{spec.labels[index]!r}, as recipe {spec.name} has it",
        "correct the recipe's labels, or leave them out: the checkpoint carries its own",
    )


def _proven(draft, output, progress):
    """The comparisons of the model file `draft`, all passed. output: what to call it in messages."""
    comparisons = []
    try:
        for comparison in verify(draft):
            comparisons.append(comparison)
            progress(comparison)
    except InputError as error:
        where = str(error.where).replace(str(draft), str(output))
        raise InputError(where, error.got, error.expected, error.do) from error
    failed = [c.name for c in comparisons if not c.passed]
    if failed:
        raise TsmEdgeError(
            f"{output}: not written, because {len(failed)} of {len(comparisons)} comparisons of its proof failed: "
            + "; ".join(failed)
        )
    return comparisons


@contextlib.contextmanager
def _draft_folder(output):
    """A new folder beside `output`, gone at the end: what is finished there moves into place in one step.

    Opened before the work, so that a place that cannot be written is told at once.
    """
    try:
        if output.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as name:
            yield Path(name)
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(output, got, "a place that can be written", "give another -o") from error
