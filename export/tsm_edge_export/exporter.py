"""`export`: writes a recipe and its weights as a proven model file with its manifest, or writes nothing."""

import os
from pathlib import Path
from typing import Any, Callable, Optional

import onnx
import torch

from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.files import draft_folder, write_whole
from tsm_edge.manifest import DIRECTIONS, MODES, WeightsSpec, sidecar_path, to_json
from tsm_edge_export import checkpoints, models, recipe
from tsm_edge_export.download import download
from tsm_edge_export.onnx_export import embed, to_onnx
from tsm_edge_export.trained import DECISION, TrainedFolder, is_folder, trained_folder
from tsm_edge_export.verify import Comparison, FilePath, report, verify


def export(
    model: FilePath,
    weights: Optional[FilePath] = None,
    mode: Optional[str] = None,
    lowering: str = "custom",
    output: Optional[FilePath] = None,
    progress: Optional[Callable[[Comparison], None]] = None,
    say: Callable[[str], object] = lambda _text: None,
    direction: Optional[str] = None,
) -> Path:
    """Export a model, prove it, and return its path. Where that fails, nothing is written or replaced.

    Of a training's output folder the decision is chosen too, on streams of its validation clips, where its recipe does
    not state one; the folder then gets a decision.json.

    Args:
        model: a recipe, by name or as a *.toml path, or an output folder of `tsm-edge train`.
        weights: a checkpoint of any dialect; None for the recipe's own: a file, a download, or a random start.
        mode: "online" or "offline", None for the recipe's.
        lowering: "custom" or "standard".
        output: by default build/<recipe>.onnx; the manifest goes beside it.
        progress: called with each comparison.
        say: called with lines of text on the decision.
        direction: of the shift, None for the recipe's: "causal", "none" (the 2D network) or, offline, "bidirectional".

    Raises:
        InputError: anything wrong with the input.
        TsmEdgeError: the model failed its proof; names the comparisons that failed.
    """
    trained = trained_folder(model, weights) if is_folder(model) else None
    if trained is not None and weights is None:
        weights = trained.weights
    spec = recipe.load(str(model if trained is None else trained.recipe))
    mode = mode or spec.mode
    if mode not in MODES:
        raise InputError("mode", mode, " or ".join(MODES), "choose one of them")
    if direction is not None:
        spec = _with_direction(spec, mode, direction)
    output = Path(output or Path("build") / (spec.name + ".onnx"))
    if output.suffix != ".onnx":
        raise InputError(output, f"extension {output.suffix!r}", ".onnx", "name the model like build/model.onnx")
    with draft_folder(str(output)) as folder:
        network, weights_spec, labels = load_network(spec, weights, mode)
        manifest = recipe.manifest_of(spec._replace(labels=labels), mode, lowering, network, weights_spec, str(model))
        graph = to_onnx(models.fuse(network), manifest)
        draft, sidecar = Path(folder, output.name), Path(sidecar_path(str(output)))
        onnx.save(graph, draft)
        manifest = manifest._replace(parity=report(_proven(draft, output, progress)))
        if trained is not None:
            chosen, report_text = _decision(draft, trained, say)
            manifest = manifest._replace(decision=chosen or manifest.decision)
        embed(graph, manifest)
        onnx.save(graph, draft)
        Path(folder, sidecar.name).write_text(to_json(manifest) + "\n", encoding="utf-8")
        sidecar.unlink(missing_ok=True)  # a kill between the two moves must not leave a model beside a stale manifest
        os.replace(draft, output)
        os.replace(Path(folder, sidecar.name), sidecar)
    if trained is not None and report_text is not None:
        _write_decision(trained, report_text, say)
    return output


def _with_direction(spec: recipe.Recipe, mode: str, direction: str) -> recipe.Recipe:
    allowed = recipe.ONLINE_DIRECTIONS if mode == "online" else DIRECTIONS
    if direction not in allowed:
        raise InputError(f"direction of an {mode} model", direction, " or ".join(allowed), "choose one of them")
    if mode == "online":
        return spec._replace(shift=spec.shift._replace(online_direction=direction))
    return spec._replace(shift=spec.shift._replace(offline_direction=direction))


