"""What `tsm-edge build` is asked for."""

import shlex
from typing import NamedTuple, Optional, Tuple

from tsm_edge.engines.tensorrt import record as records
from tsm_edge.errors import InputError

Streams = Tuple[int, int, int]  # least, usual, most


class Request(NamedTuple):
    """What to build.

    precision: "fp32", "fp16" or "int8". lowering: of `record.LOWERINGS`. streams: as `parse_streams` takes them.
    workspace: MB. timing_cache: a file to read and write. log_level: of `compat.LEVELS`. check: whether each form is
    compared with ONNX Runtime before it is written.
    """

    onnx: str
    output: str
    precision: str = "fp32"
    lowering: str = "auto"
    streams: str = "1"
    workspace: int = records.WORKSPACE_MB
    timing_cache: Optional[str] = None
    log_level: str = "warning"
    check: bool = True


def parse_streams(text: str) -> Streams:
    """Return (least, usual, most) of "N" or "MIN:OPT:MAX". Raises InputError."""
    numbers = [int(part) if part.isdigit() else 0 for part in text.split(":")]
    least, usual, most = numbers * 3 if len(numbers) == 1 else numbers if len(numbers) == 3 else (0, 0, 0)
    if not 1 <= least <= usual <= most:
        do = "for example --streams 1:1:4"
        raise InputError("--streams", text, "N, or MIN:OPT:MAX that do not fall, from 1 on", do)
    return least, usual, most


def command_of(request: Request) -> str:
    """Return the command that builds this again; --streams stands last."""
    words = ["tsm-edge", "build", request.onnx, "-o", request.output, "--lowering", request.lowering]
    words += ["--" + request.precision] if request.precision != "fp32" else []
    words += ["--workspace", str(request.workspace)] if request.workspace != records.WORKSPACE_MB else []
    words += [] if request.check else ["--no-check"]
    return " ".join(shlex.quote(word) for word in words + ["--streams", request.streams])
