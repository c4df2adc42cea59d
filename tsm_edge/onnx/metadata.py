"""What an ONNX file says of itself, read and checked without the onnx package, which a Jetson Nano does not have.

Field 14 of its `ModelProto` (onnx/onnx.proto) holds the metadata properties, each a message of a key (1) and a value
(2). Weights are hashed and not copied, so that reading takes milliseconds.
"""

import mmap
import os
import re
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Tuple, Union

from tsm_edge.errors import InputError
from tsm_edge.onnx import node as proto
from tsm_edge.onnx.digest import checked_digest
from tsm_edge.onnx.protobuf import BYTES, VARINT, Field, fields

MAX_BYTES = 2**31 - 1  # protobuf reads no larger message
# In a TensorProto's bytes: external_data (field 13), an entry whose key is "location".
_EXTERNAL_DATA = re.compile(b"\x6a..?\x0a\x08location", re.DOTALL)


class ModelFile(NamedTuple):
    """What is known of an ONNX file.

    sha256: its checksum, which was compared with its bytes; None where it has none. weight_types: the element types of
    its initialisers, by the numbers of `TensorProto.DataType`. domains: of the graph's own nodes; ONNX's own is "".
    folds: of each node of our domain, in their order: the channels of its input, and those of one fold where the node
    says so (None online, where the cache does); without the nodes whose shape the file does not state.
    """

    metadata: Dict[str, str]
    sha256: Optional[str]
    weight_types: FrozenSet[int]
    domains: FrozenSet[str]
    folds: Tuple[Tuple[int, Optional[int]], ...]


def read_model(path: Union[str, "os.PathLike[str]"]) -> ModelFile:
    """Read an ONNX file's metadata and check its checksum.

    Raises InputError where the file is missing, empty or damaged, where its checksum is not that of its bytes, and
    where its weights stand in another file.
    """
    if not os.path.isfile(path):
        got = "a folder" if os.path.isdir(path) else "no file" if os.path.exists(path) else "no such file"
        raise InputError(path, got, "an ONNX model", "check the path, or export one: make export MODEL=…")
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by the with below)
    except OSError as error:
        raise InputError(path, error.strerror, "a file that can be read", "check its permissions") from error
    with proto.input_errors(path), file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise ValueError("an empty file")
        if size > MAX_BYTES:
            raise ValueError("{:,} bytes, where an ONNX file has at most {:,}".format(size, MAX_BYTES))
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # unmapped when the last Field of it is freed
        model = list(fields(data))
        graphs = [field for field in model if field.number == proto.GRAPH and field.wire == BYTES]
        if len(graphs) != 1:
            raise ValueError("{} in it".format("{} graphs".format(len(graphs)) if graphs else "no graph"))
        digest = checked_digest(model)
        graph = graphs[0].fields()
        initialisers = [field for field in graph if field.number == proto.INITIALIZER]
        _refuse_external_data(model, graph, initialisers)
        types = {f.value for tensor in initialisers for f in tensor.fields(proto.DATA_TYPE) if f.wire == VARINT}
        nodes = [field for field in graph if field.number == proto.NODE]
        domains = {node.text_of(proto.NODE_DOMAIN) for node in nodes}
        return ModelFile(_metadata(model), digest, frozenset(types), frozenset(domains), _folds(graph, nodes))


def _metadata(model: List[Field]) -> Dict[str, str]:
    metadata: Dict[str, str] = {}
    for field in model:
        if field.number == proto.METADATA and field.wire == BYTES:
            key, value = field.text_of(1), field.text_of(2)
            if metadata.setdefault(key, value) != value:
                raise ValueError("metadata property {} twice".format(key))
    return metadata


def _folds(graph: List[Field], nodes: List[Field]) -> Tuple[Tuple[int, Optional[int]], ...]:
    """Return `ModelFile.folds`. The first output of such a node has the shape of its input, (N, C, H, W)."""
    shapes = {info.text_of(proto.VALUE_NAME): proto.axes(info) for info in graph if info.number == proto.VALUE_INFO}
    folds = []
    for shift in (proto.Node(node.value) for node in nodes if node.text_of(proto.NODE_DOMAIN) == proto.DOMAIN):
        axes = shapes.get(shift.outputs[0]) if shift.outputs else None
        channels = axes[1].fields(proto.DIM_VALUE) if axes and len(axes) == 4 else []
        fold = shift.attributes["fold"].fields(proto.ATTRIBUTE_INT) if "fold" in shift.attributes else []
        if channels:
            folds.append((channels[-1].value, fold[-1].value if fold else None))
    return tuple(folds)


def _refuse_external_data(model: List[Field], graph: List[Field], initialisers: List[Field]) -> None:
    """Raise ValueError if the values of a tensor are in another file, which no checksum covers."""
    for tensor in initialisers:
        for field in tensor.fields(proto.EXTERNAL_DATA, proto.DATA_LOCATION):
            if field.number == proto.EXTERNAL_DATA or field.value == proto.EXTERNAL:
                raise ValueError("weight {} stands in another file".format(tensor.text_of(proto.TENSOR_NAME)))
    others = [field for field in graph if field.number != proto.INITIALIZER]
    others += [field for field in model if field.number == proto.FUNCTIONS]
    if any(field.wire == BYTES and _EXTERNAL_DATA.search(field.value) for field in others):
        raise ValueError("a constant stands in another file")