def load_network(
    spec: recipe.Recipe, weights: Optional[FilePath], mode: str
) -> tuple[models.Network, WeightsSpec, tuple[str, ...]]:
    """Return the network of a recipe with its weights, in eval mode, what the manifest says of them, and its labels.

    The labels are the recipe's; where it names none, those that the checkpoint carries. See `export` for the arguments.
    Raises InputError for weights that do not fit, and for other labels in the checkpoint than in the recipe.
    """
    network = models.build(spec.arch, spec.shift.fold_div)
    weights = spec.weights.file if weights is None else weights
    if weights is None and spec.weights.url is None:
        models.init_(network, spec.weights.seed)
        digest = checkpoints.weights_sha256(network.state_dict())
        return network.eval(), WeightsSpec(digest, f"untrained, seed {spec.weights.seed}", trained=False), spec.labels
    path = Path(weights) if weights is not None else download(spec.weights.url or "")
    checkpoint = checkpoints.load(path, spec.arch, spec.weights.start, spec.weights.seed, spec.shift.fold_div)
    checkpoints.require_direction(checkpoint, recipe.direction_of(spec, mode), path)
    checkpoints.require_frame(checkpoint, spec.frame, path)
    network.load_state_dict(checkpoint.state, strict=True)
    weights_spec = WeightsSpec(checkpoint.sha256, f"{path.name} ({checkpoint.dialect})", checkpoint.head_loaded)
    return network.eval(), weights_spec, _labels(spec, checkpoint, path)


def _labels(spec: recipe.Recipe, checkpoint: checkpoints.Checkpoint, path: Path) -> tuple[str, ...]:
    carried = checkpoint.metadata.get("labels") if checkpoint.head_loaded else None
    if carried is None or spec.labels == carried:
        return spec.labels
    if spec.labels == recipe.default_labels(spec.arch.num_classes):
        return carried
    index = next(i for i, pair in enumerate(zip(spec.labels, carried, strict=True)) if pair[0] != pair[1])
    got, expected = f"label {index} is {carried[index]!r}", f"{spec.labels[index]!r}, as recipe {spec.name} has it"
    do = "correct the recipe's labels, or leave them out: the checkpoint carries its own"
    raise InputError(f"{path}: labels", got, expected, do)


def _decision(
    draft: Path, trained: TrainedFolder, say: Callable[[str], object]
) -> tuple[Optional[dict[str, Any]], Optional[str]]:
    """Return the decision that the training's clips choose, and the text of its decision.json; None for none."""
    from tsm_edge_export.evaluation import decide  # here: without a training's folder no OpenCV is needed

    choice = decide.decide(draft, trained, torch.get_num_threads(), say)
    return (None, None) if choice is None else (decide.options_of(choice.decision), decide.to_json(choice))


def _write_decision(trained: TrainedFolder, text: str, say: Callable[[str], object]) -> None:
    """Write decision.json into the training's folder; the export is good without, where no file can be written."""
    path = trained.path / DECISION
    try:
        write_whole(str(path), text)
    except InputError as error:
        say(f"{path}: not written: {error.got}")


def _proven(draft: Path, output: Path, progress: Optional[Callable[[Comparison], None]]) -> list[Comparison]:
    """Return the comparisons of the model file `draft`, all passed. output: its name in messages."""
    comparisons = []
    try:
        for comparison in verify(draft):
            comparisons.append(comparison)
            if progress is not None:
                progress(comparison)
    except InputError as error:
        where = str(error.where).replace(str(draft), str(output))
        raise InputError(where, error.got, error.expected, error.do) from error
    failed = [c.name for c in comparisons if not c.passed]
    if failed:
        count = f"{len(failed)} of {len(comparisons)} comparisons of its proof failed"
        raise TsmEdgeError(f"{output}: not written, because {count}: " + "; ".join(failed))
    return comparisons
