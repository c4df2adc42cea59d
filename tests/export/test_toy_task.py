"""A second task, defined in this file alone, goes from a recipe to JSON lines: export, proof, engines, head, session.

Its network has two outputs of odd shapes, one of them in whole numbers. Nothing outside this file knows of it.
"""

import json
import re
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from torch import nn

from tests.device.fakes.machine import Machine, request
from tests.device.running import tsm_edge
from tests.device.streams import noise
from tests.export.evaluation.toy import Pictures
from tests.export.test_recipe_architecture import Layer
from tests.tolerances import PROBABILITY, allowed
from tsm_edge import heads, load_engine
from tsm_edge.engines import load_manifest
from tsm_edge.engines.tensorrt.build import build
from tsm_edge.errors import InputError, TsmEdgeError
from tsm_edge.heads.base import Head
from tsm_edge.manifest import OutputSpec
from tsm_edge.records import Event
from tsm_edge.registry import Entry
from tsm_edge.schema import decode
from tsm_edge.session import SessionRequest, open_session
from tsm_edge.sinks.jsonl import JsonlSink
from tsm_edge.sources.request import StreamRequest
from tsm_edge_export import models, recipe
from tsm_edge_export.evaluation.engines import require_classifier
from tsm_edge_export.evaluation.stream import ClipSource
from tsm_edge_export.exporter import export
from tsm_edge_export.models.network import Network
from tsm_edge_export.onnx_export import embed
from tsm_edge_export.verify import verify

RECIPE = """
labels = ["ball", "cup", "key"]
fps = 10
[arch]
name = "spotter"
num_classes = 3
[shift]
n_segment = 3
[frame]
height = 20
width = 28
short_side = 30
[decision]
least = 0.2
"""
HEAT, BEST = OutputSpec("heat", (3, 5, 7), "float32"), OutputSpec("best", (3,), "int32")


