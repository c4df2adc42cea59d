"""Export the models that the device half's tests stream, with torch's outputs: python -m tests.device_models FOLDER.

A tiny network in every form, a tiny detector, and the recipe mobilenetv2_tsm itself. The host half runs this; the
tests read the models on Python 3.6 too. An export takes half a minute, so models made by the same sources are kept.
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

# Sides that are no multiples of 32: the graph cuts its pyramid.
TINY_DETECTOR = """
labels = ["ball", "cup"]
[arch]
name = "mobilenetv2_centernet"
width = 0.25
num_classes = 2
[shift]
n_segment = 4
[frame]
height = 72
width = 104
crop = "letterbox"
[decision]
threshold = 0.15
"""

SOURCES = (
    "export/tsm_edge_export/*.py",
    "export/tsm_edge_export/checkpoints/*.py",
    "export/tsm_edge_export/models/*.py",
    "export/tsm_edge_export/recipes/*.toml",
    "export/tsm_edge_export/weights/*.safetensors",
    "tsm_edge/heads/*.py",
    "tsm_edge/manifest.py",
    "tsm_edge/onnx/*.py",
    "tsm_edge/registry.py",
    "tsm_edge/schema.py",
    "tsm_edge/shift.py",
    "tsm_edge/tolerances.py",
    "tests/device_models.py",
)


def digest() -> str:
    """Return the SHA-256 over all sources that decide what the files hold."""
    root = Path(__file__).parent.parent
    hashed = hashlib.sha256((np.__version__ + torch.__version__).encode())
    for path in sorted(path for pattern in SOURCES for path in root.glob(pattern)):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def main(folder: Path) -> None:
    """Export into `folder`, unless the models there were made by the same sources."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp, now = folder / "sources.sha256", digest()
    if stamp.exists() and stamp.read_text() == now:
        return
    stamp.unlink(missing_ok=True)
    tiny, tiny_detector = folder / "tiny.toml", folder / "tiny_detector.toml"
    tiny.write_text(TINY)
    tiny_detector.write_text(TINY_DETECTOR)
    for name, model, mode, lowering in (
        ("tiny_custom", tiny, "online", "custom"),
        ("tiny_standard", tiny, "online", "standard"),
        ("tiny_offline", tiny, "offline", "custom"),
        ("tiny_detector", tiny_detector, "online", "custom"),
        ("mobilenetv2_tsm", "mobilenetv2_tsm", "online", "custom"),
    ):
        export(model, mode=mode, lowering=lowering, output=folder / (name + ".onnx"))
        spec = recipe.load(str(model))
        network, *_ = load_network(spec, None, mode)
        clip = torch.from_numpy(noise(spec.frame, 2 * spec.shift.n_segment + 1, streams=2)).transpose(0, 1)
        with torch.no_grad():
            if mode == "online":
                (outputs,) = network.clip(clip, "causal")  # (streams, T, classes), or a detector's grids
            else:
                clip = clip[:, : spec.shift.n_segment]
                outputs = network.clip(clip, "bidirectional")[0].mean(1)  # (streams, classes)
        np.save(folder / (name + ".npy"), outputs.numpy())
    stamp.write_text(now)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
