"""The boards' pages say what the code does."""

import os
import re

import pytest

from tests.conftest import ROOT
from tsm_edge.machine.board import JETPACKS, OLDEST, RELEASES, jetpack_of

NANO = os.path.join(ROOT, "devices", "jetson_nano", "README.md")
ORIN = os.path.join(ROOT, "devices", "jetson_orin_nano", "README.md")


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.l4t)
def test_the_table_of_jetpacks_is_the_codes(release):
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text(NANO).splitlines() if line.startswith("| ")
    ]
    (row,) = [row for row in rows if len(row) == 7 and row[1] == release.l4t]
    assert row[6].startswith(release.state)
    versions = dict(release.versions)
    for cell, name in zip(row[2:5], ("TensorRT", "CUDA", "Python")):
        assert cell.split(" ")[0] == versions.get(name, "")
    named = [jetpack for l4t, jetpack in JETPACKS.items() if (l4t + ".").startswith(release.l4t + ".")]
    first = re.match(r"\d+\.[\d.]*\d", row[0]).group()
    assert first in named or first == jetpack_of(OLDEST) or first in " ".join(named)


@pytest.mark.parametrize("path", [NANO, ORIN])
def test_options_that_are_named_exist(path):
    common = text(os.path.join(ROOT, "devices", "setup_common.sh"))
    for options in re.findall(r"setup\.sh ((?:--\S+ ?|4 ?)+)", text(path)):
        for option in re.findall(r"--[a-z-]+", options):
            assert option in common, option
