"""Reads TOML files, by Python's own parser or, below Python 3.11, by tomli."""

from typing import Any, Dict

from tsm_edge.errors import InputError
from tsm_edge.files import read_limited
from tsm_edge.machine import install_hints

MAX_BYTES = 1 << 20


def read_toml(path: Any, what: str) -> Dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file.
        what: the kind of file, for messages: "a recipe".

    Raises:
        InputError: no such file, one of more than MAX_BYTES, damaged TOML, or no parser installed.
    """
    try:
        import tomllib as toml  # type: ignore[import-not-found,unused-ignore]  # novermin: tomli stands in below 3.11
    except ImportError:
        try:
            import tomli as toml  # type: ignore[import-not-found,no-redef,unused-ignore]
        except ImportError as error:
            raise install_hints.missing("tomli", error) from error
    data = read_limited(path, MAX_BYTES, what)
    try:
        return toml.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's errors are ValueErrors
        raise InputError(path, "damaged TOML ({})".format(error), what, "correct that line") from error
