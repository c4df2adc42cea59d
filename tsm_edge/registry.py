"""The tables of what can be opened by name: engines, sources, sinks, tasks and commands.

Each folder of a kind fills one table in its `__init__.py`. The command line's choices, `tsm-edge doctor` and the tables
of the docs come from these tables. An entry names its module as text, so that nothing is imported before it is used.
"""

import importlib
from types import ModuleType
from typing import Any, Dict, Iterator, NamedTuple, Sequence, Tuple

from tsm_edge.machine import install_hints


class Option(NamedTuple):
    """A command-line option of an entry: what `argparse.ArgumentParser.add_argument` takes."""

    flags: Tuple[str, ...]  # the option's names: ("--save",)
    keywords: Dict[str, Any]  # the other arguments: {"metavar": "VIDEO", "help": "write …"}


class Entry(NamedTuple):
    """One thing that can be opened by name."""

    key: str  # its name in the registry
    module: str  # of Python, imported when the thing is used
    summary: str  # one line, for help and docs
    packages: Tuple[str, ...] = ()  # the optional packages that it imports, by import name
    extra: str = ""  # the pip extra that installs them
    options: Tuple[Option, ...] = ()  # on the command line
    matches: Tuple[str, ...] = ()  # file extensions of an engine, address schemes of a source
    device: str = "cpu"  # where an engine runs: a choice of --device
    live: bool = False  # whether a source cannot wait for a slow reader


class Registry:
    """The entries of one kind, in the order in which they are shown. Iterate over it for the entries.

    Args:
        kind: what messages call an entry: "engine".
        entries: the first entries; `add` takes more.
    """

    def __init__(self, kind: str, entries: Sequence[Entry] = ()) -> None:
        self.kind = kind
        self._entries: Dict[str, Entry] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Add an entry, of this package or of another one. Raises ValueError where the key is taken."""
        if entry.key in self._entries:
            raise ValueError("{} {!r} is registered already".format(self.kind, entry.key))
        self._entries[entry.key] = entry

    def remove(self, key: str) -> None:
        """Take an entry out again. Raises KeyError where there is none of that key."""
        del self._entries[key]

    def load(self, key: str) -> ModuleType:
        """Import the module of an entry. Raises InputError where an optional package that it needs is missing."""
        try:
            return importlib.import_module(self._entries[key].module)
        except ImportError as error:
            package = (error.name or "").split(".")[0]
            if package not in install_hints.PACKAGES:
                raise
            raise install_hints.missing(package, error) from error

    def __getitem__(self, key: str) -> Entry:
        return self._entries[key]

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())
