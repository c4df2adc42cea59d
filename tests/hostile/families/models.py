"""Models that are damaged, swapped, or that contradict themselves."""

import json

import onnx

from tests.hostile import values
from tests.hostile.bases import BASES
from tests.hostile.case import kind
from tests.hostile.oracle import same_frames
from tsm_edge.engines import checksums
from tsm_edge.engines.tensorrt.record import FORMAT_VERSION
from tsm_edge.files import sha256_of
from tsm_edge.manifest import METADATA_KEY
from tsm_edge.onnx.digest import with_digest

LOADERS = ("run", "run", "profile", "info", "info-json", "verify", "eval-stream", "compare-run")


def load(case, key, allowed=(2,), answers=False, model="tiny_custom.onnx"):
    """Add the command of a base, which reads `model`. answers: where it runs to its end, the frames must be right."""
    base = BASES[key]
    case.take(*[name for name in base.takes if not (case.folder / name).exists()])
    if key == "verify":
        allowed = (*allowed, 1)  # a proof that failed
    case.run(*base.line({"tiny_custom.onnx": model}), allowed=allowed)
    case.outputs += base.patterns()
    if answers and key == "run":
        case.checks.append(same_frames("o.jsonl", case.assets.clean("clip.avi")))


def weights_of(data):
    """Return (name, start, length) of each stored weight of an ONNX file, from the bytes of the file."""
    model = onnx.load_model_from_string(data)
    found, at = [], 0
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) >= 16:
            at = data.find(tensor.raw_data, 0)
            found.append((tensor.name, at, len(tensor.raw_data)))
    return found


def seal(case, name, model):
    """Write an ONNX model into the case with a checksum that is right: what is wrong with it must be found itself."""
    case.write(name, with_digest(model.SerializeToString()))


def embed(case, name, manifest, sidecar=True):
    """Write a manifest into an ONNX file of the case, sealed, and into the file beside it unless told otherwise."""
    model = onnx.load_model_from_string(case.read(name))
    text = manifest if isinstance(manifest, str) else json.dumps(manifest, indent=1)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    seal(case, name, model)
    if sidecar:
        case.write(name.replace(".onnx", ".json"), text)


def manifest_in(case, name):
    """Return the manifest beside a model of the case."""
    return json.loads(case.read(name.replace(".onnx", ".json")).decode())


@kind(share=7)
def weight_bit(case):
    """Flip one bit of one weight: no command may answer."""
    name, key = case.random.choice(("tiny_custom", "tiny_custom", "tiny_standard", "mobilenetv2_tsm")), "run"
    if not name.startswith("mobilenet"):
        key = case.random.choice(LOADERS)
    name += ".onnx"
    case.take(name, name.replace(".onnx", ".json"))
    data = case.read(name)
    weight, start, length = case.random.choice(weights_of(data))
    data, what = values.flipped(case.random, data, 1, start, start + length)
    case.write(name, data)
    case.say("{} of weight {}: {}".format(name, weight, what))
    load(case, key, model=name)


@kind()
def offline_weight_bit(case):
    """Flip one bit of a weight of an offline model."""
    case.take("tiny_offline.onnx", "tiny_offline.json", "list.txt", "clips")
    data = case.read("tiny_offline.onnx")
    weight, start, length = case.random.choice(weights_of(data))
    data, what = values.flipped(case.random, data, 1, start, start + length)
    case.write("tiny_offline.onnx", data)
    case.say("weight {}: {}".format(weight, what))
    command = case.random.choice(
        (("info",), ("verify",), ("eval", "--list", "list.txt", "--root", "clips", "--engine"))
    )
    case.run(*command, "tiny_offline.onnx", allowed=(2, 1) if command[0] == "verify" else (2,))


