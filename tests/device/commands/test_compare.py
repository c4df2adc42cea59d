"""`tsm-edge compare` from end to end: profiles, models in turn, and the gate."""

import json
import os

import pytest

from tests.device import profiles
from tests.device.running import tsm_edge
from tsm_edge.profile import record


@pytest.fixture
def model(models):
    return os.path.join(models, "tiny_custom.onnx")


@pytest.fixture
def files(tmp_path):
    """A profile, one of the same speed, one 10 % slower, one of another machine."""
    base = profiles.sample()
    machine = base.machine._replace(cpu="Another CPU")
    return [
        profiles.written(profile, tmp_path / (name + ".json"))
        for name, profile in (
            ("base", base),
            ("same", profiles.sample(dropped=9)),
            ("slow", profiles.sample(infer=7.7)),
            ("far", base._replace(machine=machine)),
        )
    ]


def test_compare_is_a_gate(files, capsys, tmp_path):
    base, same, slow, _ = files
    out = tmp_path / "c.json"
    done = tsm_edge(capsys, "compare", base, same, "--threshold", 1.03)
    assert done.code == 0 and "1.000" in done.out
    arguments = ("compare", base, same, slow, "--metric", "infer", "--json", out)
    done = tsm_edge(capsys, *(arguments + ("--threshold", 1.03)))
    assert done.code == 3
    assert "REGRESSED" in done.out
    found = json.loads(out.read_text())
    assert found["regressed"] == [slow]
    row = next(row for row in found["rows"] if row["name"] == slow and row["metric"] == "infer")
    assert row["ratio"] == pytest.approx(1.1) and row["low"] <= 1.1 <= row["high"]
    assert tsm_edge(capsys, *(arguments + ("--threshold", 1.2))).code == 0
    assert tsm_edge(capsys, *arguments).code == 0  # no gate, only figures


def test_a_difference_that_is_not_certain_passes(files, capsys, tmp_path):
    base, _, slow, _ = files
    done = tsm_edge(capsys, "compare", base, slow, "--metric", "infer", "--threshold", 1.099)
    assert done.code == 0  # 1.1, but the interval reaches below


def test_other_machines_are_compared_on_request_alone(files, capsys):
    base, _, _, far = files
    done = tsm_edge(capsys, "compare", base, far)
    assert done.code == 2 and "machine cpu" in done.err and "--allow-different" in done.err
    done = tsm_edge(capsys, "compare", base, far, "--allow-different")
    assert done.code == 0 and "Another CPU" in done.out


def test_other_sources_too(files, capsys, tmp_path):
    base = record.load(files[0])
    other = profiles.written(base._replace(source=base.source._replace(paced=15.0)), tmp_path / "o.json")
    done = tsm_edge(capsys, "compare", files[0], other)
    assert done.code == 2 and "source paced" in done.err


def test_notes_of_the_runs_are_repeated(files, capsys):
    assert "base.json: A note." in tsm_edge(capsys, "compare", *files[:2]).out


def test_what_cannot_be_compared(files, model, capsys, tmp_path):
    base = record.load(files[0])
    short = base._replace(blocks=base.blocks._replace(rows=base.blocks.rows[:3]))
    short = profiles.written(short, tmp_path / "short.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    for arguments, said in (
        ((), "two or more"),
        (files[:1], "two or more"),
        (("--run", model), "two or more"),
        (files[:2] + ["--run", model, model], "two or more"),
        ((files[0], broken), "damaged JSON"),
        ((files[0], short), "at least 5"),
        ((files[0], "none.json"), "none.json"),
        (("--run", model, "none.onnx"), "none.onnx"),
        (("--run", model, os.path.join(os.path.dirname(model), "tiny_offline.onnx")), "offline"),
        (("--run", model, model, "--metric", "latency"), "latency"),
        (("--run", model, model, "--rounds", 1), "rounds"),
        (files[:2] + ["--threads", 2], "--threads"),
        (files[:2] + ["--json", tmp_path / "no" / "c.json"], "no"),
        (files[:2] + ["--json", files[1]], "the same file as"),
        (("--run", model, model, "--json", model[:-5] + ".json"), "the same file as a model's manifest"),
    ):
        done = tsm_edge(capsys, "compare", *arguments)
        assert done.code == 2 and said in done.err, (arguments, done.err)


def test_engines_take_turns(model, models, capsys, tmp_path):
    out = tmp_path / "c.json"
    standard = os.path.join(models, "tiny_standard.onnx")
    arguments = ("--run", model, standard, model, "--rounds", 5, "--threads", 1, "--json", out)
    done = tsm_edge(capsys, "compare", *arguments)
    assert done.code == 0, done.err
    found = json.loads(out.read_text())
    assert "paired" in found["how"] and "paired" in done.out
    names = [row["name"] for row in found["rows"] if row["metric"] == "frame"]
    assert names == [standard, model + " (3)"] and found["base"] == model + " (1)"
    for row in found["rows"]:
        assert 0 < row["low"] <= row["ratio"] <= row["high"]
    frame, infer = (next(r["base"] for r in found["rows"] if r["metric"] == metric) for metric in ("frame", "infer"))
    assert frame > infer > 0
    impossible = tsm_edge(capsys, "compare", "--run", model, standard, "--rounds", 5, "--threshold", 0.001)
    assert impossible.code == 3
