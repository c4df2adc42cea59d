"""The benchmarks run (--quick: a tiny network, two rounds), and what they count and write is right."""

import json
import math
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FOLDER = os.path.join(ROOT, "benchmarks")
sys.path.insert(0, FOLDER)
import agreement  # noqa: E402
import bench_before  # noqa: E402
import bench_cameras  # noqa: E402
import bench_roofline  # noqa: E402
import common  # noqa: E402
import memory  # noqa: E402
import roofline_page  # noqa: E402
import table  # noqa: E402
from budget import Layer  # noqa: E402

PICTURED = ("models", "streams", "growth", "roofline")
OWN_TARGET = ("before", "cameras", "stalls")  # of the Makefile
OF_CLIPS = (
    "detection_cost",
    "run",
    "startup",
    "checksum",
    "preprocess",
    "before",
    "cameras",
    "false_events",
)  # need real clips
FIGURES = {  # benchmark: some of what it must measure
    "models": [
        "tiny, 1 thread: " + side
        for side in (
            "published network, torch eager, ms",
            "custom op, function body, ms",
            "standard lowering, ms",
            "2D network, ms",
            "sliding 8-frame clip, ms",
        )
    ],
    "streams": [f"2 streams: {way}, {unit}" for way in memory.WAYS for unit in ("frames/s", "MB")]
    + ["2 streams: separate sessions / batched, time"],
    "growth": ["64x64: frames/s", "96x96: MB", "frame 10: MB", "frame 200: frames/s"],
    "profile": ["run, ms a frame", "profile / run", "stages over wall time, median"],
    "roofline": ["step / matrix product, operations/s", "floor of all layers / step", "1x1 convolution: ms"],
    "run": ["340x256: tsm-edge / published", "340x256: tsm-edge / engine alone"],
    "step": ["online step, custom / 2D network", "online step, standard / 8-frame clip"],
    "detection_cost": ["step, TSM / twin", "TSM: file to boxes, frames/s", "twin: multiply-adds, M"],
    "startup": ["tsm-edge run, start to first label, s", "memory at frame 200, MB"],
    "checksum": ["check of the file, ms", "start to first label, checked / unchecked"],
    "preprocess": ["340x256 warm: exact / fast", "mmaction2_demo.mp4 720p: mean difference of 255"],
    "before": [
        "340x256: frames/s, now / before",
        "340x256: peak memory, MB, now / before",
        "start to first label, s, now / before",
    ],
    "cameras": [f"{figure}: one process / 2 processes" for figure in ("CPU, ms a frame", "PSS, MB", "latency p99, ms")],
    "false_events": ["streams: events", "people: seconds", "recipe: events right, %"],
    "stalls": [
        f"latency p99, ms: four streams, two of them faulty / {side}" for side in ("two streams", "four streams")
    ],
}


