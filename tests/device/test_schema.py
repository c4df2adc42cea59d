"""NamedTuples to JSON and back: every value survives, and whatever does not fit is refused with its path."""

import json
from typing import Any, Dict, NamedTuple, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.schema import decode, encode


class Part(NamedTuple):
    name: str
    sizes: Tuple[int, ...] = ()
    scale: float = 1.0


class Whole(NamedTuple):
    amount: int
    flag: bool
    pair: Tuple[float, str]
    parts: Tuple[Part, ...]
    limit: Optional[int] = None
    first: Optional[Part] = None
    extra: Dict[str, Any] = {}
    anything: Any = None


NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
PARTS = st.builds(Part, st.text(), st.lists(st.integers()).map(tuple), NUMBERS)
WHOLES = st.builds(
    Whole,
    st.integers(),
    st.booleans(),
    st.tuples(NUMBERS, st.text()),
    st.lists(PARTS, max_size=3).map(tuple),
    st.none() | st.integers(),
    st.none() | PARTS,
    st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=3),
    st.integers() | st.text() | st.lists(st.booleans()),
)
DEFAULTS: Dict[str, Any] = {"limit": None, "first": None, "extra": {}, "anything": None}
LEAST = {"amount": 3, "flag": True, "pair": [1, "a"], "parts": []}


@settings(deadline=None, max_examples=150)
@given(WHOLES)
def test_encode_and_decode_through_json_give_the_same_value(value):
    assert decode(Whole, json.loads(json.dumps(encode(value))), "w") == value


@settings(deadline=None, max_examples=150)
@given(WHOLES, st.data())
def test_fields_with_a_default_may_be_left_out(value, data):
    encoded = encode(value)
    left_out = data.draw(st.sets(st.sampled_from(sorted(DEFAULTS))))
    for name in left_out:
        del encoded[name]
    assert decode(Whole, encoded, "w") == value._replace(**{name: DEFAULTS[name] for name in left_out})


def test_defaults_hold_at_any_depth():
    got = decode(Whole, dict(LEAST, parts=[{"name": "x"}], first={"name": "y", "scale": 2}), "w")
    assert got == Whole(3, True, (1.0, "a"), (Part("x"),), None, Part("y", (), 2.0), {})
    assert isinstance(got.first.scale, float) and isinstance(got.pair[0], float)


@pytest.mark.parametrize(
    ("change", "where", "got"),
    [
        ({"amount": 1.5}, "w amount", "1.5"),
        ({"amount": True}, "w amount", "True"),
        ({"flag": 1}, "w flag", "1"),
        ({"pair": [1]}, "w pair", "1 values"),
        ({"pair": ["1", "a"]}, r"w pair\[0\]", "'1'"),
        ({"pair": [float("nan"), "a"]}, r"w pair\[0\]", "nan"),
        ({"pair": [10**400, "a"]}, r"w pair\[0\]", "inf"),
        ({"parts": {}}, "w parts", "{}"),
        ({"parts": [{"name": "x"}, {"name": 1}]}, r"w parts\[1\] name", "1"),
        ({"parts": [{}]}, r"w parts\[0\]", "no name"),
        ({"first": {"name": "x", "size": 1}}, "w first", "unknown key size"),
        ({"first": []}, "w first", r"\[\]"),
        ({"extra": []}, "w extra", r"\[\]"),
        ({"other": 1, "another": 2}, "w", "unknown key another, other"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(change, where, got):
    with pytest.raises(InputError, match=r"^{}\n  got:      {}".format(where, got)):
        decode(Whole, dict(LEAST, **change), "w")


@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_field_without_a_default_must_be_there(name):
    value = {key: item for key, item in LEAST.items() if key != name}
    with pytest.raises(InputError, match="no {}".format(name)):
        decode(Whole, value, "w")


@settings(deadline=None, max_examples=150)
@given(
    st.recursive(st.none() | st.booleans() | NUMBERS | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))
)
def test_any_json_is_decoded_or_refused(value):
    try:
        assert isinstance(decode(Whole, value, "w"), Whole)
    except InputError as error:
        assert str(error).startswith("w")
