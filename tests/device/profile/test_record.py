"""The profile's file: what is written comes back, and what is damaged or foreign is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.device import profiles
from tsm_edge.errors import InputError
from tsm_edge.profile import record


def test_round_trip(tmp_path):
    profile = profiles.sample()
    path = profiles.written(profile, tmp_path / "p.json")
    read = record.load(path)
    assert record.to_json(read) == record.to_json(profile)
    assert read.stages[0]._fields == record.Stage._fields
    assert record.stage(read, "infer").mean == 7.0
    assert record.stage(read, "host-to-device") is None


def test_optional_parts_may_be_missing(tmp_path):
    profile = profiles.sample(layers=None, streams=None, cold=None, trace=(), notes=())
    assert record.load(profiles.written(profile, tmp_path / "p.json")).layers is None


def test_a_profile_of_version_1_is_read(tmp_path):
    """It had no count of corrupt frames, and another name for the overhead."""
    profile, path = profiles.sample(), tmp_path / "p.json"

    def older(value):
        value.update(format_version=1, ours=value.pop("overhead"))
        del value["corrupt"]

    path.write_text(profiles.changed(profile, older))
    assert record.to_json(record.load(str(path))) == record.to_json(profile._replace(corrupt=None))
    damaged = json.loads(path.read_text())
    del damaged["ours"]
    path.write_text(json.dumps(damaged))
    with pytest.raises(InputError, match="no overhead"):
        record.load(str(path))


def test_numbers_that_are_not_finite_are_never_written():
    with pytest.raises(ValueError):
        record.to_json(profiles.sample(fps=float("nan")))


@pytest.mark.parametrize(
    "text, said",
    [
        (b"", "damaged JSON"),
        (b"\xff\xfe", "damaged JSON"),
        (b"[" * 100000, "damaged JSON"),
        (b"[]", "another kind"),
        (b'{"kind": "summary"}', "another kind"),
        (b'{"format": "tsm-edge profile", "format_version": 99}', "99"),
        (b'{"format": "tsm-edge profile", "format_version": 1}', "no tsm_edge"),
    ],
)
def test_foreign_and_damaged_files(tmp_path, text, said):
    path = tmp_path / "p.json"
    path.write_bytes(text)
    with pytest.raises(InputError) as caught:
        record.load(str(path))
    assert str(path) in str(caught.value) and said in str(caught.value)
    assert "profile again" in caught.value.do


def test_no_such_file(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="profile again"):
            record.load(str(path))


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda p: p.update(fps="fast"), "fps"),
        (lambda p: p.update(fps=float("inf")), "fps"),
        (lambda p: p.update(extra=1), "unknown key extra"),
        (lambda p: p["machine"].pop("cores"), "no cores"),
        (lambda p: p["blocks"]["rows"][3].pop(), "rows of another length"),
        (lambda p: p["samples"]["rows"][0].append(1), "rows of another length"),
        (lambda p: p["blocks"].update(rows=[]), "at least one frame"),
        (lambda p: p["stages"].pop(4), "no infer"),
        (lambda p: p["stages"].append(p["stages"][0]), "each of"),
        (lambda p: p["stages"][0].update(name="<script>"), "each of"),
        (lambda p: p["stages"][0].update(p50=1e8), "impossible times"),
        (lambda p: p["sensing"]["clocks"].update(cpu0=[1, "2", 3]), "minimum, mean and maximum"),
        (lambda p: p["sensing"]["clocks"].update(cpu0=7), "minimum, mean and maximum"),
        (lambda p: p["stages"][0].update(jitter=-1), "impossible times"),
        (lambda p: p["stages"][0].update(max=1e300), "impossible times"),
        (lambda p: p["stages"][0].update(histogram=[]), "a histogram of another run"),
        (lambda p: p["stages"][0]["histogram"].reverse(), "a histogram of another run"),
        (lambda p: p["stages"][0].update(count=7), "a histogram of another run"),
        (lambda p: p["blocks"]["rows"].reverse(), "in order"),
        (lambda p: p["blocks"]["rows"][0].__setitem__(2, -1), "0 or more"),
        (lambda p: p["layers"].update(total=0), "above 0"),
    ],
)
def test_parts_that_do_not_agree(tmp_path, change, said):
    path = tmp_path / "p.json"
    path.write_text(profiles.changed(profiles.sample(), change))
    with pytest.raises(InputError, match=said):
        record.load(str(path))


TEXT = record.to_json(profiles.sample())


@given(st.integers(0, len(TEXT) - 2), st.sampled_from(["cut", "drop", "x", '"', "9", "-", "[", "}"]))
def test_any_damage_is_an_input_error_or_another_whole_profile(tmp_path_factory, at, how):
    text = TEXT[:at] if how == "cut" else TEXT[:at] + ("" if how == "drop" else how) + TEXT[at + 1 :]
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_text(text)
    try:
        record.check(record.load(str(path)), "again")
    except InputError as error:
        assert str(path) in str(error)