@pytest.mark.parametrize("name", FIGURES)
def test_it_runs(name, tmp_path, request):
    if name in OF_CLIPS:
        request.getfixturevalue("data")
    out = tmp_path / f"{name}.json"
    command = [sys.executable, os.path.join(FOLDER, f"bench_{name}.py"), "--quick", "--threads", "1"]
    command += ["--json", str(out)]
    if name == "before" and not has_commit():
        command += ["--before", ROOT]
    environment = dict(
        os.environ, PYTHONPATH=os.pathsep.join([ROOT, os.path.join(ROOT, "export")]), OMP_NUM_THREADS="1"
    )
    done = subprocess.run(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads(out.read_text())
    assert record["benchmark"] == name and record["quick"] is True
    for figure in FIGURES[name]:
        assert math.isfinite(record["results"][figure]) and record["results"][figure] > 0, figure
    for figure, value in record["results"].items():
        if isinstance(value, str) and value.startswith("not measured"):
            assert re.search(r"--quick|make kernels", value), (figure, value)
    pictures = [f"{name}.png"] if name in PICTURED else []
    assert sorted(os.listdir(tmp_path)) == [f"{name}.json", *pictures]
    for picture in pictures:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    if name == "roofline":
        text = roofline_page.figures(record)
        for kind, layer in record["kinds"].items():
            assert f"| {kind} | {layer['layers'] or '-'} |" in text
    if name in OWN_TARGET:
        text = getattr(table, name)(record)
        assert all(f"| {table.number(record['results'][figure])} |" in text for figure in SHOWN[name])


SHOWN = {  # figures that stand in a table of the page
    "before": ["340x256: before, frames/s", "now, start to first label, s"],
    "cameras": ["one process: PSS, MB", "2 processes: latency p99, ms"],
    "stalls": ["two streams: latency p99, ms", "four streams, two of them faulty: resets"],
}


def has_commit():
    """Whether this clone has the commit that bench_before.py compares with."""
    command = ["git", "-C", ROOT, "cat-file", "-e", bench_before.COMMIT]
    return subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0


def event(op, microseconds, *shapes):
    typed = [{"float": list(shape)} for shape in shapes]
    args = {"op_name": op, "input_type_shape": typed}
    return {"cat": "Node", "name": f"{op}_kernel_time", "dur": microseconds, "args": args}


def test_layer_times_by_kind():
    def step(factor):
        return [
            event("Conv", 10 * factor, (1, 8, 4, 4), (16, 8, 1, 1)),
            event("Conv", 20 * factor, (1, 16, 4, 4), (16, 1, 3, 3)),
            event("FusedConv", 30 * factor, (1, 3, 8, 8), (8, 3, 3, 3)),
            event("TemporalShiftStep", 2 * factor, (1, 8, 4, 4), (1, 1, 4, 4)),
            event("Conv", 5 * factor, (1, 16, 4, 4), (8, 16, 1, 1)),
            event("ReorderOutput", 1 * factor, (1, 8, 4, 4)),
            event("Gemm", 4 * factor, (1, 8), (5, 8)),
        ]

    events = [{"cat": "Session", "name": "model_run", "dur": 99}]
    for factor in (100, 1, 3, 2):  # the first one warms up
        events += step(factor)
    assert bench_roofline.sums(events, 1, 3) == pytest.approx(
        {
            "1x1 convolution": 30e-6,
            "depthwise convolution": 40e-6,
            "other convolution": 60e-6,
            "shift": 4e-6,
            "reorder and other": 2e-6,
            "head": 8e-6,
        }
    )
    with pytest.raises(ValueError, match="events of nodes"):
        bench_roofline.sums(events[:-1], 1, 3)


def test_a_layers_floor_is_the_slower_of_its_two():
    layers = [
        Layer("1x1 convolution", 4000, 10, 10),  # 4 s of operations, 0.8 s of bytes
        Layer("1x1 convolution", 1000, 10, 40),  # 1 s, 2 s
        Layer("addition", 100, 0, 50),
    ]
    kinds = bench_roofline.by_kind(layers, {"1x1 convolution": 12.0, "reorder and other": 1.0}, 1000.0, 100.0)
    assert list(kinds) == ["1x1 convolution", "reorder and other", "addition"]
    assert kinds["1x1 convolution"] == {
        "layers": 2,
        "operations": 5000,
        "bytes": 280,
        "floor_seconds": pytest.approx(6.0),
        "seconds": 12.0,
        "share": pytest.approx(0.5),
    }
    assert kinds["addition"]["share"] is None
    assert kinds["reorder and other"]["layers"] == kinds["reorder and other"]["floor_seconds"] == 0


def test_the_pages_say_what_was_measured():
    """No figure of a table by hand: it is what the script makes of the results that are kept."""
    record = common.kept("roofline")
    assert common.read_between(roofline_page.PAGE, roofline_page.BEGIN) == roofline_page.figures(record)
    for section, text in table.sections().items():
        assert common.read_between(table.PAGE, table.begin(section)) == text, "run benchmarks/table.py"


MACHINE = {"cpu": "C", "cores": 2, "onnxruntime": "1", "date": "2000-01-01", "load_average": 0.5}


def record_of(rows):
    return {"results": rows, "threads": 2, "machine": MACHINE}


def test_tables():
    ours = table.REFERENCE_SIDE
    rows = {f"A, 1 thread: {ours}, ms": 10.0, "A, 1 thread: clip, ms": 82.04, f"A, 1 thread: clip / {ours}": 8.2}
    rows |= {f"A, 1 thread: clip / {ours}, 95 % from": 8.1, f"B 0.5, 2 threads: {ours}, ms": 3.0}
    rows["B 0.5, 2 threads: clip"] = "not measured: why"
    assert table.models(record_of(rows)).splitlines() == [
        "| ms (relative to tsm-edge) | A, 1 thread | B 0.5, 2 threads |",
        "|---|---|---|",
        f"| {ours} | 10.0 | 3.0 |",
        "| clip | 82.0 (8.20) | - |",
        "",
        "C, 2 cores, 2 threads, ONNX Runtime 1, 2000-01-01, load 0.5.",
    ]
    figures = {"a, frames/s": 9.6, "a, MB": 7, "b, frames/s": 1, "b, MB": 2, "b / a, time": 9.6}
    rows = {f"{count}: {figure}": value for count in ("1 stream", "2 streams") for figure, value in figures.items()}
    assert table.streams(record_of(rows)).splitlines()[:4] == [
        "| frames/s, MB | a | b |",
        "|---|---|---|",
        "| 1 stream | 10, 7 | 1, 2 |",
        "| 2 streams | 10, 7 | 1, 2 |",
    ]


def test_a_target_is_reached_or_missed():
    records = dict.fromkeys({target.benchmark for target in table.TARGETS})
    records["step"] = record_of(
        {"online step, custom / 2D network": 1.0501, "online step, custom / 8-frame clip": 0.14}
    )
    records["run"] = record_of({target.figure: target.limit for target in table.TARGETS if target.benchmark == "run"})
    rows = [line.split(" | ")[1:] for line in table.targets(records).splitlines()[2:]]
    found = dict(zip((target.figure for target in table.TARGETS), rows, strict=True))
    assert found["online step, custom / 2D network"] == ["1.050", "at most 1.050", "**no**", "2000-01-01 |"]
    assert found["online step, custom / 8-frame clip"][2] == found["1080p: tsm-edge / published"][2] == "yes"
    assert found["1080p: tsm-edge / published"][1] == "at least 4.5 x"
    assert found["720p warm: exact / fast"][0] == "not measured yet"


def test_served_frames_are_counted_by_stream():
    rows = [(0, "a", 5, 1.0, 0.010), (0, "a", 7, 1.2, 0.030), (0, "b", 1, 1.0, 0.020), (1, "a", 5, 1.0, 0.040)]
    assert bench_cameras.served(rows) == {
        "latency p50, ms": pytest.approx(25),
        "latency p99, ms": pytest.approx(39.7),
        "frames": 4,
        "dropped": 1,
    }


def test_sides_that_are_not_alike_are_no_comparison(tmp_path):
    def figures(shift):
        return {"frames/s": 1.0, "shift by": shift}

    rows = {}
    bench_before.compare(rows, "A: ", {"now": [figures("body")] * 5, "before": [figures("body")] * 5})
    assert rows["shift by"] == "body" and rows["A: frames/s, now / before, 95 % to"] == 1.0
    with pytest.raises(RuntimeError, match="shift"):
        bench_before.compare({}, "", {"now": [figures("body")], "before": [figures("library")]})
    models = {name: tmp_path / f"{name}.onnx" for name in ("now", "before")}
    for name, path in models.items():
        path.with_suffix(".json").write_text(json.dumps({"weights": {"sha256": name}}))
    with pytest.raises(RuntimeError, match="other weights"):
        bench_before.same_weights(models)


def test_make_runs_every_one_and_the_list_names_it():
    with open(os.path.join(ROOT, "Makefile"), encoding="utf-8") as file:
        makefile = file.read()
    bench = re.search("^BENCHES := (.*)$", makefile, re.MULTILINE).group(1).split()
    with open(os.path.join(FOLDER, "README.md"), encoding="utf-8") as file:
        listed = file.read()
    # Run by hand: the clips of the one and the weights of the other are not in the repository.
    assert set(FIGURES) == {*bench, *OWN_TARGET, "false_events", "detection_cost"}
    for name in FIGURES:
        assert f"\n| `bench_{name}.py` |" in listed
        if name in OWN_TARGET:
            assert f"\nbench-{name}: ## " in makefile
        if name in bench or (common.RESULTS / f"{name}.json").exists():
            record = common.kept(name)
            assert "quick" not in record and record["machine"]["cpu"]


def test_two_runs_agree_or_the_ratios_that_do_not_are_named(tmp_path, capsys):
    def write(folder, name, results, **more):
        (tmp_path / folder).mkdir(exist_ok=True)
        text = json.dumps({"benchmark": name, "results": results, **more})
        (tmp_path / folder / f"{name}.json").write_text(text)

    def compare():
        code = agreement.main([str(tmp_path / "one"), str(tmp_path / "other")])
        return code, capsys.readouterr()

    for folder, ratio in (("one", 1.00), ("other", 1.04)):
        rows = {"a / b": ratio, "a / b, 95 % from": 5 * ratio, "a, ms": 100 * ratio**9, "c / b": "not measured: why"}
        write(folder, "step", {**rows, f"only {folder} / b": 1.0})
        write(folder, "models", {"d / b": ratio**9}, quick=True)
    code, said = compare()
    assert code == 0 and said.out.splitlines()[-1] == "1 of 1 ratios within 5%"
    write("one", "run", {"e / f": 2.0})
    write("other", "run", {"e / f": 1.8})
    code, said = compare()
    lines = said.out.splitlines()
    assert code == 1 and lines[-1] == "1 of 2 ratios within 5%"
    assert lines[0].split() == ["11.1%", "2.000", "1.800", "run:", "e", "/", "f"]
    (tmp_path / "empty").mkdir()
    assert agreement.main([str(tmp_path / "empty"), str(tmp_path / "other")]) == 2
    assert "no ratio that both hold" in capsys.readouterr().err
