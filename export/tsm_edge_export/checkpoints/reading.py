"""Files -> named tensors, without running code from them."""

import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from tsm_edge.errors import InputError


class Contents(NamedTuple):
    """state: name -> tensor as the file has them. metadata: what else it says (epoch, arch, …), plain values only.

    is_safetensors: the metadata is then str -> str.
    """

    state: dict[str, torch.Tensor]
    metadata: dict[str, Any]
    is_safetensors: bool


def read(path: Path) -> Contents:
    """Read a torch checkpoint (zip or the older format, bare or under "state_dict") or a safetensors file.

    Raises InputError for a file that is missing, empty, truncated, no checkpoint, or a pickle that names code to run.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(path, error.strerror, "a checkpoint that can be read", "check the path") from None
    if not start:
        raise InputError(path, "an empty file (0 bytes)", "a checkpoint", "download or copy it again")
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_safetensors(path)
    return _read_torch(path)


def _read_safetensors(path):
    try:
        with safe_open(str(path), framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no dict)
            return Contents(state, file.metadata() or {}, True)
    except (SafetensorError, OSError) as error:
        raise InputError(
            path, f"a damaged safetensors file ({error})", "a whole one", "download or copy it again"
        ) from None


def _read_torch(path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch guesses of a strange file; the error below says it
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything; none of it is a fault of ours
        raise _unreadable(path, error) from None
    if not isinstance(data, dict):
        raise InputError(path, f"a {type(data).__name__}", "a checkpoint: a dict of tensors", "give another file")
    nested = data.get("state_dict")
    state = nested if isinstance(nested, dict) else data
    strange = [name for name, value in state.items() if not (isinstance(name, str) and isinstance(value, torch.Tensor))]
    if strange or not state:
        raise InputError(
            path,
            f"no state_dict, and {strange[0]!r} is no tensor" if strange else "no tensors",
            'named tensors, bare or under "state_dict"',
            "save the network's state_dict() and give that file",
        )
    plain = (str, int, float)
    metadata = {
        name: v for name, v in data.items() if state is nested and isinstance(v, plain) and isinstance(name, str)
    }
    return Contents(dict(state), metadata, False)


def _unreadable(path, error):
    text = str(error)
    code = re.search(r"GLOBAL ([\w.]+)", text)
    if code:
        return InputError(
            path,
            f"a pickle that asks to load {code.group(1)}, which could run code",
            "tensors and plain values only (nothing was run)",
            "if you trust its author, save its state_dict() alone on the machine it comes from, and give that file",
        )
    reason = text.split("WeightsUnpickler error: ")[-1].strip().splitlines()
    return InputError(
        path,
        f"a damaged file, or no checkpoint ({reason[0][:120] if reason else 'it ends too early'})",
        "a torch checkpoint (.pth, .pth.tar) or .safetensors",
        "download or copy it again, and check that it is not a web page",
    )
