"""Exports the models that the device half's tests stream, with the logits that torch gives: python -m tests.device_models FOLDER.

A tiny network in every form, and the recipe mobilenetv2_tsm itself. Run by the host half; read on Python 3.6 too.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tsm_edge_export import recipe
from tsm_edge_export.exporter import export, load_network

TINY = """
[arch]
name = "mobilenetv2"
width = 0.25
num_classes = 5
[shift]
n_segment = 4
[frame]
height = 64
width = 96
short_side = 100
[decision]
window = 2
"""


def frames(manifest_frame, count, streams=1):
    """(count, streams, 3, h, w) float32 noise, the same on every NumPy."""
    shape = (count, streams, 3, manifest_frame.height, manifest_frame.width)
    return np.random.RandomState(7).randn(*shape).astype(np.float32)


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tiny = folder / "tiny.toml"
    tiny.write_text(TINY)
    for name, model, mode, lowering in (
        ("tiny_custom", tiny, "online", "custom"),
        ("tiny_standard", tiny, "online", "standard"),
        ("tiny_offline", tiny, "offline", "custom"),
        ("mobilenetv2_tsm", "mobilenetv2_tsm", "online", "custom"),
    ):
        export(model, mode=mode, lowering=lowering, output=folder / (name + ".onnx"))
        spec = recipe.load(str(model))
        network, _ = load_network(spec, None, mode)
        clip = torch.from_numpy(frames(spec.frame, 2 * spec.shift.n_segment + 1, streams=2)).transpose(0, 1)
        with torch.no_grad():
            if mode == "online":
                logits = network.clip(clip, "causal")  # (streams, T, classes)
            else:
                clip = clip[:, : spec.shift.n_segment]
                logits = network.clip(clip, "bidirectional").mean(1)  # (streams, classes)
        np.save(folder / (name + ".npy"), logits.numpy())


if __name__ == "__main__":
    main(sys.argv[1])
