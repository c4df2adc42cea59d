"""Checkpoints whose tensors are of the wrong kind, and files that lie about what they hold."""

import json
import os
import pickle
import struct

import torch
from safetensors.torch import load_file

from tests.hostile import values
from tests.hostile.case import kind
from tsm_edge_export.checkpoints.reading import with_digest

CONV = "features.2.conv.0.0.weight"
HEADER = 8  # bytes of the header's length


def state_of(case):
    """Return the tensors of the good checkpoint, and its metadata."""
    path = str(case.assets.path("tiny.safetensors"))
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(HEADER))
        return load_file(path), json.loads(file.read(length).decode())["__metadata__"]


TYPES = {torch.float32: "F32", torch.int64: "I64", torch.int32: "I32", torch.int8: "I8", torch.uint8: "U8"}
TYPES[torch.bool] = "BOOL"


def safetensors_file(state, metadata):
    """Return the tensors as a file. The library's own writer orders the metadata by chance."""
    header, rest = {"__metadata__": metadata}, b""
    for name, tensor in sorted(state.items()):
        data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        offsets = [len(rest), len(rest) + len(data)]
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        rest += data
    return joined(header, rest)


def some_weight(case, state):
    """Return the name of one kernel or matrix."""
    return case.random.choice([name for name, tensor in sorted(state.items()) if tensor.ndim > 1])


def use(case, name, allowed=(2,)):
    """Add a command that loads the checkpoint `name`."""
    case.take("tiny.toml")
    choice = case.random.randrange(4)
    if choice < 2:
        case.run("export", "tiny.toml", "--weights", name, "-o", "o.onnx", allowed=allowed)
        case.outputs += ["o.onnx", "o.json"]
    elif choice == 2:
        case.take("list.txt", "clips")
        line = ("--list", "list.txt", "--root", "clips", "--workers", "0")
        case.run("eval", "--engine", name, "--recipe", "tiny.toml", *line, allowed=allowed)
    else:
        case.take("train.toml", "train.txt", "clips")
        text = case.read("train.toml").decode() + "[start]\nnew_head = true\n"
        case.write("train.toml", text)
        case.run("train", "train.toml", "--start", name, "-o", "out", allowed=allowed)
        case.outputs += ["out", "out/*"]


def write_state(case, state, metadata, safetensors=None):
    """Write tensors, as safetensors or as torch does. Returns the file's name."""
    if case.random.random() < 0.5 if safetensors is None else safetensors:
        metadata = with_digest(state, metadata)
        return case.write("w.safetensors", safetensors_file(state, metadata))
    torch.save({"state_dict": state, "epoch": 1}, str(case.folder / "w.pth"))
    return "w.pth"


@kind(share=5)
def dtype(case):
    """Store one weight as whole numbers, truth values or complex numbers."""
    state, metadata = state_of(case)
    name = some_weight(case, state)
    kinds = {"int64": torch.int64, "uint8": torch.uint8, "bool": torch.bool, "int8": torch.int8, "int32": torch.int32}
    kinds["complex64"] = torch.complex64
    chosen = case.random.choice(sorted(kinds))
    state[name] = state[name].to(kinds[chosen])
    case.say("{} as {}".format(name, chosen))
    use(case, write_state(case, state, metadata, safetensors=False if chosen == "complex64" else None))


@kind(share=4)
def layout(case):
    """Store one weight as a sparse, quantised, meta, or nested tensor, or as a view that repeats one number."""
    state, _ = state_of(case)
    name = some_weight(case, state)
    how = case.random.choice(("sparse", "csr", "quantised", "meta", "huge view", "view", "parameter", "list", "float8"))
    tensor = state[name]
    if how == "sparse":
        state[name] = tensor.to_sparse()
    elif how == "csr":
        state[name] = tensor.reshape(tensor.shape[0], -1).to_sparse_csr()
    elif how == "quantised":
        state[name] = torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)
    elif how == "meta":
        state[name] = tensor.to("meta")
    elif how == "huge view":
        state[name] = torch.zeros(1).expand(10**6, 10**6)
    elif how == "view":
        state[name] = torch.zeros(1).expand(tensor.shape)
    elif how == "parameter":
        state[name] = torch.nn.Parameter(tensor)
    elif how == "float8":
        state[name] = tensor.to(torch.float8_e4m3fn)
    else:
        state[name] = [1.0, 2.0]
    case.say("{}: {}".format(name, how))
    use(
        case,
        write_state(case, state, {}, safetensors=False),
        (0, 2) if how in ("view", "parameter", "float8") else (2,),
    )


@kind(share=2)
def not_finite(case):
    """Put a NaN or an infinity into a weight, or a negative variance."""
    state, metadata = state_of(case)
    name = some_weight(case, state)
    state[name].view(-1)[case.random.randrange(state[name].numel())] = case.random.choice((float("nan"), float("-inf")))
    case.say(name + " is not finite")
    use(case, write_state(case, state, metadata))


