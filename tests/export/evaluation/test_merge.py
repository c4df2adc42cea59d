"""Shards put together are the whole, to the bit; what is no whole is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.evaluation import toy as ev
from tsm_edge.errors import InputError
from tsm_edge_export.evaluation import data as sets
from tsm_edge_export.evaluation.clips import Settings, evaluate_clips
from tsm_edge_export.evaluation.engines import open_engine
from tsm_edge_export.evaluation.merge import merge, read
from tsm_edge_export.evaluation.report import from_json, to_json

READER = ev.Reader()


def clips(count, broken=(), seed=0):
    rng = np.random.default_rng(seed)
    return [
        ev.Pictures(f"clip {n}", int(rng.integers(4)), ev.grey(rng.integers(0, 140, 6)), n in broken)
        for n in range(count)
    ]


def shards(engine, data, count, settings=None):
    """{name: report}, as read back from their JSON."""
    made = {}
    for number in range(1, count + 1):
        text = to_json(evaluate_clips(engine, data, settings, (number, count)))
        made[f"s{number}.json"] = from_json(text, f"s{number}.json")
    return made


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_shards_in_any_order_are_the_whole(count, of, order):
    data = sets.from_clips(clips(max(count, of)), ev.LABELS)
    made = list(shards(READER, data, of).items())
    order.shuffle(made)
    assert to_json(merge(dict(made))) == to_json(evaluate_clips(READER, data))


@pytest.mark.parametrize("views", [Settings(), Settings(clips=2, crops=3)])
def test_shards_of_a_network_are_the_whole(tmp_path, views):
    project = ev.project(tmp_path / "p")
    with open_engine(project.weights) as engine:
        data = sets.from_list(project.list, engine.manifest.labels)
        whole = to_json(evaluate_clips(engine, data, views))
        assert to_json(merge(shards(engine, data, 3, views))) == whole


def test_broken_clips_are_put_together():
    data = sets.from_clips(clips(300, broken=(0, 151)), ev.LABELS)
    made = shards(READER, data, 3)
    assert [list(report.broken) for report in made.values()] == [["clip 0"], ["clip 151"], []]
    assert to_json(merge(made)) == to_json(evaluate_clips(READER, data))


def test_a_shard_of_one_broken_clip_is_no_end():
    data = sets.from_clips(clips(120, broken=(119,)), ev.LABELS)
    made = shards(READER, data, 120)
    assert not made["s120.json"].rows
    assert to_json(merge(made)) == to_json(evaluate_clips(READER, data))


def test_too_many_broken_clips_among_the_shards():
    data = sets.from_clips(clips(300, broken=(0, 3, 151, 154)), ev.LABELS)
    made = shards(READER, data, 3)  # two or none each: less than 1 % of the list
    with pytest.raises(InputError, match="4 of 300 clips are broken"):
        merge(made)


@pytest.fixture(scope="module")
def three():
    return shards(READER, sets.from_clips(clips(10), ev.LABELS), 3)


def without(reports, name):
    return {key: value for key, value in reports.items() if key != name}


def test_missing_shards(three):
    with pytest.raises(InputError, match="none of 2/3"):
        merge(without(three, "s2.json"))


def test_a_shard_twice(three):
    with pytest.raises(InputError, match="shard 1/3 once more"):
        merge({**three, "again.json": three["s1.json"]})


@pytest.mark.parametrize(
    "changed, text",
    [
        ({"model": {"weights_sha256": "1" * 64}}, "model weights_sha256"),
        ({"model": {"engine": "onnxruntime"}}, "model engine"),
        ({"list": {"sha256": "1" * 64}}, "list sha256"),
        ({"settings": {"crops": 3}}, "settings crops"),
        ({"labels": ("a", "b", "c", "d")}, "labels"),
    ],
)
def test_shards_of_something_else(three, changed, text):
    other = three["s2.json"]
    changed = {k: {**getattr(other, k), **v} if isinstance(v, dict) else v for k, v in changed.items()}
    with pytest.raises(InputError, match=text):
        merge({**three, "s2.json": other._replace(**changed)})


def test_shards_of_another_split(three):
    two = shards(READER, sets.from_clips(clips(10), ev.LABELS), 2)
    with pytest.raises(InputError, match="one of 3"):
        merge({**without(three, "s2.json"), "s2.json": two["s2.json"]})


def test_machines_may_differ_and_are_all_named(three):
    other = three["s2.json"]
    elsewhere = {**other.environments[0], "machine": "aarch64"}
    merged = merge({**three, "s2.json": other._replace(environments=(elsewhere,))})
    assert {one["machine"] for one in merged.environments} == {"aarch64", other.environments[0]["machine"]}


def damaged(report):
    """Names and texts of reports that are none."""
    values = json.loads(to_json(report))
    yield "half", to_json(report)[:500]
    yield "no object", "[]"
    yield "stream", json.dumps({**values, "kind": "stream"})
    yield "format", json.dumps({**values, "format": 2})
    yield "key", json.dumps({**values, "more": 1})
    yield "environments", json.dumps({**values, "environments": ["x"]})
    yield "list", json.dumps({**values, "list": {}})
    rows = values["rows"]
    for name, wrong in (
        ("none", []),
        ("order", rows[::-1]),
        ("twice", rows + rows[-1:]),
        ("place", [{**rows[0], "index": 1}, *rows[1:]]),
        ("beyond", [*rows, {**rows[0], "index": 12}]),
        ("label", [{**rows[0], "label": 4}, *rows[1:]]),
        ("logits", [{**rows[0], "logits": [1.0]}, *rows[1:]]),
        ("number", [{**rows[0], "logits": [1.0, 2.0, 3.0, "x"]}, *rows[1:]]),
        ("seen", [{**rows[0], "seen": [0]}, *rows[1:]]),
    ):
        shard = {"number": 1, "of": 1} if name == "none" else values["shard"]
        yield name, json.dumps({**values, "rows": wrong, "shard": shard})


def test_damaged_reports_are_refused(three, tmp_path):
    cases = list(damaged(three["s1.json"]))
    assert len(cases) == 16
    for name, text in cases:
        path = tmp_path / "s.json"
        path.write_text(text)
        with pytest.raises(InputError) as refusal:
            read(path)
        assert "evaluate again" in str(refusal.value), name
    path.write_text(to_json(three["s1.json"]))
    assert read(path) == three["s1.json"]


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no UTF-8"):
        read(tmp_path / "binary.json")