@kind(share=3)
def any_bits(case):
    """Flip bits anywhere in the file: the answer is right, or none."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    data, what = values.flipped(case.random, case.read("tiny_custom.onnx"), case.random.choice((1, 1, 2, 10)))
    case.write("tiny_custom.onnx", data)
    case.say(what)
    load(case, "run", (0, 2), answers=True)


@kind(share=3)
def graph_bit(case):
    """Flip a bit of the graph, the metadata or a name, but of no weight."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    data = case.read("tiny_custom.onnx")
    weights = weights_of(data)
    while True:
        new, what = values.flipped(case.random, data)
        at = next(i for i, (a, b) in enumerate(zip(data, new)) if a != b)
        if not any(start <= at < start + length for _, start, length in weights):
            break
    case.write("tiny_custom.onnx", new)
    case.say(what)
    load(case, case.random.choice(("run", "run", "run", "info", "profile")), (0, 2), answers=True)


@kind(share=4)
def damaged(case):
    """Cut, overwrite or shift bytes of the model or of its sidecar."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    name = case.random.choice(("tiny_custom.onnx", "tiny_custom.onnx", "tiny_custom.json"))
    data, what = values.damaged(case.random, case.read(name))
    case.write(name, data)
    case.say("{}: {}".format(name, what))
    load(case, case.random.choice(LOADERS), (0, 2), answers=True)


@kind(share=2)
def swapped(case):
    """Put the sidecar of one model beside another, or one model's file under the other's name."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    other = case.random.choice(("tiny_standard", "tiny_offline", "mobilenetv2_tsm"))
    suffix = case.random.choice((".json", ".onnx"))
    case.write("tiny_custom" + suffix, case.assets.path(other + suffix).read_bytes())
    case.say("{0} of {1}".format(suffix, other))
    load(case, case.random.choice(LOADERS))


CONTRADICTIONS = (
    ("parity.passed", False),
    ("parity", {}),
    ("precision", "float16"),
    ("precision", "float64"),
    ("lowering", "standard"),
    ("labels.0", ""),
    ("labels.0", "class_001"),
    ("labels", []),
    ("arch.num_classes", 6),
    ("arch.num_classes", 0),
    ("caches.0.shape", [1, 1, 1]),
    ("caches.0.shape", [10**6, 10**6, 10**6]),
    ("caches.0.dtype", "float16"),
    ("caches.0.input", "cache_01"),
    ("caches", []),
    ("outputs.0.shape", [7]),
    ("outputs.0.name", "nothing"),
    ("outputs.0.dtype", "int8"),
    ("outputs", []),
    ("frame.height", 65),
    ("frame.width", 10**9),
    ("frame.short_side", 10),
    ("frame.std", [0.0, 1.0, 1.0]),
    ("frame.colour", "GBR"),
    ("shift.direction", "bidirectional"),
    ("shift.fold_div", 0),
    ("shift.fold_div", 2),
    ("shift.places", []),
    ("mode", "offline"),
    ("fps", 0),
    ("fps", -1),
    ("weights.sha256", "0" * 64),
    ("weights.sha256", ""),
    ("decision.window", 0),
    ("decision.threshold", 7),
    ("decision.hysteresis", 10**9),
    ("decision.ignored", ["no such label"]),
    ("task", "detection"),
    ("format_version", 3),
)


@kind(share=6)
def contradiction(case):
    """Write a manifest that contradicts itself or the graph, in the model and beside it."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    path, value = case.random.choice(CONTRADICTIONS)
    manifest = manifest_in(case, "tiny_custom.onnx")
    values.put(manifest, tuple(int(part) if part.isdigit() else part for part in path.split(".")), value)
    embed(case, "tiny_custom.onnx", manifest)
    case.say("{} = {}".format(path, value))
    # `info` shows what a file says; whether the graph agrees, the engine knows.
    load(case, case.random.choice(("run", "run", "profile", "verify", "eval-stream")))


@kind(share=5)
def manifest_value(case):
    """Replace any value of the manifest, in the model and beside it."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    manifest = manifest_in(case, "tiny_custom.onnx")
    case.say(values.changed_tree(case.random, manifest))
    embed(case, "tiny_custom.onnx", manifest, sidecar=case.random.random() < 0.7)
    load(case, case.random.choice(("run", "run", "info", "info-json", "profile", "verify")), (0, 2))