class Spotter(Network):
    """Says how hot each cell of a grid is for each class, and which cell is the hottest."""

    task, stem_stride = "spotting", 4

    def __init__(self, arch, fold_div, fused=False):
        super().__init__(arch, fold_div, fused)
        self.stem, self.stem_norm = self.conv(3, 16, 5, 4), self.norm(16)
        self.layers = nn.ModuleList(Layer(self, 16) for _ in range(2))
        self.heat = nn.Conv2d(16, arch.num_classes, 1)

    def outputs(self, height, width):
        classes = self.arch.num_classes
        grid = OutputSpec("heat", (classes, -(-height // 4), -(-width // 4)), "float32")
        return grid, OutputSpec("best", (classes,), "int32")

    def forward(self, x, shift):
        x = self.stem_norm(self.stem(x)).relu()
        for layer in self.layers:
            x = layer(x, shift)
        heat = self.heat(x).sigmoid()
        return heat, heat.flatten(2).argmax(2).int()


class Spots(NamedTuple):
    """The prediction: (label, heat, cell) of each class that is hot enough."""

    spots: list

    def record(self):
        return {"spots": [list(spot) for spot in self.spots]}

    def caption(self):
        return ", ".join(label for label, _, _ in self.spots) or "-"

    def draw(self, canvas):
        canvas.title(self.caption(), 1.0)


class Options(NamedTuple):
    least: float = 0.5


class SpotterHead(Head):
    """Tells "new" when a class gets hot and "end" when it no longer is."""

    def __init__(self, manifest, decision, where):
        super().__init__(manifest, decision, where)
        self.options = decode(Options, decision, f"{where}: decision")
        if not 0 < self.options.least < 1:
            raise InputError(f"{where}: decision.least", self.options.least, "between 0 and 1", "correct it")
        self.open = {}

    def update(self, outputs, frame):
        assert {name: array.shape for name, array in outputs.items()} == {"heat": HEAT.shape, "best": BEST.shape}
        found = []
        for number, label in enumerate(self.manifest.labels):
            cell = int(outputs["best"][number])
            heat = float(outputs["heat"][number].reshape(-1)[cell])
            if heat >= self.options.least:
                found.append((label, heat, cell))
                if label not in self.open:
                    event = Event(
                        f"{frame.stream}-{label}-{frame.index}", "new", frame.stream, label, frame.time, 0, heat
                    )
                    self.open[label] = event
                    self._told.append(event)
                self.open[label] = self.open[label]._replace(end=frame.time)
            elif label in self.open:
                self._told.append(self.open.pop(label)._replace(type="end"))
        return Spots(found)

    def reset(self):
        self._told += [event._replace(type="end") for event in self.open.values()]
        self.open.clear()


NETWORK, HEAD = Spotter, SpotterHead


@pytest.fixture(scope="module", autouse=True)
def registered():
    """All that the product is told of the task: where its network and its head are."""
    entries = [(models.ARCHITECTURES, "spotter"), (heads.TASKS, "spotting")]
    for registry, key in entries:
        registry.add(Entry(key, __name__, "a toy"))
    yield
    for registry, key in entries:
        registry.remove(key)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("spotting")


@pytest.fixture(scope="module")
def written(folder):
    """The recipe's path."""
    path = folder / "spotter.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def model(written, folder):
    """The exported model's path, and what its proof compared."""
    comparisons = []
    path = export(written, output=folder / "spotter.onnx", progress=comparisons.append)
    return path, [comparison.name for comparison in comparisons]


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(3)
    return Pictures("toy", 0, rng.integers(0, 256, (12, 40, 60, 3), np.uint8))


def run(engine, clip, path):
    """Stream the clip through a session of two streams. Returns the lines of its JSONL."""
    streams = tuple(StreamRequest(ClipSource(clip, 10.0), name) for name in ("left", "right"))
    with open_session(SessionRequest(str(engine), streams, preprocess="exact")) as session:
        session.sinks.append(JsonlSink(str(path)))
        predictions = [result.prediction for result in session]
    assert len(predictions) == 2 * clip.count
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_manifest_and_the_proof(model):
    path, comparisons = model
    manifest = load_manifest(path)
    assert (manifest.task, manifest.outputs, manifest.decision) == ("spotting", (HEAT, BEST), {"least": 0.2})
    assert manifest.shift.places == ("layers.0.conv", "layers.1.conv")
    assert manifest.parity["passed"]
    for name in ("heat", "best"):
        for batch in (1, 3):
            assert f"torch steps = causal clip, {name}, 7 frames, batch {batch}" in comparisons
            for lowering in ("custom", "standard"):
                assert f"ONNX steps = causal clip, {lowering}, {name}, 7 frames, batch {batch}" in comparisons
        assert f"interleaved states = each alone, {name}, custom" in comparisons
        assert f"interleaved streams of one state = each alone, {name}, custom" in comparisons


@pytest.mark.parametrize(("broken", "right"), [("heat", "best"), ("best", "heat")])
def test_the_proof_names_the_output_that_is_wrong(model, tmp_path, broken, right):
    graph = onnx.load(model[0])
    writer = next(node for node in graph.graph.node if broken in node.output)
    readers = [node for node in graph.graph.node if broken in node.input]
    for names in [writer.output] + [node.input for node in readers]:
        names[:] = ["inner" if name == broken else name for name in names]
    graph.graph.node.append(onnx.helper.make_node("Add", ["inner", "inner"], [broken]))
    embed(graph, load_manifest(model[0]))
    onnx.save(graph, tmp_path / "broken.onnx")
    failed = [comparison.name for comparison in verify(tmp_path / "broken.onnx") if not comparison.passed]
    for batch in (1, 3):
        assert f"ONNX steps = causal clip, custom, {broken}, 7 frames, batch {batch}" in failed
    assert not [name for name in failed if right in name or "standard" in name]


def test_from_pictures_to_json_lines(model, clip, folder):
    lines = run(model[0], clip, folder / "out.jsonl")
    frames = [line for line in lines if line["kind"] == "frame"]
    events = [line for line in lines if line["kind"] == "event"]
    assert {frame["stream"] for frame in frames} == {"left", "right"}
    assert any(frame["spots"] for frame in frames)
    assert all(
        label in ("ball", "cup", "key") and heat >= 0.2 and cell < 35
        for f in frames
        for label, heat, cell in f["spots"]
    )
    assert sorted(e["id"] for e in events if e["type"] == "new") == sorted(
        e["id"] for e in events if e["type"] == "end"
    )
    assert events
    assert [line["stream"] for line in lines if line["kind"] == "summary"] == ["left", "right", None]
    of_stream = [[(f["frame"], f["spots"]) for f in frames if f["stream"] == name] for name in ("left", "right")]
    assert of_stream[0] == of_stream[1]


@pytest.mark.parametrize("release", ["8.2", "10", "11"])
@pytest.mark.parametrize("lowering", ["plugin", "standard"])
def test_tensorrt_says_the_same(model, clip, folder, tmp_path, monkeypatch, models, release, lowering):
    machine = Machine(monkeypatch, models, tmp_path, release, "10.2" if release == "8.2" else "12")
    engine = tmp_path / "spotter.trt"
    record = build(request(str(model[0]), engine, lowering=lowering))
    assert record.manifest.outputs == (HEAT, BEST)
    assert machine.world.built[-1]["plugin"] == (lowering == "plugin")
    got, expected = (run(path, clip, tmp_path / f"{path.suffix}.jsonl") for path in (engine, model[0]))
    keys = ("kind", "stream", "frame", "type", "label")
    by_stream = lambda line: str(line["stream"])  # noqa: E731 - streams may take turns in another order
    for a, b in zip(sorted(got, key=by_stream), sorted(expected, key=by_stream), strict=True):
        assert [a.get(key) for key in keys] == [b.get(key) for key in keys]
        for ours, theirs in zip(a.get("spots", ()), b.get("spots", ()), strict=True):
            assert (ours[0], ours[2]) == (theirs[0], theirs[2])
            assert ours[1] == pytest.approx(theirs[1], abs=PROBABILITY)
    with load_engine(str(engine)) as built, load_engine(model[0]) as reference:
        frames = noise(built.manifest.frame, 5)
        of = [(one, one.new_state()) for one in (built, reference)]
        for frame in frames:
            a, b = (one.step(frame, state) for one, state in of)
            assert np.abs(a["heat"] - b["heat"]).max() <= allowed(b["heat"])
            assert np.array_equal(a["best"], b["best"]) and a["best"].dtype == np.int32


def test_the_command_line_knows_it_too(model, clip, tmp_path, capsys):
    cv2 = pytest.importorskip("cv2")
    for number, picture in enumerate(clip.frames):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., ::-1])
    out = tmp_path / "out.jsonl"
    outputs = ["--jsonl", out, "--save", tmp_path / "out.avi"]
    how = ["--preprocess", "exact", "--fps", 30]  # the rate of a folder
    done = tsm_edge(capsys, "run", "--engine", model[0], "--source", tmp_path, *how, *outputs)
    assert done.code == 0
    assert all(re.fullmatch(r" +[0-9.]+ s  (new|end)  \S+ [0-9]+%", line) for line in done.err.splitlines()), done.err
    frames = [line for line in map(json.loads, out.read_text().splitlines()) if line["kind"] == "frame"]
    assert len(frames) == clip.count and any(frame["spots"] for frame in frames)
    assert (tmp_path / "out.avi").stat().st_size > 1000
    done = tsm_edge(capsys, "info", model[0])
    assert done.code == 0 and "least 0.2" in done.out and "heat" in done.out


@pytest.mark.parametrize(
    ("change", "part"),
    [("least = 2.0", "decision.least"), ("lest = 0.2", "unknown key lest"), ('least = "x"', "least")],
)
def test_the_head_refuses_its_options_at_export(folder, change, part):
    path = folder / "wrong.toml"
    path.write_text(RECIPE.replace("least = 0.2", change))
    with pytest.raises(InputError) as refusal:
        recipe.load(str(path))
    assert str(path) in str(refusal.value) and part in str(refusal.value)


def test_left_out_options_are_the_heads_own(folder):
    path = folder / "plain.toml"
    path.write_text(RECIPE.replace("[decision]\nleast = 0.2\n", ""))
    spec = recipe.load(str(path))
    assert spec.decision == {}
    network = models.outline(spec.arch)
    manifest = recipe.manifest_of(spec, "online", "custom", network, recipe.WeightsSpec("", "", False), "toy")
    assert heads.open_head(manifest, "toy").options.least == 0.5


def test_whole_numbers_have_no_mean_over_time(written, folder):
    with pytest.raises(InputError, match="mean over time"):
        export(written, mode="offline", output=folder / "offline.onnx")
    assert not (folder / "offline.onnx").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        (HEAT,),
        (BEST, HEAT),
        (HEAT._replace(shape=(3, 5, 6)), BEST),
        (HEAT, BEST._replace(dtype="int64")),
    ],
)
def test_outputs_that_the_network_does_not_give_are_refused(written, folder, monkeypatch, wrong):
    monkeypatch.setattr(Spotter, "outputs", lambda network, height, width: wrong)
    with pytest.raises(TsmEdgeError, match="declared"):
        export(written, output=folder / "wrong.onnx")
    assert not (folder / "wrong.onnx").exists()


def test_it_is_no_classifier(model):
    with load_engine(model[0]) as engine, pytest.raises(InputError, match="classification"):
        require_classifier(engine)


def test_a_model_of_an_unknown_task_is_refused(model, clip, monkeypatch):
    monkeypatch.delitem(heads.TASKS._entries, "spotting")
    with pytest.raises(InputError, match="'spotting'"):
        open_session(SessionRequest(str(model[0]), (StreamRequest(ClipSource(clip, 10.0)),)))
