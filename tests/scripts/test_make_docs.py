"""`make docs`: the site builds, and each kind of fault in a docstring or a page ends the build."""

import importlib.util
import os
import random
import re
import string
import subprocess
import sys
import warnings

import pytest

from tests.conftest import ROOT

SCRIPT = os.path.join(ROOT, "scripts", "make_docs.py")
GOOD = '''"""A module that names tsm_edge.engines.load_engine."""

from typing import NamedTuple


class Pair(NamedTuple):
    """Two numbers.

    Attributes:
        first: metres.
    """

    first: float
    second: float  # seconds


class Box:
    """A box."""

    def open(self):
        """Open it."""

    @property
    def size(self):
        """Cubic metres."""

    def _hidden(self):
        pass


def pack(box):
    """Pack a box."""


LIMIT = 3
'''
FAULTS = {  # what is taken out of GOOD -> the name that is then reported
    '"""A module that names tsm_edge.engines.load_engine."""\n': "{}",
    '    """Two numbers.\n\n    Attributes:\n        first: metres.\n    """\n': "{}.Pair",
    "        first: metres.\n": "{}.Pair.first",
    "  # seconds": "{}.Pair.second",
    '    """A box."""\n': "{}.Box",
    '        """Open it."""': "{}.Box.open",
    '        """Cubic metres."""': "{}.Box.size",
    '    """Pack a box."""': "{}.pack",
}


@pytest.fixture(scope="module")
def make_docs():
    spec = importlib.util.spec_from_file_location("make_docs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def faults(make_docs, tmp_path, monkeypatch):
    """A function that writes a module and returns the faults of its docstrings, and the module's name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def of(text):
        name = "made_" + "".join(random.choice(string.ascii_lowercase) for _ in range(12))
        (tmp_path / (name + ".py")).write_text(text)
        importlib.invalidate_caches()
        module = make_docs.load(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = make_docs.docstring_faults([module])
            make_docs.build_api({name: module}, tmp_path / "site")
        return found, name

    return of


def test_the_site_builds(tmp_path):
    done = subprocess.run(
        [sys.executable, SCRIPT, str(tmp_path / "site")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert done.returncode == 0, done.stdout.decode()
    for name in ("index.html", "docs/running.html", "docs/running.jpg", "api/index.html", "api/tsm_edge/records.html"):
        assert (tmp_path / "site" / name).stat().st_size
    page = (tmp_path / "site/api/tsm_edge.html").read_text(encoding="utf-8")
    assert "Preprocessor" in page and "open_session" in page
    assert "CPU threads of one step" in (tmp_path / "site/api/tsm_edge/engines.html").read_text(encoding="utf-8")


def test_the_page_lists_the_modules(make_docs):
    with open(os.path.join(ROOT, "docs", "api.md"), encoding="utf-8") as file:
        rows = re.findall(r"^\| `(tsm_edge[\w.]*)` \|", file.read(), re.MULTILINE)
    assert rows == list(make_docs.API)


def test_a_module_without_a_fault(faults):
    assert faults(GOOD)[0] == []


@pytest.mark.parametrize("part", FAULTS)
def test_what_has_no_docstring_is_reported(faults, part):
    assert GOOD.count(part) == 1
    body = "pass" if part.strip().startswith('"""') and part.count("\n") == 0 else ""
    found, name = faults(GOOD.replace(part, part[: len(part) - len(part.lstrip())] + body if body else ""))
    assert "{}: no docstring".format(FAULTS[part].format(name)) in found


@pytest.mark.parametrize("seed", range(8))
def test_any_name_that_does_not_exist_is_reported(make_docs, faults, seed):
    rng = random.Random(seed)
    real = rng.choice(make_docs.API)
    wrong = "{}.{}".format(real, "".join(rng.choice(string.ascii_lowercase) for _ in range(9)))
    where = rng.choice(["A module that names", "Pack a box.", "Cubic metres.", "Open it."])
    found, _ = faults(GOOD.replace(where, "{} `{}` and {}.".format(where, wrong, real)))
    assert len(found) == 1 and wrong in found[0]


@pytest.mark.parametrize(
    "link, fault",
    [
        ("other.md", None),
        ("other.md#a-heading", None),
        ("../LICENSE", None),
        ("https://example.org/nowhere", None),
        ("nowhere.md", "leads nowhere"),
        ("../nowhere.png", "leads nowhere"),
        ("other.md#no-heading", "leads to no heading"),
        ("#no-heading", "leads to no heading"),
    ],
)
def test_a_link_that_leads_nowhere_is_reported(make_docs, tmp_path, link, fault):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Start\n[a page](docs/page.md)\n")
    (tmp_path / "LICENSE").write_text("free\n")
    (tmp_path / "docs/other.md").write_text("# Other\n\n## A heading\ntext\n")
    (tmp_path / "docs/page.md").write_text("# Page\n[a link]({})\n".format(link))
    make_docs.write(tmp_path / "site/api/index.html", "the reference")
    found = make_docs.build_pages(tmp_path, tmp_path / "site")
    assert found == ([] if fault is None else ["docs/page.md: the link {} {}".format(make_docs.moved(link), fault)])


def test_a_folder_with_other_files_is_kept(make_docs, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("the only copy")
    assert make_docs.main(str(tmp_path)) == 2
    assert os.listdir(str(tmp_path)) == ["thesis.txt"] and "holds other files" in capsys.readouterr().err
