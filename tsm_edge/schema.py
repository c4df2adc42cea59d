"""NamedTuples to JSON values and back, strictly: what is missing, unknown or of another type is an InputError."""

import math
from typing import Any, Dict

from tsm_edge.errors import InputError

_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def encode(value):
    """A NamedTuple (nested) as dicts and lists that json can write."""
    if hasattr(value, "_fields"):
        return {name: encode(getattr(value, name)) for name in value._fields}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return value


def decode(kind, value, where):
    """`value` (from json or TOML) as `kind`: a NamedTuple class, int, float, str, bool, Tuple[…], Optional[…], Dict.

    where: the path to this value, for messages. Raises InputError naming it.
    """
    if hasattr(kind, "_fields"):
        return _decode_record(kind, value, where)
    if kind in _NAMES:
        return _decode_plain(kind, value, where)
    if kind == Dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(where, value, "an object")
        return value
    args = kind.__args__
    if type(None) in args:
        return None if value is None else decode(args[0], value, where)
    return _decode_tuple(args, value, where)


def _decode_record(kind, value, where):
    if not isinstance(value, dict):
        raise _wrong(where, value, "an object with " + ", ".join(kind._fields))
    unknown = sorted(set(value) - set(kind._fields))
    if unknown:
        raise _wrong(where, "unknown key " + ", ".join(unknown), "only " + ", ".join(kind._fields), as_is=True)
    missing = [name for name in kind._fields if name not in value]
    if missing:
        raise _wrong(where, "no " + ", ".join(missing), "all of " + ", ".join(kind._fields), as_is=True)
    types = kind.__annotations__
    return kind(*(decode(types[name], value[name], "{} {}".format(where, name)) for name in kind._fields))


def _decode_plain(kind, value, where):
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:  # JSON and TOML know whole numbers of any length, and NaN and infinity
            value = math.inf
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong(where, value, _NAMES[kind])
    if kind is float and not math.isfinite(value):
        raise _wrong(where, value, "a finite number")
    return value


def _decode_tuple(args, value, where):
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, value, "a list")
    if args[-1] is Ellipsis:
        args = args[:1] * len(value)
    if len(args) != len(value):
        raise _wrong(where, "{} values".format(len(value)), "{} values".format(len(args)), as_is=True)
    return tuple(
        decode(kind, item, "{}[{}]".format(where, index)) for index, (kind, item) in enumerate(zip(args, value))
    )


def _wrong(where, got, expected, as_is=False):
    return InputError(where, got if as_is else repr(got), expected, "correct it, or export the model again")
