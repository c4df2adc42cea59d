"""Numbers of every size and odd texts for every option of every command, taken from the commands' own parsers."""

import argparse

from tests.hostile import values
from tests.hostile.bases import BASES, uncovered
from tests.hostile.case import kind
from tsm_edge.commands import COMMANDS

# Options that ask for work as long as their value: a Ctrl-C ends it, and it must end then.
LASTING = {"--seconds", "--warm-up", "--rounds", "--cold", "--synthetic", "--synthetic-stream", "--clips", "--size"}
LASTING |= {
    "--loop",
    "--paced",
    "--fps",
    "--streams",
    "--resume",
    "--display",
    "--span",
    "--crops",
    "--countdown",
    "--longest",
}
PROBES = ("1", "8", "64", "2.5", "30")
# Options that take the place of those that the bases of `eval` have.
RENDERED = ("eval", "--engine", "tiny_custom.onnx", "--threads", "1")


def parser_of(command):
    """Return the parser of a command, which its own module fills."""
    parser = argparse.ArgumentParser(prog="tsm-edge " + command)
    COMMANDS.load(command).add_options(parser)
    return parser


def options_of(command):
    """Return every option and argument of a command, as argparse's actions, without --help."""
    return [action for action in parser_of(command)._actions if action.dest != "help"]


def takes_number(action):
    """Return whether an option takes a number: its own parser of values says so."""
    if action.type is None or action.type is str:
        return False
    return any(_is_number(action.type, probe) for probe in PROBES)


def _is_number(parse, probe):
    try:
        return isinstance(parse(probe), (int, float))
    except (argparse.ArgumentTypeError, TypeError, ValueError):
        return False


def every_option(test):
    """Return (command, action) of every option for which test(action) holds."""
    return [(entry.key, action) for entry in COMMANDS for action in options_of(entry.key) if test(action)]


NUMERIC = every_option(takes_number)
TEXTS = every_option(lambda action: action.nargs != 0 and not takes_number(action) and not action.choices)
CHOICES = every_option(lambda action: action.choices and action.nargs != 0)


def line_with(case, command, action, value):
    """Return the arguments of a command that works, with one option set to a value; says what was set."""
    flag = (action.option_strings or [""])[-1]
    case.say("{} {} {}".format(command, flag or action.dest, ascii(value)[:50]))
    if command in uncovered() + ["doctor"]:
        return [command, "{}={}".format(flag, value) if flag else value]
    base = BASES[case.random.choice([key for key, base in BASES.items() if base.command == command])]
    if command == "eval" and flag in ("--synthetic", "--synthetic-stream", "--seed", "--size", "--truth", "--fps"):
        stream = flag in ("--synthetic-stream", "--truth", "--fps")
        what = ("--synthetic-stream", "8") if stream else ("--synthetic", "2")
        words = [*RENDERED, *(() if flag == what[0] else what), "-o", "e.json"]
        if not stream:
            words += ["--workers", "0"]
    elif command == "compare" and flag in ("--run", "--rounds", "--threads", "--device", "--preprocess"):
        base = BASES["compare-run"]
        words = base.line()
    else:
        words = base.line()
    case.take(*base.takes)
    case.outputs += base.patterns()
    if not flag:  # an argument by its place
        return [value if word in base.reads else word for word in words]
    return _without(words, action) + ["{}={}".format(flag, value) if flag.startswith("--") else flag + value]


def _without(words, action):
    """Return arguments without an option that they hold already, and its value."""
    for flag in action.option_strings:
        if flag in words and action.nargs is None:
            at = words.index(flag)
            words = words[:at] + words[at + 2 :]
    return words


def add(case, command, action, value):
    """Add the command. It answers or refuses; work that lasts is ended by Ctrl-C."""
    lasting = bool(set(action.option_strings) & LASTING) or command == "demo"
    base_codes = (2,) if command == "build" else (0, 2)
    line = line_with(case, command, action, value)
    codes = (*base_codes, *((130,) if lasting else ()), *((3,) if command == "compare" else ()))
    case.run(*line, allowed=codes, stop_after=4.0 if lasting else None)


@kind(share=16)
def numbers(case):
    """Give a numeric option a number of any size, or no number."""
    command, action = NUMERIC[(case.seed + case.random.randrange(3)) % len(NUMERIC)]
    add(case, command, action, values.number_text(case.random))


@kind(share=6)
def texts(case):
    """Give any other option an odd text, an odd file name, or an empty text."""
    command, action = case.random.choice(TEXTS)
    value = case.random.choice((values.text(case.random, nul=False), values.file_name(case.random, ""), ""))
    value = value.replace("/", "_") if value.startswith("..") else value
    add(case, command, action, value)
    case.outputs.append("*")  # whatever name was asked for


@kind(share=2)
def choices(case):
    """Give an option with choices another text."""
    command, action = case.random.choice(CHOICES)
    line = line_with(case, command, action, values.text(case.random, nul=False))
    case.run(*line, allowed=(2,))


@kind(share=2)
def several(case):
    """Give three options at once."""
    command = case.random.choice(("run", "profile", "eval", "compare"))
    base = BASES[case.random.choice([key for key, base in BASES.items() if base.command == command])]
    case.take(*base.takes)
    case.outputs += ["*"]
    words = base.line()
    for _, action in case.random.sample([pair for pair in NUMERIC + TEXTS + CHOICES if pair[0] == command], 3):
        if action.option_strings:
            value = values.number_text(case.random) if takes_number(action) else values.text(case.random, nul=False)
            words.append("{}={}".format(action.option_strings[-1], value.replace("/", "_")))
    case.say("three options of {}".format(command))
    case.run(*words, allowed=(0, 2, 3, 130), stop_after=5.0)


@kind(share=2)
def no_command(case):
    """Type a command, an option or an argument that does not exist."""
    odd = values.text(case.random, nul=False)
    line = case.random.choice(
        ([odd], ["run", odd], ["--" + odd], ["info", "a.onnx", odd], [odd, "run"], ["-vvvv", odd])
    )
    case.say("an unknown word: {}".format(ascii(odd)[:50]))
    case.run(*line, allowed=(2,), cold=case.random.random() < 0.3)
