"""Profiles that nobody measured: whatever a file holds is read, compared and shown, or refused by an InputError."""

import json
import os
import random

import pytest

from tests.device import profiles
from tsm_edge import cli
from tsm_edge.errors import InputError
from tsm_edge.profile import compare, record
from tsm_edge.profile.tables import render

CASES = 1500


def deep(depth, value=1):
    """Return `value` within `depth` lists."""
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = [None, True, False, 0, -1, 1, 10**12, 2**63, -(2**70), int("7" * 4000), 0.0, -0.0, 1e-320, 1e308, -1e308]
HOSTILE += [float("nan"), float("inf"), float("-inf"), "", "\0", "\x1b[2J", "a\nb", "\ud800", "\u202e", "x" * 100000]
HOSTILE += [
    [],
    {},
    [[]],
    {"": ""},
    {"\x1b": []},
    ["a"] * 1000,
    deep(100),
    deep(900),
    {"a": deep(300)},
    [1, 2, 3],
    [0, 0, 0],
]


def places(value, path=()):
    """Return the path of every value in a JSON value."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, path + (key,))
    return found


def spoiled(rng, value):
    """Return a copy of the JSON value with one to three places replaced, removed, doubled or renamed."""
    value = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(places(value)[1:] or [()])
        if not path:
            return rng.choice(HOSTILE)
        parent = value
        for key in path[:-1]:
            parent = parent[key]
        what = rng.random()
        if what < 0.7:
            parent[path[-1]] = rng.choice(HOSTILE)
        elif what < 0.8:
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.append(parent[path[-1]])
        else:
            parent[rng.choice(["", "\x1b", "key"])] = parent.pop(path[-1])
    return value


def used(path):
    """Read the file and do with it what the commands do. Returns whether it was accepted."""
    try:
        profile = record.load(path)
        text = render(profile)
        record.to_json(profile)
    except InputError as error:
        text = str(error)
        assert len(text) < 5000
        profile = None
    assert all(c in "\n\t" or c.isprintable() for c in text)
    return profile is not None


def test_whatever_a_file_holds(tmp_path):
    rng, path, accepted = random.Random(13), tmp_path / "p.json", 0
    plain = json.loads(record.to_json(profiles.sample()))
    other = profiles.written(profiles.sample(), tmp_path / "other.json")
    for _ in range(CASES):
        path.write_bytes(json.dumps(spoiled(rng, plain)).encode("ascii"))
        if used(str(path)):
            accepted += 1
            for pair in ([str(path), other], [other, str(path)]):
                try:
                    comparison = compare.compare_profiles(pair, allow_different=True)
                except InputError:
                    continue
                assert all(0 < value < 1e12 for row in comparison.rows for value in row[2:])
    assert 10 < accepted < CASES / 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100000,
        '{"a":' * 100000,
        "1" * 6000,
        "nan",
        '"\\ud800"',
        "\ufeff{}",
        '{"format": ' + "[" * 5000,
        "\x00",
    ],
)
def test_text_that_is_no_profile(tmp_path, capsys, text):
    path = tmp_path / "p.json"
    path.write_bytes(text.encode("utf-8"))
    assert cli.main(["compare", str(path), str(path)]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and len(said) < 2000


def test_a_whole_number_of_6000_digits(tmp_path, capsys):
    text = record.to_json(profiles.sample()).replace('"frames":40', '"frames":' + "4" * 6000, 1)
    path = tmp_path / "p.json"
    path.write_text(text)
    assert cli.main(["compare", str(path), str(path)]) == 2
    assert len(capsys.readouterr().err) < 2000


@pytest.mark.parametrize("kind", ["folder", "pipe", "zeros", "large", "NUL"])
def test_what_is_no_file_of_a_profile(tmp_path, capsys, kind):
    path = str(tmp_path / "p.json")
    if kind == "folder":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "zeros":
        path = "/dev/zero"
    elif kind == "large":
        with open(path, "wb") as file:
            file.truncate(record.MAX_BYTES + 1)
    else:
        path += "\0"
    assert cli.main(["compare", path, path]) == 2
    assert "do: " in capsys.readouterr().err
