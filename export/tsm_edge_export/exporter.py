"""`tsm-edge export`: recipe and checkpoint in, a proven model file and its manifest out; or nothing."""

import os
import tempfile
from pathlib import Path

import onnx

from tsm_edge.errors import InputError
from tsm_edge.manifest import MODES, WeightsSpec, sidecar_path, to_json
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.download import download
from tsm_edge_export.onnx_export import embed, to_onnx
from tsm_edge_export.verify import report, verify


def export(model, weights=None, mode=None, lowering="custom", output=None, progress=lambda comparison: None):
    """Export recipe `model` (a name or a *.toml path) and prove it. Returns the path of the model file.

    weights: a checkpoint of any dialect of tsm_edge_export.checkpoints; None takes the recipe's own (a download, or a
    seeded random start). mode: "online" or "offline", None for the recipe's. lowering: "custom" or "standard".
    output: default build/<recipe>.onnx; the manifest goes beside it. progress: called with each comparison.
    Raises InputError for anything wrong with the input. A model that fails its proof is not written: then an
    InputError names the comparisons that failed.
    """
    spec = recipe.load(str(model))
    mode = mode or spec.mode
    if mode not in MODES:
        raise InputError("mode", mode, " or ".join(MODES), "choose one of them")
    output = Path(output or Path("build") / (spec.name + ".onnx"))
    if output.suffix != ".onnx":
        raise InputError(output, f"extension {output.suffix!r}", ".onnx", "name the model like build/model.onnx")
    network, weights_spec = load_network(spec, weights, mode)
    fused = models.fuse(network)
    manifest = recipe.manifest_of(spec, mode, lowering, network, weights_spec, model)
    graph = to_onnx(fused, manifest)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-")
    except OSError as error:
        raise InputError(output, error.strerror, "a place that can be written", "give another -o") from None
    with folder as name:
        draft = Path(name) / output.name
        onnx.save(graph, draft)
        comparisons = []
        for comparison in verify(draft):
            comparisons.append(comparison)
            progress(comparison)
        failed = [c.name for c in comparisons if not c.passed]
        if failed:
            raise InputError(
                output,
                f"{len(failed)} of {len(comparisons)} comparisons failed: " + "; ".join(failed),
                "all of them passed",
                "nothing was written; check the weights (are they finite?), then report this with the recipe",
            )
        manifest = manifest._replace(parity=report(comparisons))
        embed(graph, manifest)
        onnx.save(graph, draft)
        beside = Path(sidecar_path(str(output)))
        draft.with_suffix(".json").write_text(to_json(manifest) + "\n", encoding="utf-8")
        beside.unlink(missing_ok=True)  # a kill between the two moves must not leave a model beside a stale manifest
        os.replace(draft, output)
        os.replace(draft.with_suffix(".json"), beside)
    return output


def load_network(spec, weights, mode):
    """The network of a recipe with its weights, and their WeightsSpec. See `export` for the arguments."""
    network = models.build(spec.arch, spec.shift.fold_div)
    if weights is None and spec.weights.url is None:
        models.init_(network, spec.weights.seed)
        digest = checkpoints.weights_sha256(network.state_dict())
        return network.eval(), WeightsSpec(digest, f"untrained, seed {spec.weights.seed}", trained=False)
    path = Path(weights) if weights is not None else download(spec.weights.url)
    checkpoint = checkpoints.load(path, spec.arch, start=spec.weights.start, seed=spec.weights.seed)
    direction = "causal" if mode == "online" else spec.shift.offline_direction
    checkpoints.require_direction(checkpoint, direction, path)
    network.load_state_dict(checkpoint.state, strict=True)
    trained = checkpoint.head_loaded
    return network.eval(), WeightsSpec(checkpoint.sha256, f"{path.name} ({checkpoint.dialect})", trained)
