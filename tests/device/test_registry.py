"""The tables of what can be opened by name."""

import pytest

from tsm_edge.commands import COMMANDS
from tsm_edge.engines import ENGINES
from tsm_edge.errors import InputError
from tsm_edge.heads import TASKS
from tsm_edge.machine import install_hints
from tsm_edge.registry import Entry, Registry
from tsm_edge.sinks import SINKS
from tsm_edge.sources import SOURCES

ALL = [ENGINES, SOURCES, SINKS, TASKS, COMMANDS]
ENTRIES = [(registry.kind, entry) for registry in ALL for entry in registry]


def test_entries_are_found_by_key_and_come_in_order():
    registry = Registry("thing", [Entry("b", "json", "one"), Entry("a", "math", "another")])
    assert [entry.key for entry in registry] == ["b", "a"]
    assert "a" in registry and "c" not in registry
    assert registry["a"].summary == "another"
    assert registry.load("a").sqrt(4) == 2


def test_a_key_stands_for_one_thing():
    registry = Registry("thing", [Entry("a", "json", "one")])
    with pytest.raises(ValueError, match="thing 'a' is registered already"):
        registry.add(Entry("a", "math", "another"))
    registry.remove("a")
    registry.add(Entry("a", "math", "another"))


def test_a_missing_package_is_answered_with_the_command_that_installs_it(monkeypatch):
    def missing(name):
        raise ImportError("No module named 'pycuda'", name="pycuda.driver")

    monkeypatch.setattr("tsm_edge.registry.importlib.import_module", missing)
    with pytest.raises(InputError, match=r"pip install pycuda"):
        Registry("engine", [Entry("x", "tsm_edge.x", "")]).load("x")


def test_a_fault_of_the_module_itself_comes_out(monkeypatch):
    def broken(name):
        raise ImportError("cannot import name", name="tsm_edge.x")

    monkeypatch.setattr("tsm_edge.registry.importlib.import_module", broken)
    with pytest.raises(ImportError):
        Registry("engine", [Entry("x", "tsm_edge.x", "")]).load("x")


@pytest.mark.parametrize("kind, entry", ENTRIES, ids=["{} {}".format(kind, entry.key) for kind, entry in ENTRIES])
def test_entries_say_what_they_are_and_what_they_need(kind, entry):
    assert entry.summary and not entry.summary.endswith(".")
    assert entry.module.split(".")[0] in ("tsm_edge", "tsm_edge_export")
    for package in entry.packages:
        assert package in install_hints.PACKAGES
    for option in entry.options:
        assert option.keywords.get("help")
