"""What `import tsm_edge` alone reaches: all that the README and the pages name, imported when it is used."""

import glob
import os
import pickle
import re

import pytest

import tsm_edge
from tests.device.test_imports import BLOCK, modules, python

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = [os.path.join(ROOT, "README.md")] + sorted(glob.glob(os.path.join(ROOT, "docs", "*.md")))


def named(page):
    """The dotted names of the device half that a page shows, such as "tsm_edge.Preprocessor"."""
    with open(page, encoding="utf-8") as file:
        text = re.sub(r"\]\([^)]*\)|tsm_edge\.sha256", "", file.read())  # a link's target; a key of ONNX's metadata
    text = re.sub(r"^tsm_edge[\w.]*: .*$", "", text, flags=re.MULTILINE)  # a line of a log, by a module's name
    return sorted(set(re.findall(r"(?<![\w./-])tsm_edge(?:\.[A-Za-z_]+)+", text)))


def test_the_readme_names_what_this_test_is_for():
    assert "tsm_edge.Preprocessor" in named(PAGES[0])


@pytest.mark.parametrize("page", PAGES, ids=[os.path.basename(page) for page in PAGES])
def test_every_name_on_a_page_is_reached_from_the_package_alone(page):
    """Reached as a reader types it: `import tsm_edge`, then the name."""
    python("import tsm_edge\n" + "\n".join(named(page)))


def test_nothing_heavy_is_loaded_to_reach_the_preprocessor():
    python(BLOCK + "import tsm_edge\nassert tsm_edge.Preprocessor is tsm_edge.preprocess.Preprocessor")


def test_every_first_level_module_is_reached():
    names = sorted({name for name in modules() if name.count(".") == 1})
    assert "tsm_edge.preprocess" in names
    python("import tsm_edge\n" + "\n".join(names))


@pytest.mark.parametrize("name", ["nothing", "Preprocessors", "_hidden", "__wrapped__", "kernels"])
def test_another_name_is_an_attribute_error(name):
    assert not hasattr(tsm_edge, name)
    with pytest.raises(AttributeError, match="module 'tsm_edge' has no attribute '{}'".format(name)):
        getattr(tsm_edge, name)
    with pytest.raises(ImportError):
        exec("from tsm_edge import " + name)


def test_the_package_lists_what_it_offers():
    assert set(tsm_edge.__all__) <= set(dir(tsm_edge))
    assert all(hasattr(tsm_edge, name) for name in tsm_edge.__all__)
    assert pickle.loads(pickle.dumps(tsm_edge.Preprocessor)) is tsm_edge.Preprocessor
