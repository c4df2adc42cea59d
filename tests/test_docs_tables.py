"""The tables in docs/*.md say what the registries hold."""

import glob
import importlib.util
import os

import pytest

from tests.conftest import ROOT
from tsm_edge.registry import Entry
from tsm_edge.sinks import SINKS


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("docs_tables", os.path.join(ROOT, "scripts", "docs_tables.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_page_is_stale(script, capsys):
    code = script.main(["--check"])
    assert code == 0, capsys.readouterr().err


def test_every_table_stands_in_a_page(script):
    pages = ""
    for path in glob.glob(os.path.join(ROOT, "docs", "*.md")):
        with open(path, encoding="utf-8") as file:
            pages += file.read()
    assert {found[1] for found in script.BLOCK.findall(pages)} == set(script.TABLES)


def test_a_stale_page_is_found_and_written(script, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: sinks -->\n<!-- end of table -->\nafter\n", encoding="utf-8")
    assert script.main(["--check", str(page)]) == 1 and "stale" in capsys.readouterr().err
    assert script.main([str(page)]) == 0 and script.main(["--check", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- table: sinks -->\n| sink | ") and text.endswith(
        "<!-- end of table -->\nafter\n"
    )
    assert "| `jsonl` | " in text and "`--jsonl FILE`" in text
    SINKS.add(Entry("toy", "toy", "a toy sink", packages=("toy_package",)))
    try:
        assert script.main(["--check", str(page)]) == 1
        assert "| `toy` | a toy sink |  | pip install toy_package |" in script.table("sinks")
    finally:
        SINKS.remove("toy")
