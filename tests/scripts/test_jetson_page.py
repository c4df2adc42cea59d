"""docs/jetson-nano.md: its commands, options and output are those of the scripts."""

import os
import re
import shlex

import pytest

from tests.conftest import ROOT
from tests.scripts.test_setup import Board
from tsm_edge import cli


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


PAGE = read("docs", "jetson-nano.md")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
OUTPUT = [text for kind, text in BLOCKS if kind == ""]
SETUP = re.compile(r"tsm-edge/code/devices/jetson_nano/setup\.sh(.*)")


def calls(pattern):
    return [found.group(1) for line in COMMANDS for found in [re.search(pattern, line)] if found]


def test_set_up_runs_as_told(tmp_path):
    """Each call of setup.sh passes on the files of a Nano, and the dry run prints what the page shows."""
    told = [shlex.split(rest) for rest in calls(SETUP)]
    assert len(told) == 3
    for number, arguments in enumerate(told):
        (tmp_path / str(number)).mkdir()
        board = Board(tmp_path / str(number), "nano")
        code, out, _ = board.setup("--dry-run", *[word for word in arguments if word != "--dry-run"])
        assert code == 0, out
        if number == 0:
            shown = out.replace(str(board.prefix), "/opt/tsm-edge").replace(board.root, "").splitlines()
            for line in OUTPUT[0].splitlines():
                expected = re.escape(line).replace("…", ".*")
                assert any(re.match(expected + r"\Z", got) for got in shown), line


def test_the_deploy_prints_what_the_page_shows():
    script = read("scripts", "deploy.sh")
    (told,) = [text for text in OUTPUT if text.startswith("== connect")]
    names = {"user@nano": "$host", "tsm-edge/models/mobilenetv2_tsm.trt": "$engine", "mobilenetv2_tsm": "$name"}
    for line in told.splitlines():
        for value, variable in names.items():
            line = line.replace(value, variable)
        line = line.replace("tsm-edge/tsm-edge", "$folder/tsm-edge")
        assert 'echo "{}"'.format(line) in script


@pytest.mark.parametrize("line", calls(r"^tsm-edge/tsm-edge (.*)"))
def test_a_call_on_the_board_is_one_of_tsm_edge(line):
    cli._parse(shlex.split(line))


def test_the_service_takes_the_arguments():
    (text,) = re.findall(r'^TSM_EDGE_ARGUMENTS="(.*)"$', PAGE, re.MULTILINE)
    assert "TSM_EDGE_ARGUMENTS" in read("devices", "tsm-edge.default")
    words = shlex.split(text)
    cli._parse(["run"] + words)
    assert all(os.path.isabs(words[words.index(option) + 1]) for option in ("--engine", "--jsonl"))


def test_files_of_the_report_are_those_that_the_board_writes():
    script = read("scripts", "on_board.sh")
    for name in ("doctor.txt", "info.txt", "profile.txt", "profile.json"):
        assert "`{}`".format(name) in PAGE and "report.new/" + name in script


def test_the_first_line_says_that_no_board_has_run_it():
    assert "**No Nano has run this yet**" in PAGE.split("\n\n")[0]
