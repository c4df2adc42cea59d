"""The argument types that all commands share: no empty name, no number that nobody means."""

import argparse
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsm_edge.commands import COMMANDS
from tsm_edge.commands.arguments import LARGEST, file_name, number, whole_number

READ_LATER = {"streams"}  # of build: tsm_edge.engines.tensorrt.request.parse_streams refuses an empty one


def parsers():
    """(command, its parser) of each command that is installed here: on a device, those of the device half alone."""
    for entry in COMMANDS:
        try:
            command = COMMANDS.load(entry.key)
        except ImportError:
            assert entry.module.startswith("tsm_edge_export")
            continue
        parser = argparse.ArgumentParser()
        command.add_options(parser)
        yield entry.key, parser


def test_no_command_takes_an_empty_text():
    """An unset variable of a shell: `--save "$VIDEO"`. A new option needs `type=file_name`, or a type of its own."""
    found = 0
    for key, parser in parsers():
        for action in parser._actions:
            if action.nargs == 0 or action.choices is not None or action.dest in READ_LATER:
                continue
            found += 1
            takes = action.type if action.type is not None else lambda text: text
            with pytest.raises((argparse.ArgumentTypeError, ValueError)):
                takes("")
                pytest.fail("tsm-edge {}: {} takes an empty text".format(key, action.option_strings or action.dest))
    assert found > 30


def test_a_name_is_kept_as_it_is():
    for name in ("-", " ", "a b", "rtsp://host/1", "0"):
        assert file_name(name) == name
    with pytest.raises(argparse.ArgumentTypeError, match="an empty name: an unset variable"):
        file_name("")


TEXTS = st.one_of(
    st.text(max_size=50),
    st.integers().map(str),
    st.floats().map(repr),
    st.integers(1, 7000).map(lambda digits: "9" * digits),
    st.sampled_from(["nan", "-nan", "inf", "1e400", "-1e400", "1e30", "0x10", "1_000", " 7 ", "+5", "", "1e-400"]),
)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(-5, 5), st.integers(10, LARGEST))
@pytest.mark.parametrize("whole", [False, True])
def test_a_number_is_within_its_bounds_or_refused(whole, text, minimum, maximum):
    parse = whole_number(minimum, maximum) if whole else number(minimum, maximum=maximum)
    try:
        value = parse(text)
    except argparse.ArgumentTypeError as error:
        assert len(str(error)) < 200
    else:
        assert minimum <= value <= maximum and math.isfinite(value)


def test_the_numbers_of_all_commands_have_an_end():
    for key, parser in parsers():
        for action in parser._actions:
            name = getattr(action.type, "__qualname__", "")
            if name.startswith("number."):
                for text in ("1" * 31, "9" * 6000, "nan", "inf", "-inf"):
                    with pytest.raises(argparse.ArgumentTypeError):
                        action.type(text)
                        pytest.fail("tsm-edge {}: {} takes {:.40}".format(key, action.option_strings, text))
