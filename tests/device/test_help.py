"""The help of every command: it fits the terminal, wraps between options, and explains each option."""

import argparse
import importlib.util
import random
import re

import pytest

from tests.device.running import tsm_edge
from tsm_edge import cli
from tsm_edge.commands import COMMANDS

HAS_HOST_HALF = importlib.util.find_spec("tsm_edge_export") is not None
KEYS = [entry.key for entry in COMMANDS if HAS_HOST_HALF or not entry.module.startswith("tsm_edge_export")]


@pytest.mark.parametrize("columns", [80, 100, 132])
@pytest.mark.parametrize("key", [""] + KEYS)
def test_a_help_fits_the_terminal(capsys, monkeypatch, key, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    done = tsm_edge(capsys, *([key] if key else []) + ["--help"])
    assert done.code == 0
    long = [line for line in done.out.split("\n") if len(line) > columns]
    assert not long, long


@pytest.mark.parametrize("key", KEYS)
def test_a_help_says_what_the_command_and_each_option_do(capsys, key):
    parser = argparse.ArgumentParser()
    COMMANDS.load(key).add_options(parser)
    for action in parser._actions:
        name = (action.option_strings or [action.dest])[-1]
        assert action.help and action.help is not argparse.SUPPRESS, name
        text = action.help % dict(vars(action), prog="tsm-edge")
        assert len(text.split()) > 1 and not text.rstrip().endswith("."), (name, text)
        assert not text.startswith(("default:", "of --")), (name, text)  # first what it is
    summary = COMMANDS[key].summary
    said = " ".join(tsm_edge(capsys, key, "--help").out.split())
    assert summary[0].upper() + summary[1:] + "." in said


def parser_of(rng):
    """A parser with options, alternatives and arguments by place, made at random."""
    parser = cli._Parser(prog="tsm-edge " + "x" * rng.randint(1, 12))
    for number in range(rng.randint(1, 30)):
        flag = "--" + "".join(rng.choice("abc-") for _ in range(rng.randint(1, 12))).strip("-") + str(number)
        target = parser.add_mutually_exclusive_group(required=rng.random() < 0.5) if rng.random() < 0.2 else parser
        for part in range(rng.randint(2, 8) if target is not parser else 1):
            kind = rng.choice(({"action": "store_true"}, {"metavar": "N"}, {"nargs": "+", "metavar": "FILE.json"}))
            target.add_argument("{}-{}".format(flag, part), help="text", **kind)
    for number in range(rng.randint(0, 3)):
        parser.add_argument("place{}".format(number), metavar="PLACE{}".format(number), help="text")
    return parser


@pytest.mark.parametrize("seed", range(40))
def test_any_usage_is_wrapped_within_the_width_and_loses_nothing(monkeypatch, seed):
    rng = random.Random(seed)
    parser = parser_of(rng)
    monkeypatch.setenv("COLUMNS", "80")
    usage = parser.format_usage()
    assert max(map(len, usage.split("\n"))) <= 80
    monkeypatch.setenv("COLUMNS", "100000")
    assert usage.split() == parser.format_usage().split()
    assert not re.search(r"--[a-c-]+\d+-\d+\n\s+(N|FILE\.json)", usage), "an option apart from its value"
