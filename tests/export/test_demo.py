"""`tsm-edge demo`: from nothing to compared events, in one call; and what it says of a run that was wrong."""

import json
import os

import pytest

from tests.device.running import played, tsm_edge
from tsm_edge_export.commands import demo


def test_the_demo_exports_proves_runs_and_compares(capsys, tmp_path):
    folder = tmp_path / "new" / "demo"
    done = tsm_edge(capsys, "demo", "-o", folder, "--seconds", "20")
    assert done.code == 0, done.out + done.err
    names = {"mobilenetv2_tsm.onnx", "mobilenetv2_tsm.json", "gestures.mp4", "gestures.json", "gestures.jsonl"}
    assert names | {"gestures_annotated.mp4"} == set(os.listdir(folder))
    events = json.loads((folder / "gestures.json").read_text())["events"]
    assert f"{len(events)} of {len(events)} events right, 0 false: good" in done.out and events
    assert f"$ tsm-edge export mobilenetv2_tsm --output={folder}/mobilenetv2_tsm.onnx" in done.out
    assert "ok   ONNX steps = causal clip" in done.out and str(folder) in done.out.splitlines()[-1]
    assert played(folder / "gestures_annotated.mp4")[0] > 100


@pytest.mark.parametrize("place, got", [("file/demo", "Not a directory"), ("file", "File exists")])
def test_a_folder_that_cannot_be_made_is_refused_before_the_work(capsys, tmp_path, place, got):
    (tmp_path / "file").write_text("")
    done = tsm_edge(capsys, "demo", "-o", tmp_path / place)
    assert done.code == 2 and got in done.err and not done.out


@pytest.mark.parametrize("seconds", ["0", "14", "601", "nan", "much"])
def test_a_length_that_is_refused(capsys, seconds):
    assert tsm_edge(capsys, "demo", "--seconds", seconds).code == 2


def event(label, start, end):
    return {"kind": "event", "type": "end", "label": label, "start": start, "end": end, "confidence": 0.9}


EVENTS = [event("push", 10.0 * number, 10.0 * number + 1) for number in range(1, 11)]


@pytest.mark.parametrize(
    "seen, good, count",
    [
        (EVENTS, True, "10 of 10 events right, 0 false: good"),
        (EVENTS[1:], True, "9 of 10 events right, 0 false: good"),
        (EVENTS[2:], False, "8 of 10 events right, 0 false: WRONG"),
        ([*EVENTS, event("pull", 105.0, 106.0)], True, "10 of 10 events right, 1 false: good"),
        ([*EVENTS, event("pull", 105.0, 106.0), event("pull", 109.0, 110.0)], False, "2 false: WRONG"),
        ([event("pull", 10.0, 11.0), event("pull", 20.0, 21.0), *EVENTS[2:]], False, "8 of 10 events right"),
        ([], False, "0 of 10 events right"),
    ],
)
def test_what_is_said_of_a_run(capsys, tmp_path, seen, good, count):
    truth, results = tmp_path / "t.json", tmp_path / "r.jsonl"
    truth.write_text(json.dumps({"events": EVENTS}))
    results.write_text("".join(json.dumps(one) + "\n" for one in [{"kind": "frame"}, *seen]))
    assert demo._compare(str(results), str(truth)) is good
    told = capsys.readouterr()
    assert count in told.out and bool(told.err) != good
    assert told.out.count("push") >= len(EVENTS)
