"""NamedTuples to JSON and back: every value survives, and whatever does not fit is refused with its path."""

import json
from typing import Any, Dict, NamedTuple, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.errors import InputError
from tsm_edge.schema import MAX_WHOLE_NUMBER, decode, encode


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
WHOLE_NUMBERS = st.integers(-MAX_WHOLE_NUMBER, MAX_WHOLE_NUMBER)
TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]))
PARTS = st.builds(Part, TEXTS, st.lists(WHOLE_NUMBERS).map(tuple), NUMBERS)
WHOLES = st.builds(
    Whole,
    WHOLE_NUMBERS,
    st.booleans(),
    st.tuples(NUMBERS, TEXTS),
    st.lists(PARTS, max_size=3).map(tuple),
    st.none() | WHOLE_NUMBERS,
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


HUGE = st.integers(1, 30000).map(lambda bits: (MAX_WHOLE_NUMBER + 1) << bits)  # with digits that Python does not print


@settings(deadline=None, max_examples=60)
@given(HUGE, st.booleans(), st.sampled_from(["amount", "limit", "pair", "parts", "flag", "first"]))
def test_numbers_of_any_length_are_refused(number, negative, name):
    number = -number if negative else number
    value = {"pair": [number, number], "parts": [{"name": "x", "sizes": [1, number]}], "first": [number]}.get(
        name, number
    )
    with pytest.raises(InputError, match="^w " + name) as caught:
        decode(Whole, dict(LEAST, **{name: value}), "w")
    assert len(str(caught.value)) < 1000


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=5), st.text(max_size=5))
def test_a_nul_character_is_refused(before, after):
    for change in ({"pair": [1, before + "\0" + after]}, {"first": {"name": before + "\0" + after}}):
        with pytest.raises(InputError, match="NUL"):
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
