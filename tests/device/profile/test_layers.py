"""Which layers are shifts: by the name of their op, or by what is left of them."""

import pytest

from tsm_edge.engines.base import LayerTimes
from tsm_edge.profile.layers import sort_layers

PLACES = ("features.3.conv.0", "features.5.conv.0")
CONV = ("c", "Conv", 0.002)


def sort(measured, places=PLACES):
    return sort_layers(LayerTimes("X", measured, 30, 0.01), places)


def test_shifts_by_their_ops_name():
    for op in ("TemporalShiftStep", "TemporalShift", "PluginV2"):
        found = sort([CONV, ("/n/TemporalShiftStep_3", op, 0.0005), ("r", "ReorderInput", 0.0001), CONV])
        assert (found.shift, found.layout, found.total) == pytest.approx((0.5, 0.1, 4.6))
        assert [layer.group for layer in found.layers] == ["other", "other", "shift", "layout"]  # slowest first


def test_shifts_of_an_expanded_function_get_their_places_back():
    body = [
        ("Shape_1", "Shape", 1e-6),
        ("Slice_2", "Slice", 2e-6),
        ("0x55", "Slice", 3e-6),
        ("Concat_4", "Concat", 4e-6),
    ]
    found = sort([CONV] + body + [CONV] + body[1:])
    assert found.shift == pytest.approx(0.019)
    names = [layer.name for layer in found.layers if layer.group == "shift"]
    assert names.count("features.3.conv.0 / Slice") == 2 and names.count("features.5.conv.0 / Concat") == 1
    assert not any("0x" in name for name in names)


def test_where_it_cannot_be_told_nothing_is_called_a_shift():
    found = sort([CONV, ("Concat_4", "Concat", 0.001)])
    assert found.shift == 0 and found.rule.startswith("not known")
    assert sort([CONV], places=()).shift == 0
