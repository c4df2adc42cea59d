"""Labels and names with escape codes, of any length, in models, checkpoints, profiles, and as names of files."""

import json
import os

import onnx

from tests.hostile import values
from tests.hostile.bases import BASES, CHEAP
from tests.hostile.case import kind
from tests.hostile.families.models import embed, load, manifest_in, seal


@kind(share=6)
def labels_of_a_model(case):
    """Give a model odd labels."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    manifest = manifest_in(case, "tiny_custom.onnx")
    odd = case.random.choice((values.text(case.random), values.text(case.random), "w" * 5000, " ".join("ab" * 2500)))
    for index in case.random.sample(range(5), case.random.choice((1, 4))):
        manifest["labels"][index] = "{}{}".format(odd, index) if odd else odd
    embed(case, "tiny_custom.onnx", manifest)
    case.say("labels like {}".format(ascii(odd)[:50]))
    key = case.random.choice(
        ("run-save", "run-save", "run-folder", "info", "info-json", "eval-stream", "profile", "verify")
    )
    if key != "run-save":
        load(case, key, (0, 2))
        return
    case.take("clip.avi")
    line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--jsonl", "o.jsonl", "--save", "o.mp4")
    case.run(*line, allowed=(0, 2))
    case.outputs += ["o.jsonl", "o.mp4"]


@kind(share=2)
def labels_of_a_recipe(case):
    """Export a recipe with odd labels."""
    odd = [values.text(case.random) for _ in range(2)]
    recipe = {
        "labels": ["{}{}".format(odd[index % 2], index) for index in range(5)],
        "description": values.text(case.random),
        "arch": {"name": "mobilenetv2", "width": 0.25, "num_classes": 5},
        "frame": {"height": 64, "width": 96, "short_side": 100},
    }
    case.write("m.toml", values.toml(recipe))
    case.say("labels {}".format(ascii(odd)[:60]))
    case.run("export", "m.toml", "-o", "o.onnx", allowed=(0, 2))
    case.outputs += ["o.onnx", "o.json"]


@kind(share=5)
def file_names(case):
    """Give an input file of any command an odd name."""
    base = BASES[case.random.choice([key for key in CHEAP if BASES[key].reads] + ["export-weights", "train", "verify"])]
    case.take(*base.takes)
    named = [name for name in base.reads if name in base.arguments and not name.endswith(".avi")]
    name = case.random.choice(named or [base.arguments[1]])
    odd = values.file_name(case.random, os.path.splitext(name)[1])
    os.rename(str(case.folder / name), os.path.join(str(case.folder), odd))
    sidecar = name.replace(".onnx", ".json")
    if sidecar != name and len(odd) < 250 and case.random.random() < 0.7:
        beside = os.path.join(str(case.folder), os.path.splitext(odd)[0] + ".json")
        os.rename(str(case.folder / sidecar), beside)
    typed = "./" + odd if odd.startswith("-") else odd
    case.say("{}: {} is called {}".format(base.key, name, ascii(odd)[:50]))
    allowed = (0, 2) + base.codes
    case.run(*base.line({name: typed}), allowed=allowed, cold=case.random.random() < 0.2)
    case.outputs += base.patterns()


@kind(share=3)
def tensor_names(case):
    """Give tensors and nodes of a graph names that a terminal would obey."""
    case.take("tiny_custom.onnx", "tiny_custom.json")
    model = onnx.load_model_from_string(case.read("tiny_custom.onnx"))
    odd = values.text(case.random)
    how = case.random.choice(("weight", "input", "output", "node", "all nodes", "metadata", "producer", "operation"))
    graph = model.graph
    if how == "weight":
        case.random.choice(list(graph.initializer)).name = odd
    elif how in ("input", "output"):
        case.random.choice(list(getattr(graph, how))).name = odd
    elif how == "node":
        case.random.choice(list(graph.node)).name = odd
    elif how == "all nodes":
        for index, node in enumerate(graph.node):
            node.name = "{}{}".format(odd, index)
    elif how == "operation":
        case.random.choice(list(graph.node)).op_type = odd
    elif how == "producer":
        model.producer_name = model.doc_string = graph.name = odd
    else:
        entry = model.metadata_props.add()
        entry.key = entry.value = odd
    seal(case, "tiny_custom.onnx", model)
    case.say("{} called {}".format(how, ascii(odd)[:50]))
    load(case, case.random.choice(("run", "info", "info-json", "profile", "verify", "profile")), (0, 2))


@kind(share=4)
def texts_of_a_report(case):
    """Give texts in a profile or a report odd values; none of them may become markup or an escape code."""
    key, name = case.random.choice((("report", "a.json"), ("compare", "b.json"), ("eval-merge", "shard1.json")))
    base = BASES[key]
    case.take(*base.takes)
    tree = json.loads(case.read(name).decode())
    places = [path for path in values.paths(tree) if isinstance(values.get(tree, path), str)]
    mark = "zq<script>{}</script>".format(case.random.getrandbits(30))
    odd = case.random.choice((mark, "\"'><img src=x onerror=alert(1)>" + mark, values.text(case.random)))
    for path in case.random.sample(places, min(len(places), case.random.choice((1, 3, 100)))):
        if path[0] not in ("format",):
            values.put(tree, path, odd)
    case.write(name, json.dumps(tree))
    case.say("{}: texts like {}".format(name, ascii(odd)[:50]))
    case.run(*base.line(), allowed=(0, 2))
    case.outputs += base.patterns()

    def check(case, outcomes):
        page = case.folder / "r.html"
        raw = page.exists() and (
            "zq<script>" in page.read_text("utf-8") or "<img src=x onerror" in page.read_text("utf-8")
        )
        return [("injected", "markup in r.html")] if raw else []

    case.checks.append(check)


@kind(share=2)
def names_of_streams(case):
    """Give streams odd names in a cameras file."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
    odd = values.text(case.random)
    cameras = [{"name": odd, "source": "clip.avi"}, {"name": case.random.choice((odd, "b")), "source": "clip.avi"}]
    case.write("site.toml", values.toml({"camera": cameras}))
    case.say("a stream called {}".format(ascii(odd)[:50]))
    line = ("run", "--engine", "tiny_custom.onnx", "--cameras", "site.toml", "--jsonl", "o.jsonl", "--save", "o.avi")
    case.run(*line, allowed=(0, 2))
    case.outputs += ["o.jsonl", "o-*.avi"]
