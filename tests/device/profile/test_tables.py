"""A table of any text, and a whole profile as text."""

from tests.device import profiles
from tsm_edge.profile import tables


def test_a_table_of_any_text():
    text = tables.table(["name", "ms"], [["1.50", "2.00"], ["longer name", "10.00"]])
    lines = text.rstrip("\n").split("\n")
    assert lines[0].split() == ["name", "ms"] and set(lines[1]) == {"-", " "}
    assert lines[2].startswith("1.50 ") and lines[2].endswith(" 2.00")
    assert lines[3].split("  ")[0] == "longer name"
    assert len({len(line) for line in lines[1:]}) == 1


def test_a_profile_as_text():
    text = tables.render(profiles.sample())
    for said in (
        "m.onnx (onnxruntime, shift by function body",
        "Jetson Nano",
        "paced at 30 frames/s",
        "3 dropped, 2 corrupt, 1 resets",
        "12.5% of the work on a frame",
        "peak 130.0 MB",
        "p90",
        "jitter",
        "latency, end to end",
        "/features.3/TemporalShiftStep",
        "all shifts",
        "cold start  420 ms",
        "ratio 0.714",
        "CPU-therm 40-42 C",
        "note: A note.",
    ):
        assert said in text, said
    text.encode("ascii")


def test_what_this_machine_does_not_tell_is_unknown():
    sample = profiles.sample(corrupt=None)
    text = tables.render(sample._replace(load=sample.load._replace(others=None)))
    for said in ("unknown corrupt", "device unknown", "busy with this process, unknown with others"):
        assert said in text, said
