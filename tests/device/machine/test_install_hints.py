"""The commands that install what is missing: they fit the Python that runs, and name what a package index has."""

import pytest

from tsm_edge.machine.install_hints import EXPORT_EXTRA, HOST_PACKAGE, PACKAGES, hint_for, pip_install


@pytest.mark.parametrize(
    "python, command",
    [
        ((3, 6, 15), 'pip install "opencv-python<4.6.0.67" tqdm (first: pip install -U "pip<22")'),
        ((3, 7, 0), "pip install opencv-python tqdm"),
        ((3, 13, 0), "pip install opencv-python tqdm"),
    ],
)
def test_a_command_fits_the_python(python, command):
    assert pip_install("opencv-python tqdm", python) == command


@pytest.mark.parametrize("jetson", [False, True])
@pytest.mark.parametrize("package", sorted(PACKAGES) + ["another"])
def test_no_command_asks_an_index_for_tsm_edge(package, jetson):
    """A stranger could publish a package of that name."""
    assert "tsm-edge[" not in hint_for(package, jetson) and "tsm-edge[" not in HOST_PACKAGE


def test_all_packages_of_the_export_extra_come_at_once():
    command = hint_for("torch", jetson=False)
    assert all(package in command for package in EXPORT_EXTRA)
    assert hint_for("jinja2", jetson=False) == command
