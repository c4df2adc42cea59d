"""Our own checkpoints: safetensors with our names, which say what they were trained for."""

import json
import os
import tempfile
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file

from tsm_edge.errors import InputError
from tsm_edge.manifest import DIRECTIONS, ArchSpec

FORMAT = "tsm_edge"
_REQUIRED = ("arch", "width", "num_classes", "direction", "fold_div", "n_segment", "labels")


def save(path, network, direction, n_segment, labels, half=False):
    """Write `network` (unfused) as safetensors; load it back with `checkpoints.load`.

    direction, n_segment: of its training. labels: one str a class, in the order of the classifier's rows.
    half: store matrices and kernels as float16 (vectors, above all BatchNorm's variances, stay float32).
    The file appears whole or not at all. Raises ValueError for arguments that contradict the network, InputError for a
    path that cannot be written.
    """
    if network.fused or direction not in DIRECTIONS or len(labels) != network.arch.num_classes or n_segment < 1:
        raise ValueError(
            f"save: got fused={network.fused}, direction={direction!r}, {len(labels)} labels, n_segment={n_segment}; "
            f"expected an unfused network, one of {DIRECTIONS}, {network.arch.num_classes} labels, at least 1"
        )
    arch = network.arch
    values = (arch.name, arch.width, arch.num_classes, direction, network.fold_div, n_segment, json.dumps(list(labels)))
    metadata = {"format": FORMAT, **{name: str(value) for name, value in zip(_REQUIRED, values, strict=True)}}
    state = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    path = Path(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".save-") as folder:
            draft = Path(folder) / path.name
            save_file(state, draft, metadata)
            os.replace(draft, path)
    except (OSError, SafetensorError) as error:  # what save_file makes of a full disk is no OSError
        got = getattr(error, "strerror", None) or str(error)
        raise InputError(path, got, "a place that can be written", "make room, or give another path") from None


def described(path, metadata):
    """The metadata of `save` as values: arch (ArchSpec), direction, fold_div, n_segment, labels (tuple of str).

    metadata: str -> str. Raises InputError where an entry is missing or damaged.
    """
    try:
        arch = ArchSpec(metadata["arch"], float(metadata["width"]), int(metadata["num_classes"]))
        direction, labels = metadata["direction"], tuple(json.loads(metadata["labels"]))
        fold_div, n_segment = int(metadata["fold_div"]), int(metadata["n_segment"])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: metadata", repr(error), ", ".join(_REQUIRED), "save the network again") from None
    if direction not in DIRECTIONS or len(labels) != arch.num_classes:
        raise InputError(
            f"{path}: metadata",
            f"direction {direction!r}, {len(labels)} labels",
            f"one of {', '.join(DIRECTIONS)}; {arch.num_classes} labels",
            "save the network again",
        )
    return {"arch": arch, "direction": direction, "fold_div": fold_div, "n_segment": n_segment, "labels": labels}