@kind(share=3)
def shapes(case):
    """Lose, add, rename or reshape a tensor."""
    state, metadata = state_of(case)
    name = some_weight(case, state)
    how = case.random.choice(("lost", "added", "renamed", "reshaped", "scalar", "empty", "escape code", "many"))
    tensor = state.pop(name)
    if how == "added":
        state.update({name: tensor, "extra.weight": tensor.clone()})
    elif how == "renamed":
        state[name.upper()] = tensor
    elif how == "reshaped":
        state[name] = tensor.reshape(-1)
    elif how == "scalar":
        state[name] = torch.tensor(1.0)
    elif how == "empty":
        state[name] = torch.zeros(0)
    elif how == "escape code":
        state["\x1b[2J\x1b[31m" + name + "\u202e"] = tensor
    elif how == "many":
        state.update({"t{}".format(index): torch.zeros(1) for index in range(20000)})
    case.say("{}: {}".format(name, how))
    use(case, write_state(case, state, metadata))


def header_of(data):
    """Return (header, tensors' bytes) of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:HEADER])
    return json.loads(data[HEADER : HEADER + length].decode()), data[HEADER + length :]


def joined(header, rest):
    """Return a safetensors file; header: a dict or JSON text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + rest


@kind(share=6)
def safetensors_header(case):
    """Write a header whose tensors overlap, appear twice, or lie outside of the file."""
    header, rest = header_of(case.assets.path("tiny.safetensors").read_bytes())
    names = sorted(name for name in header if name != "__metadata__")
    one, two = case.random.sample([n for n in names if len(header[n]["shape"]) > 1], 2)
    how = case.random.choice(
        ("overlap", "duplicate", "outside", "hole", "backwards", "huge", "negative", "type", "metadata")
    )
    if how == "overlap":
        start = header[one]["data_offsets"][0]
        size = header[two]["data_offsets"][1] - header[two]["data_offsets"][0]
        header[two]["data_offsets"] = [start, start + size]
    elif how == "outside":
        header[one]["data_offsets"] = [len(rest), len(rest) + 4]
    elif how == "hole":
        rest += bytes(100)
    elif how == "backwards":
        header[one]["data_offsets"].reverse()
    elif how == "huge":
        header[one]["shape"] = [2**40, 2**40]
    elif how == "negative":
        header[one]["shape"] = [-1, -5]
    elif how == "type":
        header[one]["dtype"] = case.random.choice(("I64", "F128", "BOOL", "", "\x1b[31m"))
    elif how == "metadata":
        key = case.random.choice(
            ("num_classes", "width", "fold_div", "n_segment", "labels", "direction", "arch", "format")
        )
        wrong = case.random.choice((values.DIGITS, "nan", "-1", "1e999", "", "[" * 100000, "\x1b[31m", '["a"]', "null"))
        header["__metadata__"][key] = wrong
        header["__metadata__"] = with_digest(state_of(case)[0], header["__metadata__"])
        one = "{} = {}".format(key, wrong[:30])
    data = joined(header, rest)
    if how == "duplicate":
        entry = "{}: {}, ".format(json.dumps(one), json.dumps(header[two])).encode()
        text = json.dumps(header).encode()
        data = joined(text[:1] + entry + text[1:], rest)
    case.say("{} {}".format(how, one))
    case.write("w.safetensors", data)
    use(case, "w.safetensors", (0, 2) if how == "metadata" else (2,))


@kind(share=3)
def safetensors_bit(case):
    """Flip a bit of a weight in our own format: it states a checksum."""
    data = case.assets.path("tiny.safetensors").read_bytes()
    header, rest = header_of(data)
    ranges = [header[n]["data_offsets"] for n in sorted(header) if n != "__metadata__" and header[n]["dtype"] == "F32"]
    start, stop = case.random.choice(ranges)
    at = len(data) - len(rest)
    data, what = values.flipped(case.random, data, 1, at + start, at + stop)
    case.write("w.safetensors", data)
    case.say(what)
    use(case, "w.safetensors")


@kind(share=3)
def damaged(case):
    """Damage the bytes of a checkpoint. torch's format has no checksum of ours: a changed weight may pass."""
    name = case.random.choice(("tiny.safetensors", "tiny.pth"))
    data, what = values.damaged(case.random, case.assets.path(name).read_bytes())
    case.write(name, data)
    case.say("{}: {}".format(name, what))
    use(case, name, (2,) if name.endswith(".safetensors") else (0, 2))


class _Touches:
    def __reduce__(self):
        return os.mkdir, ("injected",)


@kind(share=2)
def pickles(case):
    """Ask the reader to run code, or to build something huge."""
    how = case.random.choice(("code", "code in torch", "deep", "large", "module"))
    if how == "code":
        case.write("w.pth", pickle.dumps(_Touches()))
    elif how == "code in torch":
        torch.save({"state_dict": {"a": torch.zeros(1)}, "x": _Touches()}, str(case.folder / "w.pth"))
    elif how == "deep":
        case.write("w.pth", b"\x80\x02" + b"(" * 500000 + b".")
    elif how == "large":
        case.write("w.pth", b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.")
    else:
        torch.save(torch.nn.Linear(2, 2), str(case.folder / "w.pth"))
    case.say(how)
    use(case, "w.pth")


@kind()
def other_network(case):
    """Give weights of another width, or an ONNX file, in the place of the checkpoint."""
    case.take("tiny_custom.onnx")
    case.write("w.pth", case.read("tiny_custom.onnx"))
    case.write("other.toml", "[arch]\nname = 'resnet18'\nnum_classes = 5\n")
    case.take("tiny.safetensors")
    case.say("weights of another network")
    line = case.random.choice((("tiny.toml", "w.pth"), ("other.toml", "tiny.safetensors")))
    case.take("tiny.toml")
    case.run("export", line[0], "--weights", line[1], "-o", "o.onnx")
