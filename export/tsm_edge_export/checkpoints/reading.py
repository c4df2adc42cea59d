"""Reads named tensors from files without running code from them, and tells sets of tensors apart."""

import hashlib
import json
import logging
import re
import warnings
from pathlib import Path
from typing import Any, Mapping, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

from tsm_edge.errors import InputError
from tsm_edge.onnx.digest import DIGEST_KEY

from . import centerface
from .checks import check_archive, check_file, check_header

FORMAT = "tsm_edge"  # the metadata's "format" in files of `own.save`

_log = logging.getLogger(__name__)


class Contents(NamedTuple):
    """What a file holds."""

    state: dict[str, torch.Tensor]
    metadata: dict[str, Any]  # what else the file says (epoch, arch, …), plain values only; str -> str in safetensors
    is_safetensors: bool
    is_centerface: bool = False  # a centerface.onnx, already under our names


def read(path: Path) -> Contents:
    """Read a torch checkpoint (zip or older, bare or under "state_dict"), a safetensors file or a centerface.onnx.

    Raises InputError for a file that is missing, empty, too large, truncated, no checkpoint, or a pickle that names
    code to run.
    """
    check_file(path)
    try:
        with open(path, "rb") as file:
            start = file.read(9)
    except OSError as error:
        raise InputError(path, error.strerror, "a checkpoint that can be read", "check its permissions") from None
    if path.suffix == ".onnx":
        return Contents(centerface.read(path), {}, False, is_centerface=True)
    if path.suffix == ".safetensors" or start[8:] == b"{":
        return _read_safetensors(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> Contents:
    check_header(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise InputError(path, f"a damaged safetensors file ({error})", "a whole one", "copy it again") from None
    if metadata.get("format") == FORMAT or DIGEST_KEY in metadata:
        check_digest(path, state, metadata)
    return Contents(state, metadata, True)


def _read_torch(path: Path) -> Contents:
    check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below says what matters
            data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise nearly anything
        raise _unreadable(path, error) from None
    if not isinstance(data, dict):
        raise InputError(path, f"a {type(data).__name__}", "a checkpoint: a dict of tensors", "give another file")
    nested = data.get("state_dict")
    state = nested if isinstance(nested, dict) else data
    strange = [name for name, value in state.items() if not (isinstance(name, str) and isinstance(value, torch.Tensor))]
    if strange or not state:
        got = f"no state_dict, and {strange[0]!r} is no tensor" if strange else "no tensors"
        raise InputError(path, got, 'named tensors, bare or under "state_dict"', "save the network's state_dict()")
    beside = data.items() if state is nested else ()
    metadata = {name: v for name, v in beside if isinstance(v, (str, int, float)) and isinstance(name, str)}
    return Contents(dict(state), metadata, False)


def _unreadable(path: Path, error: Exception) -> InputError:
    text = str(error)
    code = re.search(r"GLOBAL ([\w.]+)", text)
    if code:
        got = f"a pickle that asks to load {code.group(1)}, which could run code"
        do = "if you trust its author, save its state_dict() alone on the machine it comes from, and give that file"
        return InputError(path, got, "tensors and plain values only (nothing was run)", do)
    reason = text.split("WeightsUnpickler error: ")[-1].strip().splitlines() or ["it ends too early"]
    got, do = f"a damaged file, or no checkpoint ({reason[0][:120]})", "copy it again; it may be a web page"
    return InputError(path, got, "a torch checkpoint (.pth, .pth.tar) or .safetensors", do)


def weights_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 (hex) over name, dtype, shape and bytes of all tensors, in the order of their names.

    BatchNorm's num_batches_tracked is left out: no answer depends on it, and half of the published files lack it.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        if name.endswith(".num_batches_tracked"):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def with_digest(state: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a safetensors file with a checksum over it and over the tensors."""
    kept = {name: value for name, value in metadata.items() if name != DIGEST_KEY}
    text = json.dumps(kept, sort_keys=True) + weights_sha256(state)
    return {**kept, DIGEST_KEY: hashlib.sha256(text.encode()).hexdigest()}


def check_digest(path: Path, state: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Raise InputError where the checksum in a file's metadata is not that of its tensors and its metadata.

    A file without one, of an older release, is taken with a warning.
    """
    stated, actual = metadata.get(DIGEST_KEY), with_digest(state, metadata)[DIGEST_KEY]
    if stated is None:
        _log.warning("%s: no checksum (saved by an older release); damage would go unnoticed", path)
    elif stated != actual:
        got = f"damaged or changed: the checksum is {actual}, the file says {stated[:64]}"
        raise InputError(path, got, "the file that was saved", "copy it again, or save the network again")
