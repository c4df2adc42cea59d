"""What the shift and streaming cost: online step against the 2D network, and against a whole clip (sliding window)."""

import functools
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import onnx

import common
from tsm_edge import load_engine
from tsm_edge_export import models, recipe
from tsm_edge_export.exporter import load_network
from tsm_edge_export.onnx_export import to_onnx

FORMS = {  # name: mode, direction, n_segment, lowering
    "online step, custom": ("online", "causal", 8, "custom"),
    "online step, standard": ("online", "causal", 8, "standard"),
    "2D network": ("offline", "none", 1, "standard"),
    "8-frame clip": ("offline", "bidirectional", 8, "standard"),
}


def engines(folder, threads):
    """{form: engine}, all with the same weights."""
    spec = recipe.load("mobilenetv2_tsm")
    network, weights, labels = load_network(spec, None, "online")
    spec = spec._replace(labels=labels)
    fused = models.fuse(network)
    made = {}
    for index, (name, (mode, direction, n_segment, lowering)) in enumerate(FORMS.items()):
        manifest = recipe.manifest_of(spec, mode, lowering, network, weights, name)
        manifest = manifest._replace(shift=manifest.shift._replace(direction=direction, n_segment=n_segment))
        path = Path(folder) / f"{index}.onnx"
        onnx.save(to_onnx(fused, manifest), path)
        made[name] = load_engine(str(path), threads=threads)
    return made


def main():
    chosen = common.options(__doc__, rounds=200)
    rng = np.random.RandomState(0)
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for name, engine in engines(folder, chosen.threads).items():
            frame, shift = engine.manifest.frame, engine.manifest.shift
            if engine.manifest.mode == "online":
                frames = rng.randn(1, 3, frame.height, frame.width).astype(np.float32)
                sides[name] = functools.partial(engine.step, frames, engine.new_state())
            else:
                frames = rng.randn(1, shift.n_segment, 3, frame.height, frame.width).astype(np.float32)
                sides[name] = functools.partial(engine.clip, frames)
        seconds = common.in_turn(sides, chosen.rounds, warm_up=10)
    rows = {f"{name}, ms": 1e3 * median(values) for name, values in seconds.items()}
    for lowering in ("custom", "standard"):
        for other in ("2D network", "8-frame clip"):
            name = f"online step, {lowering}"
            rows[f"{name} / {other}"] = common.ratio(seconds, name, other)
    common.finish("step", rows, chosen)


if __name__ == "__main__":
    main()
