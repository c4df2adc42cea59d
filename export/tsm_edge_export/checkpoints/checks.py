"""Checks on a file of weights: its size, the header of a safetensors file, and the kind of each tensor.

The header of safetensors is checked here although its library reads it too: the library takes the last of two equal
keys, and its errors name no tensor. Source of the format: README of huggingface/safetensors.
"""

import json
import logging
import math
import os
import stat
import zipfile
from collections import Counter
from typing import Any, Mapping

import torch

from tsm_edge.errors import InputError

MAX_FILE_BYTES = 1 << 30  # ResNet-101 with all that a training saves takes 0.7 GB
MAX_HEADER_BYTES = 8 << 20
TRACKED = ".num_batches_tracked"
CONVERTED = (torch.float16, torch.bfloat16, torch.float64)  # to float32
_ITEM_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64}
_ITEM_BITS |= {"F16": 16, "BF16": 16, "F32": 32, "F64": 64, "C64": 64, "F8_E4M3": 8, "F8_E5M2": 8}
_FLOATS = "float32 (float16, bfloat16 and float64 are converted)"
_AGAIN = "copy or download it again"

_log = logging.getLogger(__name__)


def check_file(path: Any) -> None:
    """Raise InputError unless `path` is a regular file that is not empty and has at most MAX_FILE_BYTES."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        got = getattr(error, "strerror", None) or str(error)
        raise InputError(path, got, "a checkpoint that can be read", "check the path") from None
    if not stat.S_ISREG(status.st_mode):
        got = "a directory" if stat.S_ISDIR(status.st_mode) else "a device or a named pipe"
        raise InputError(path, got, "a checkpoint file", "check the path")
    if not status.st_size:
        raise InputError(path, "an empty file (0 bytes)", "a checkpoint", "download or copy it again")
    if status.st_size > MAX_FILE_BYTES:
        got, most = f"{status.st_size / 1e9:.1f} GB", f"a checkpoint of at most {MAX_FILE_BYTES / 1e9:.1f} GB"
        raise InputError(path, got, most, "save the network's state_dict() alone")


def check_archive(path: Any) -> None:
    """Raise InputError where a zip file, as torch writes it, would unpack to more than it is: torch compresses none."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile):
        return  # no zip file, or a damaged one: torch says so
    if size > os.path.getsize(path):
        raise InputError(path, f"a zip file that unpacks to {size} bytes", "an uncompressed one", "save it with torch")


def check_header(path: Any) -> None:
    """Raise InputError, naming the tensor, unless the header of a safetensors file describes the file.

    Keys must differ, sizes must fit dtypes and shapes, and the tensors must fill the file without holes or overlaps.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        size = os.fstat(file.fileno()).st_size - 8 - length
        if length > MAX_HEADER_BYTES or size < 0:
            raise _damaged(path, f"a header of {length} bytes", f"one inside the file, of at most {MAX_HEADER_BYTES}")
        text = file.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error), "a header in JSON") from None
    if not isinstance(header, dict):
        raise _damaged(path, f"a header that is a {type(header).__name__}", "a JSON object")
    header.pop("__metadata__", None)  # the library checks that it holds text alone
    end = 0
    for name, begin, stop in sorted((_placed(path, n, entry) for n, entry in header.items()), key=lambda row: row[1:]):
        if begin != end or stop > size:
            got = f"bytes {begin} to {stop}"
            raise _damaged(f"{path}: {name}", got, f"from byte {end}, where the tensor before ends, to {size} at most")
        end = stop
    if end != size:
        raise _damaged(path, f"{size} bytes of tensors", f"the {end} bytes that its header describes")


def check_tensors(path: Any, state: Mapping[str, torch.Tensor], quiet: bool = False) -> None:
    """Raise InputError, naming the tensor, for tensors that are no plain weights.

    Refused are tensors that are sparse, quantised, without values (meta), without elements, of another dtype than a
    floating-point one of 16 to 64 bits, or that share memory. What float32 replaces is logged, unless `quiet`.
    """
    for name, tensor in state.items():
        _check_kind(f"{path}: {_short(name)}", name, tensor)
    _check_apart(path, state)
    kinds = Counter(tensor.dtype for tensor in state.values() if tensor.dtype in CONVERTED)
    for dtype, count in kinds.items():
        level = logging.INFO if quiet else logging.WARNING
        rounded = ", with rounding" if dtype == torch.float64 else ""
        _log.log(level, "%s: %d tensors of %s are converted to float32%s", path, count, _named(dtype), rounded)


def _check_kind(where: str, name: str, tensor: torch.Tensor) -> None:
    do, dense = "save the network's state_dict() as dense tensors", "a dense tensor with values"
    if tensor.is_quantized:
        raise InputError(where, f"a quantised tensor ({_named(tensor.dtype)})", _FLOATS, "give the network before it")
    if tensor.layout != torch.strided:
        kind = str(tensor.layout).removeprefix("torch.")
        raise InputError(where, f"a sparse or nested tensor ({kind})", dense, do)
    if tensor.device.type != "cpu":
        raise InputError(where, f"a tensor on the device {tensor.device.type!r}", dense, do)
    counts = (torch.int64, torch.int32) if name.endswith(TRACKED) else ()
    if tensor.dtype not in (torch.float32, *CONVERTED, *counts):
        raise InputError(where, _named(tensor.dtype), _FLOATS, "save the weights that were trained, as float32")
    if not tensor.numel():
        raise InputError(where, f"a tensor without elements, {tuple(tensor.shape)}", "sizes of at least 1", do)
    if _extent(tensor) < tensor.numel():
        got = f"{tensor.numel()} elements in the memory of {_extent(tensor)}"
        raise InputError(where, got, "a value of its own for each element", "save a copy: tensor.clone()")


def _check_apart(path: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Raise InputError where two tensors share memory: in these networks each has weights of its own."""
    places = []
    for name, tensor in state.items():
        begin = tensor.data_ptr()
        places.append((begin, begin + _extent(tensor) * tensor.element_size(), name))
    places.sort()
    for (_, end, name), (begin, _, other) in zip(places, places[1:], strict=False):
        if begin < end:
            got, do = f"the memory of {_short(name)}", "save copies: {name: tensor.clone()} for each tensor"
            raise InputError(f"{path}: {_short(other)}", got, "memory of its own", do)


def _extent(tensor: torch.Tensor) -> int:
    """Return the elements from the first to the last of a tensor in memory."""
    return 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _placed(path: Any, name: str, entry: Any) -> tuple[str, int, int]:
    """Return name, first byte and end of a tensor that a header describes."""
    where = f"{path}: {_short(name)}"
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [begin, end, *shape]
    except (TypeError, KeyError, ValueError):
        raise _damaged(where, _short(repr(entry)), "dtype, shape and two data_offsets") from None
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers) or begin > end:
        raise _damaged(where, f"shape {_short(repr(shape))}, bytes {begin} to {end}", "whole numbers from 0, in order")
    if not isinstance(dtype, str) or dtype not in _ITEM_BITS:
        raise _damaged(where, f"dtype {_short(repr(dtype))}", ", ".join(_ITEM_BITS))
    if len(shape) > 8 or math.prod(shape) * _ITEM_BITS[dtype] != 8 * (end - begin):
        raise _damaged(where, f"{end - begin} bytes", f"the bytes of {_short(str(shape))} {dtype}")
    return name, begin, end


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {_short(twice)!r} twice")
    return found


def _damaged(where: Any, got: str, expected: str) -> InputError:
    return InputError(where, f"a damaged safetensors file: {got}", expected, _AGAIN)


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _short(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[:most] + "…"
