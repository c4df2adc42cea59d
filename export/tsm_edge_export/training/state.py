"""The saved state of a training: one safetensors file, written whole or not at all, without pickle.

Its tensors are model.NAME, average.NAME and optimiser.NUMBER.KEY (NUMBER: place of the parameter in the optimiser's
groups). The metadata's "state" is JSON: the position and all else. Two files could not be replaced in one step.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from tsm_edge.errors import InputError
from tsm_edge.files import draft_folder
from tsm_edge_export.checkpoints.checks import check_file, check_header
from tsm_edge_export.checkpoints.reading import check_digest, with_digest

FORMAT = "tsm_edge.training"
NAME = "state.safetensors"

Tensors = dict[str, torch.Tensor]  # by name


def write(path: str | os.PathLike[str], tensors: Tensors, values: dict[str, Any]) -> None:
    """Write tensors and JSON values to a file. A write that fails raises InputError and leaves the earlier file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        replace(path, save(tensors, with_digest(tensors, {"format": FORMAT, "state": json.dumps(values)})))
    except InputError as error:
        raise InputError(error.where, error.got, error.expected, "make room, then go on with --resume") from None


def replace(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file in one step, once its bytes are on the disk. Raises InputError where that fails."""
    with draft_folder(os.fspath(path)) as folder:
        draft = os.path.join(folder, os.path.basename(path))
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)


def read(path: str | os.PathLike[str]) -> tuple[Tensors, dict[str, Any]]:
    """Return the tensors and values of `write`. Raises InputError for a file that is missing or something else."""
    if not os.path.isfile(path):
        raise InputError(path, "no saved training", "one, to go on with", "start it without --resume")
    check_file(path)
    check_header(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no dict)
        if metadata.get("format") != FORMAT:
            raise ValueError("format " + repr(metadata.get("format")))
        check_digest(Path(path), tensors, metadata)
        return tensors, json.loads(metadata["state"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(path, f"damaged, or no saved training ({error})", "one", "start the training again") from None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> Tensors:
    """Return the optimiser's tensors by name: "optimiser.3.momentum_buffer"."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{number}.{key}": value for number, entry in state.items() for key, value in entry.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Give an optimiser the tensors that `optimiser_tensors` returned."""
    entries: dict[int, Tensors] = {}
    for name, tensor in part(tensors, "optimiser").items():
        number, key = name.split(".")
        entries.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": entries, "param_groups": optimiser.state_dict()["param_groups"]})


def part(tensors: Tensors, prefix: str) -> Tensors:
    """Return the tensors whose names begin with `prefix` and a dot, under the rest of their names."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(prefix + ".")}
