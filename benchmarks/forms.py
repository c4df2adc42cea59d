"""Exports a network in every form that can be run, with the same weights in each."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx

from tsm_edge import load_engine
from tsm_edge.engines.onnxruntime.cpu import usable_kernels
from tsm_edge.manifest import WeightsSpec
from tsm_edge_export import models, recipe
from tsm_edge_export.onnx_export import to_onnx

FULL, TINY = "MobileNetV2 1.0", "tiny"
DETECTOR, TINY_DETECTOR = "face detector", "tiny detector"
NETWORKS = {  # name: recipe, width
    FULL: ("mobilenetv2_tsm", 1.0),
    "MobileNetV2 0.5": ("mobilenetv2_tsm", 0.5),
    "ResNet-50": ("resnet50_tsm", 1.0),
    TINY: ("mobilenetv2_tsm", 0.25),
    DETECTOR: ("mobilenetv2_tsm_faces", 1.0),
    TINY_DETECTOR: ("mobilenetv2_tsm_faces", 0.25),
}
SEGMENTS = 8  # frames of a clip


class Form(NamedTuple):
    """mode, direction, n_segment, lowering: as in the manifest. kernels: whether to use our native kernels."""

    mode: str
    direction: str
    n_segment: int
    lowering: str
    kernels: bool


FORMS = {
    "custom op, library": Form("online", "causal", SEGMENTS, "custom", True),
    "custom op, function body": Form("online", "causal", SEGMENTS, "custom", False),
    "standard lowering": Form("online", "causal", SEGMENTS, "standard", False),
    "2D network": Form("offline", "none", 1, "standard", False),
    "sliding 8-frame clip": Form("offline", "bidirectional", SEGMENTS, "standard", False),
}
BEST = FORMS["custom op, library"]  # what `load_engine` gives a user: the library where it is built


def network_of(chosen):
    """Return the name of the network of a benchmark of one network. chosen: its command line."""
    return TINY if chosen.quick else FULL


class Maker:
    """Exports one network into a folder.

    Weights are random, since the time of a step does not depend on them. The manifests name no frame rate, so a
    session takes every frame of a source.

    Args:
        folder: for the model files.
        name: of NETWORKS.
        size: of its square frames in pixels, None for the recipe's.
    """

    def __init__(self, folder, name, size=None):
        model, width = NETWORKS[name]
        spec = recipe.load(model)
        spec = spec._replace(arch=spec.arch._replace(width=width), fps=None)
        if name == TINY:
            size = size or 64
            spec = spec._replace(arch=spec.arch._replace(num_classes=5), labels=recipe.default_labels(5), decision={})
        if size is not None:
            spec = spec._replace(frame=spec.frame._replace(height=size, width=size, short_side=size))
        self.folder, self.spec = Path(folder), spec
        self.network = models.build(spec.arch, spec.shift.fold_div)
        models.init_(self.network, 0)
        self.network.eval()
        self._fused = models.fuse(self.network)

    def load(self, state):
        """Take other weights, a state_dict. Model files that were exported before keep theirs."""
        self.network.load_state_dict(state, strict=True)
        self._fused = models.fuse(self.network)

    def path(self, form):
        """Return the path of the model file of a form, exported when it is first asked for."""
        name = "{}_{}_{}_{}.onnx".format(form.mode, form.direction, form.n_segment, form.lowering)
        path = self.folder / f"{self.spec.arch.name}_{self.spec.arch.width}_{self.spec.frame.height}_{name}"
        if not path.exists():
            weights = WeightsSpec("0" * 64, "untrained, seed 0", False)
            direction = {f"{form.mode}_direction": form.direction}
            spec = self.spec._replace(shift=self.spec.shift._replace(n_segment=form.n_segment, **direction))
            manifest = recipe.manifest_of(spec, form.mode, form.lowering, self.network, weights, path.name)
            onnx.save(to_onnx(self._fused, manifest), path)
        return str(path)

    def engine(self, form, threads, spin=True):
        """Open the engine of a form."""
        return load_engine(self.path(form), threads=threads, kernels=form.kernels, spin=spin)

    def frames(self, streams=1, clip=None):
        """Return noise: (streams, 3, H, W) float32, or (streams, clip, 3, H, W) for clips of so many frames."""
        shape = (streams, *(() if clip is None else (clip,)), 3, self.spec.frame.height, self.spec.frame.width)
        return np.random.RandomState(0).randn(*shape).astype(np.float32)


def usable(form, engine):
    """Return None, or why this form cannot be measured as what it is called."""
    if form.kernels and usable_kernels(engine.manifest) is None:
        return "no libtsm_edge_onnxruntime.so that this ONNX Runtime can use: make kernels"
    return None
