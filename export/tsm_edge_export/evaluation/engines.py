"""What is evaluated: an engine file as the device runs it, or a checkpoint as an engine that computes with torch."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Optional

import torch

from tsm_edge import __version__
from tsm_edge.engines import check_threads, load_engine
from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.files import sha256_of
from tsm_edge.manifest import DIRECTIONS
from tsm_edge_export import checkpoints, recipe
from tsm_edge_export.exporter import load_network
from tsm_edge_export.torch_engine import TorchEngine
from tsm_edge_export.trained import RECIPE, is_folder, trained_folder
from tsm_edge_export.training.predict import device_of

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".tar", ".ckpt", ".bin")
PACKAGES = ("torch", "numpy", "onnxruntime", "opencv-python", "pillow")


def open_engine(
    path: str | os.PathLike[str],
    model: Optional[str] = None,
    direction: Optional[str] = None,
    force: bool = False,
    threads: Optional[int] = None,
    device: str = "auto",
) -> Engine:
    """Open a model for evaluation: an engine file, or a checkpoint of any dialect.

    Args:
        path: the file, or an output folder of `tsm-edge train`, which stands for its best weights.
        model: the checkpoint's recipe, a name or a *.toml path; None for the recipe.toml beside it.
        direction: "causal" (online), "bidirectional" or "none" (whole clips); None for the recipe's or the file's own.
        force: run a checkpoint in a direction that it was not trained for, which is otherwise refused.
        threads: of a step on the CPU.
        device: "cpu", "cuda", or "auto": a checkpoint takes a GPU where there is one, an engine file the CPU.

    Raises InputError for a file, a recipe or a direction that do not fit.
    """
    if direction not in (None, *DIRECTIONS):
        raise InputError("direction", direction, "one of " + ", ".join(DIRECTIONS), "choose one of them")
    path = trained_folder(path).weights if is_folder(path) else Path(path)
    if model is None and path.suffix not in CHECKPOINTS:
        return _engine_file(path, direction, force, threads, device)
    if threads:
        check_threads(threads)
        torch.set_num_threads(threads)
    spec = recipe.load(str(model or _recipe_beside(path)))
    wanted = direction or recipe.direction_of(spec, spec.mode)
    checkpoint = checkpoints.load(path, spec.arch, fold_div=spec.shift.fold_div)
    try:
        checkpoints.require_direction(checkpoint, checkpoint.direction if force else wanted, path)
    except InputError as refusal:
        do = f"fine-tune it: tsm-edge train my.toml --start {path} --direction {wanted}; or evaluate it with "
        do += f"--direction {checkpoint.direction}; --force-direction shows how wrong it is"
        raise InputError(refusal.where, refusal.got, refusal.expected, do) from None
    network, weights, labels = load_network(_with_direction(spec, checkpoint.direction), path, "offline")
    spec, mode = _with_direction(spec._replace(labels=labels), wanted), "online" if wanted == "causal" else "offline"
    manifest = recipe.manifest_of(spec, mode, "standard", network, weights, str(path))
    engine = TorchEngine(network, manifest, str(path), device_of(device))
    engine.trained_direction = checkpoint.direction
    return engine


def require_classifier(engine: Engine) -> None:
    """Raise InputError where a model is no classifier: `tsm-edge eval` measures nothing else."""
    task = engine.manifest.task
    if task != "classification":
        raise InputError(f"{engine.where}: task", task, "classification", "evaluate a classifier")


def identity(engine: Engine) -> dict[str, Any]:
    """Return what identifies a model: plain values that two shards of one evaluation agree on."""
    manifest = engine.manifest
    return {
        "recipe": manifest.recipe,
        "weights_sha256": manifest.weights.sha256,
        "file_sha256": sha256_of(engine.where) if os.path.isfile(engine.where) else None,
        "trained": manifest.weights.trained,
        "engine": engine.backend,
        "mode": manifest.mode,
        "direction": manifest.shift.direction,
        "trained_direction": getattr(engine, "trained_direction", None) or manifest.shift.direction,
        "precision": manifest.precision,
        "n_segment": manifest.shift.n_segment,
    }


def environment(engine: Engine) -> dict[str, Any]:
    """Return what computed: the device, and the versions of all that may change the figures."""
    versions = {"tsm-edge": __version__, **{name: _version(name) for name in PACKAGES}}
    device = str(engine.device) if isinstance(engine, TorchEngine) else engine.backend
    return {"device": device, "python": platform.python_version(), "machine": platform.machine(), "versions": versions}


def _version(name: str) -> Optional[str]:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _engine_file(path: Path, direction: Optional[str], force: bool, threads: Optional[int], device: str) -> Engine:
    if force:
        raise InputError(path, "--force-direction with an engine file", "a checkpoint", "give the checkpoint itself")
    engine = load_engine(path, threads=threads, device="cuda" if device == "cuda" else "cpu")
    made_for = engine.manifest.shift.direction
    if direction not in (None, made_for):
        engine.close()
        raise InputError(path, f"a model exported as {made_for}", direction, "give the checkpoint, or export it again")
    return engine


def _recipe_beside(path: Path) -> Path:
    beside = path.parent / RECIPE
    if not os.path.isfile(path):
        raise InputError(path, "no such file", "a model file", "check the path")
    if not os.path.isfile(beside):
        raise InputError(path, "a checkpoint without a recipe", f"its recipe, or {beside}", "add --recipe")
    return beside


def _with_direction(spec: recipe.Recipe, direction: str) -> recipe.Recipe:
    return spec._replace(shift=spec.shift._replace(offline_direction=direction))
