"""Our own checkpoints: safetensors under our names, with metadata that says what they were trained for."""

import json
import os
from pathlib import Path
from typing import Any, Sequence

from safetensors.torch import save as to_bytes

from tsm_edge.errors import InputError
from tsm_edge.files import check_output, draft_folder
from tsm_edge.manifest import DIRECTIONS, ArchSpec
from tsm_edge_export.models import Network

from .reading import FORMAT, with_digest

FilePath = str | os.PathLike[str]
_REQUIRED = ("arch", "width", "num_classes", "direction", "fold_div", "n_segment", "labels")


def save(
    path: FilePath, network: Network, direction: str, n_segment: int, labels: Sequence[str], half: bool = False
) -> None:
    """Write an unfused network as safetensors with a checksum, whole or not at all. `checkpoints.load` reads it.

    direction, n_segment: of the training. labels: one a class, in the order of the classifier's rows. half: store
    matrices and kernels as float16. Vectors, above all BatchNorm's variances, stay float32.
    Raises ValueError for arguments that contradict the network, and InputError for a path that cannot be written.
    """
    if network.fused or direction not in DIRECTIONS or len(labels) != network.arch.num_classes or n_segment < 1:
        got = f"fused={network.fused}, direction={direction!r}, {len(labels)} labels, n_segment={n_segment}"
        raise ValueError(f"save: got {got}; expected an unfused network and what it was trained with")
    arch = network.arch
    values = (arch.name, arch.width, arch.num_classes, direction, network.fold_div, n_segment, json.dumps(list(labels)))
    metadata = {"format": FORMAT, **{name: str(value) for name, value in zip(_REQUIRED, values, strict=True)}}
    state = {
        name: (tensor.half() if half and tensor.ndim > 1 else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    check_output(str(path))
    with draft_folder(str(path)) as folder:
        draft = Path(folder, "draft")
        # Written here and not by safetensors, which would give the file to this user alone (mode 0600).
        draft.write_bytes(to_bytes(state, with_digest(state, metadata)))
        os.replace(draft, path)


def described(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Return the metadata of `save` as values: arch (ArchSpec), direction, fold_div, n_segment, labels (tuple of str).

    Raises InputError where an entry is missing or damaged.
    """
    try:
        arch = ArchSpec(metadata["arch"], float(metadata["width"]), int(metadata["num_classes"]))
        direction, labels = metadata["direction"], tuple(json.loads(metadata["labels"]))
        fold_div, n_segment = int(metadata["fold_div"]), int(metadata["n_segment"])
        if direction not in DIRECTIONS or len(labels) != arch.num_classes:
            raise ValueError(f"direction {direction}, {len(labels)} labels, {arch.num_classes} classes")
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: metadata", repr(error), ", ".join(_REQUIRED), "save the network again") from None
    return {"arch": arch, "direction": direction, "fold_div": fold_div, "n_segment": n_segment, "labels": labels}