@kind(share=2)
def manifest_text(case):
    """Spoil the text of the manifest in the model."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    data, what = values.spoiled_text(case.random, case.read("tiny_custom.json"))
    case.say("embedded manifest: " + what)
    (case.folder / "tiny_custom.json").unlink()
    embed(case, "tiny_custom.onnx", data.decode("utf-8", "replace"), sidecar=False)
    load(case, case.random.choice(("run", "info")), (0, 2), answers=True)


@kind(share=2)
def external_data(case):
    """Say that a weight stands in another file."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    model = onnx.load_model_from_string(case.read("tiny_custom.onnx"))
    tensor = case.random.choice([t for t in model.graph.initializer if len(t.raw_data) >= 16])
    size = len(tensor.raw_data)
    place = case.random.choice(("/dev/zero", "../../../etc/passwd", "tiny_custom.json", "nowhere", "/proc/self/mem"))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place), ("offset", "0"), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    seal(case, "tiny_custom.onnx", model)
    case.say("{} in {}".format(tensor.name, place))
    load(case, case.random.choice(("run", "info", "verify", "profile")))


@kind(share=2)
def graph_edit(case):
    """Change the graph so that it is still valid ONNX."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    model = onnx.load_model_from_string(case.read("tiny_custom.onnx"))
    graph = model.graph
    how = case.random.choice(("dims", "no node", "no weight", "type", "functions", "nodes", "input", "opset"))
    case.say("graph edit: " + how)
    tensor = case.random.choice(list(graph.initializer))
    if how == "dims":
        tensor.dims[:] = [case.random.choice((2**31, 2**62, -1, 0))] * max(1, len(tensor.dims))
    elif how == "no node":
        del graph.node[case.random.randrange(len(graph.node))]
    elif how == "no weight":
        graph.initializer.remove(tensor)
    elif how == "type":
        tensor.data_type = case.random.choice((1, 2, 7, 10, 11, 14, 99))
    elif how == "functions":
        del model.functions[:]
    elif how == "nodes":
        node = case.random.choice(list(graph.node))
        node.op_type = case.random.choice(("Relu", "NoSuchOperation", "Loop", "If"))
    elif how == "input":
        graph.input[0].type.tensor_type.shape.dim[1].dim_value = 10**9
    else:
        model.opset_import[0].version = case.random.choice((0, 1, 99, 2**31 - 1))
    sealed = case.random.random() < 0.6  # who writes the checksum too decides what the right answer is
    if sealed:
        case.say("with its checksum")
        seal(case, "tiny_custom.onnx", model)
    else:
        case.write("tiny_custom.onnx", model.SerializeToString())
    load(case, case.random.choice(("run", "run", "profile")), (0, 2), answers=not sealed)


@kind(share=2)
def tensorrt_record(case):
    """Change any value of the record of a TensorRT engine, and ask for it."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    plan = bytes(case.random.randrange(256) for _ in range(500))
    case.write("m.trt", plan)
    files = {
        name: {"name": name, "bytes": len(case.read(name)), "sha256": sha256_of(str(case.folder / name))}
        for name in ("m.trt", "tiny_custom.onnx")
    }
    record = {
        "format_version": FORMAT_VERSION,
        "manifest": manifest_in(case, "tiny_custom.onnx"),
        "plan": files["m.trt"],
        "onnx": files["tiny_custom.onnx"],
        "tensorrt": "8.2.1.8",
        "gpu": ["NVIDIA Tegra X1", "5.3"],
        "jetpack": "4.6",
        "plugin_sha256": None,
        "precision": "float16",
        "lowering": "standard",
        "times": [{"lowering": "standard", "p50": 1.0, "p95": 2.0, "steps": 100, "why_not": None}],
        "streams": [1, 1, 1],
        "workspace": 1 << 28,
        "command": "tsm-edge build tiny_custom.onnx",
        "tsm_edge": "0.1.0",
    }
    what = values.changed_tree(case.random, record)
    record[checksums.KEY] = checksums.checksum_of(record)
    data = json.dumps(record).encode()
    if case.random.random() < 0.3:
        data, what = values.spoiled_text(case.random, data)
    case.write("m.trt.json", data)
    case.say("record: " + what)
    case.run(*case.random.choice((("info", "m.trt"), ("info", "--json", "m.trt"))), allowed=(0, 2))
    case.run("run", "--engine", "m.trt", "--source", "x.avi", allowed=(2,))
