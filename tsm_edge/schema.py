"""NamedTuples to JSON values and back. A value that is missing, unknown or of another type is an InputError."""

import math
from typing import Any, Dict, NamedTuple

from tsm_edge.errors import InputError

MAX_WHOLE_NUMBER = 2**63 - 1  # a torch seed, a NumPy index and a float all hold it
_NAMES = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}


def encode(value: Any) -> Any:
    """Return a value as json can write it: NamedTuples as dicts, tuples as lists, at any depth."""
    if hasattr(value, "_fields"):
        return {name: encode(getattr(value, name)) for name in value._fields}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, (tuple, list)) else value


def decode(kind: Any, value: Any, where: str) -> Any:
    """Return a value from JSON or TOML as one of type `kind`. A field with a default may be left out.

    `kind` is a NamedTuple class, int, float, str, bool, Tuple[…], Optional[…], Dict[str, Any] or Any. Raises InputError
    where the value is not of this type; `where` is the path to it.
    """
    if hasattr(kind, "_fields"):
        return _decode_record(kind, value, where)
    if kind is Any:
        return value
    if kind in _NAMES:
        return _decode_plain(kind, value, where)
    if kind == Dict[str, Any]:
        if not isinstance(value, dict):
            raise _wrong(where, shortened(value), "an object")
        return value
    args = kind.__args__
    if type(None) in args:
        return None if value is None else decode(args[0], value, where)
    return _decode_tuple(args, value, where)


def _decode_record(kind: Any, value: Any, where: str) -> NamedTuple:
    if not isinstance(value, dict):
        raise _wrong(where, shortened(value), "an object with " + ", ".join(kind._fields))
    unknown = sorted(set(value) - set(kind._fields))
    if unknown:
        raise _wrong(where, "unknown key " + ", ".join(unknown), "only " + ", ".join(kind._fields))
    defaults = getattr(kind, "_field_defaults", {})
    missing = [name for name in kind._fields if name not in value and name not in defaults]
    if missing:
        raise _wrong(where, "no " + ", ".join(missing), "all of " + ", ".join(kind._fields))
    types = kind.__annotations__
    return kind(**{name: decode(types[name], given, "{} {}".format(where, name)) for name, given in value.items()})


def _decode_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:  # JSON and TOML know whole numbers of any length, NaN and infinity
            value = math.inf
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _wrong(where, shortened(value), _NAMES[kind])
    if kind is int and abs(value) > MAX_WHOLE_NUMBER:
        raise _wrong(where, shortened(value), "a whole number of at most 19 digits")
    if kind is str and "\0" in value:
        raise _wrong(where, shortened(value), "text without NUL characters")
    if kind is float and not math.isfinite(value):
        raise _wrong(where, repr(value), "a finite number")
    return value


def _decode_tuple(args: Any, value: Any, where: str) -> tuple:
    if not isinstance(value, (list, tuple)):
        raise _wrong(where, shortened(value), "a list")
    if args[-1] is Ellipsis:
        args = args[:1] * len(value)
    if len(args) != len(value):
        raise _wrong(where, "{} values".format(len(value)), "{} values".format(len(args)))
    return tuple(decode(kind, item, "{}[{}]".format(where, i)) for i, (kind, item) in enumerate(zip(args, value)))


def shortened(value: Any) -> str:
    """Return `repr(value)` for a message, cut after 200 characters."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes out no number of thousands of digits, and no deep lists
        return "a whole number of thousands of digits, or a deeply nested value"
    return text if len(text) <= 200 else text[:200] + "..."


def _wrong(where: str, got: str, expected: str) -> InputError:
    return InputError(where, got, expected, "correct it; if it is a model's, export the model again")
