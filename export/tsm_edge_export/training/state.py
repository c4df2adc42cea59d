"""Where a training stands: one safetensors file that appears whole or not at all, without pickle.

Tensors: model.NAME, average.NAME, optimiser.NUMBER.KEY (NUMBER: place of the parameter in the optimiser's groups). The
metadata's "state" is JSON: the position and all else. One file, because two could not be replaced in one step.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tsm_edge.errors import InputError

FORMAT = "tsm_edge.training"
NAME = "state.safetensors"


class Saved(NamedTuple):
    """tensors: name -> tensor. values: what was given to `write`."""

    tensors: dict[str, torch.Tensor]
    values: dict[str, Any]


def write(path, tensors, values):
    """Write tensors and JSON values to `path`. A write that fails leaves the file that was there before.

    Raises InputError where the disk is full or the folder cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    replace(path, save(tensors, {"format": FORMAT, "state": json.dumps(values)}))


def replace(path, data):
    """Put the bytes `data` in the place of the file `path` in one step, once they are on the disk."""
    path = Path(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".save-") as folder:
            draft = Path(folder) / path.name
            with open(draft, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
    except OSError as error:
        raise InputError(
            path,
            error.strerror,
            f"room for {len(data) / 1e6:.1f} MB",
            "make room, then go on with --resume: what was saved before is whole",
        ) from None


def read(path) -> Saved:
    """What `write` wrote. Raises InputError for a file that is missing, damaged, or something else."""
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no saved training", "one, to go on with", "start it without --resume")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no dict)
        if metadata.get("format") != FORMAT:
            raise ValueError("format " + repr(metadata.get("format")))
        return Saved(tensors, json.loads(metadata["state"]))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(path, f"damaged, or no saved training ({error})", "one", "start the training again") from None


def optimiser_tensors(optimiser):
    """The optimiser's tensors by name: "optimiser.3.momentum_buffer"."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{key}": value for number, entry in state.items() for key, value in entry.items()}


def load_optimiser(optimiser, tensors):
    """Put such tensors back."""
    entries = {}
    for name, tensor in part(tensors, "optimiser").items():
        number, key = name.split(".")
        entries.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})


def part(tensors, prefix):
    """The tensors below `prefix`, without it."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}
