"""What is evaluated: an engine file as the device runs it, or a checkpoint as an engine that computes with torch."""

import functools
import hashlib
import platform
from importlib import metadata
from pathlib import Path

import torch

from tsm_edge import __version__
from tsm_edge.engines import load_engine
from tsm_edge.engines.base import Engine
from tsm_edge.errors import InputError
from tsm_edge.manifest import DIRECTIONS
from tsm_edge_export import checkpoints, recipe
from tsm_edge_export.exporter import load_network
from tsm_edge_export.torch_engine import TorchEngine

CHECKPOINTS = (".safetensors", ".pth", ".pt", ".tar", ".ckpt", ".bin")
RECIPE = "recipe.toml"
PACKAGES = ("torch", "numpy", "onnxruntime", "opencv-python", "pillow")


class NetworkEngine(TorchEngine):
    """A TorchEngine that knows the direction of its training (`trained`), where it is run in another."""

    def __init__(self, network, manifest, where, device="cpu", trained=None):
        super().__init__(network, manifest, where, device)
        self.trained = trained or manifest.shift.direction


def open_engine(path, model=None, direction=None, force=False, threads=None, device="auto") -> Engine:
    """The model at `path`, ready to be evaluated.

    path: an engine file (what tsm_edge.load_engine takes), or a checkpoint of any dialect. model: the checkpoint's
    recipe, a name or a *.toml path; None takes the recipe.toml beside it, as `tsm-edge train` writes it. direction:
    "causal" (online), "bidirectional" or "none" (whole clips); None takes the recipe's, or the file's own.
    force: run a checkpoint in a direction that it was not trained for, which is otherwise refused. threads: of a step
    on the CPU. device: "cpu", "cuda", or "auto": a checkpoint takes a GPU where there is one, an engine file the CPU.
    Raises InputError for a file, a recipe or a direction that do not fit.
    """
    if direction not in (None, *DIRECTIONS):
        raise InputError("direction", direction, "one of " + ", ".join(DIRECTIONS), "choose one of them")
    path = Path(path)
    if model is None and path.suffix not in CHECKPOINTS:
        return _engine_file(path, direction, force, threads, device)
    if threads:
        torch.set_num_threads(threads)
    spec = recipe.load(str(model or _recipe_beside(path)))
    wanted = direction or ("causal" if spec.mode == "online" else spec.shift.offline_direction)
    checkpoint = checkpoints.load(path, spec.arch, fold_div=spec.shift.fold_div)
    if not force:
        _require_direction(checkpoint, wanted, path)
    trained = _with_direction(spec, checkpoint.direction)
    network, weights, labels = load_network(trained, path, "offline")
    return of_network(
        network, spec._replace(labels=labels), wanted, weights, path, device_of(device), checkpoint.direction
    )


def of_network(network, spec, direction, weights, where, device="cpu", trained=None) -> NetworkEngine:
    """An engine of a network in memory, which it takes over.

    spec: a Recipe, with the labels. direction: to run it with. weights: a WeightsSpec. where: its name in messages.
    trained: the direction of its training, where that is another.
    """
    mode = "online" if direction == "causal" else "offline"
    manifest = recipe.manifest_of(_with_direction(spec, direction), mode, "standard", network, weights, where)
    return NetworkEngine(network, manifest, where, device, trained)


def identity(engine) -> dict:
    """What says which model it is: plain values that two shards of one evaluation agree on."""
    manifest, where = engine.manifest, Path(engine.where)
    return {
        "recipe": manifest.recipe,
        "weights_sha256": manifest.weights.sha256,
        "file_sha256": _file_sha256(where) if where.is_file() else None,
        "trained": manifest.weights.trained,
        "engine": engine.backend,
        "mode": manifest.mode,
        "direction": manifest.shift.direction,
        "trained_direction": getattr(engine, "trained", manifest.shift.direction),
        "precision": manifest.precision,
        "n_segment": manifest.shift.n_segment,
    }


def environment(engine) -> dict:
    """What computed: versions of all that has a say in the figures, and the device."""
    versions = {"tsm-edge": __version__, **{name: _version(name) for name in PACKAGES}}
    device = str(engine.device) if isinstance(engine, TorchEngine) else engine.backend
    return {"device": device, "python": platform.python_version(), "machine": platform.machine(), "versions": versions}


@functools.lru_cache(maxsize=None)
def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def device_of(name):
    """The torch device for "auto", "cpu" or "cuda". Raises InputError where there is no GPU for "cuda"."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError("device", "cuda", "a GPU that torch can use; there is none", "leave --device out")
    return "cuda" if name != "cpu" and available else "cpu"


def _engine_file(path, direction, force, threads, device):
    if force:
        raise InputError(path, "--force-direction with an engine file", "a checkpoint", "give the checkpoint itself")
    on = {"device": device} if device == "cuda" else {}
    engine = load_engine(path, threads=threads, **on)
    made_for = engine.manifest.shift.direction
    if direction not in (None, made_for):
        engine.close()
        raise InputError(
            path, f"a model exported as {made_for}", direction, "give the checkpoint itself, or export it again"
        )
    return engine


def _recipe_beside(path):
    beside = path.parent / RECIPE
    if not path.is_file():
        raise InputError(path, "no such file", "a model file", "check the path")
    if not beside.is_file():
        raise InputError(
            path, "a checkpoint without a recipe", f"its recipe: a name, or a file ({beside} by itself)", "add --recipe"
        )
    return beside


def _require_direction(checkpoint, wanted, path):
    try:
        checkpoints.require_direction(checkpoint, wanted, path)
    except InputError as refusal:
        tune = f"fine-tune it: tsm-edge train my.toml --start {path} --direction {wanted}"
        own = f"evaluate it with --direction {checkpoint.direction}"
        do = f"{tune}; or {own}; --force-direction shows how wrong it is"
        raise InputError(refusal.where, refusal.got, refusal.expected, do) from None


def _with_direction(spec, direction):
    return spec._replace(shift=spec.shift._replace(offline_direction=direction))


def _file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
