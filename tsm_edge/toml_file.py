"""Reads TOML files, by Python's own parser or, below Python 3.11, by tomli."""

from typing import Any, Dict

from tsm_edge.errors import InputError
from tsm_edge.machine import install_hints


def read_toml(path: Any, what: str) -> Dict[str, Any]:
    """Read a TOML file.

    Args:
        path: of the file.
        what: the kind of file, for messages: "a recipe".

    Raises:
        InputError: no such file, damaged TOML, or no parser installed.
    """
    try:
        import tomllib as toml  # type: ignore[import-not-found,unused-ignore]  # novermin: tomli stands in below 3.11
    except ImportError:
        try:
            import tomli as toml  # type: ignore[import-not-found,no-redef,unused-ignore]
        except ImportError as error:
            raise install_hints.missing("tomli", error) from error
    try:
        with open(path, "rb") as file:
            return toml.loads(file.read().decode("utf-8"))
    except OSError as error:
        raise InputError(path, error.strerror, what, "check the path and its permissions") from error
    except (ValueError, RecursionError) as error:  # TOML's and Unicode's errors are ValueErrors
        raise InputError(path, "damaged TOML ({})".format(error), what, "correct that line") from error
