"""python -m tests.device_models FOLDER: exports what the device half's tests stream, with the logits of torch.

A tiny network in every form, and the recipe mobilenetv2_tsm itself. Run by the host half; read on Python 3.6 too.
Exporting takes a minute, so models made by the same sources are kept.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch

from tests.device.streams import noise
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


SOURCES = (
    "export/tsm_edge_export/**/*.py",
    "export/tsm_edge_export/**/*.toml",
    "tsm_edge/manifest.py",
    "tests/device_models.py",
)


def digest():
    """The SHA-256 of every source that has a say in the files."""
    root = Path(__file__).parent.parent
    hashed = hashlib.sha256((np.__version__ + torch.__version__).encode())
    for path in sorted(path for pattern in SOURCES for path in root.glob(pattern)):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stamp, now = folder / "sources.sha256", digest()
    if stamp.exists() and stamp.read_text() == now:
        return
    stamp.unlink(missing_ok=True)
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
        network, *_ = load_network(spec, None, mode)
        clip = torch.from_numpy(noise(spec.frame, 2 * spec.shift.n_segment + 1, streams=2)).transpose(0, 1)
        with torch.no_grad():
            if mode == "online":
                logits = network.clip(clip, "causal")  # (streams, T, classes)
            else:
                clip = clip[:, : spec.shift.n_segment]
                logits = network.clip(clip, "bidirectional").mean(1)  # (streams, classes)
        np.save(folder / (name + ".npy"), logits.numpy())
    stamp.write_text(now)


if __name__ == "__main__":
    main(sys.argv[1])
