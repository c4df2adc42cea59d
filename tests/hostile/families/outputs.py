"""Outputs that are inputs, that are the same, that cannot be written, or that two commands write at once."""

import os

from tests.device.running import played
from tests.hostile import oracle, values
from tests.hostile.bases import BASES, CHEAP, LOOP
from tests.hostile.case import kind

_FOLDERS = ("train", "train-folder", "build", "record", "demo")  # they write a folder, not a file
WRITERS = tuple(key for key in BASES if BASES[key].writes and key not in _FOLDERS)


@kind(share=8)
def onto_an_input(case):
    """Name an input as the output, by any of its names: no input may change."""
    base = BASES[case.random.choice(WRITERS)]
    case.take(*base.takes)
    option = case.random.choice(sorted(base.writes))
    output = base.writes[option]
    files = [name for name in base.reads if (case.folder / name).is_file()]
    name = case.random.choice(files)
    how = case.random.choice(("same", "dot", "detour", "absolute", "hard link", "symlink", "linked folder"))
    ours = {"same": name, "dot": "./" + name, "absolute": str(case.folder / name), "detour": "sub/../" + name}.get(how)
    if how == "detour":
        (case.folder / "sub").mkdir()
    elif how == "linked folder":
        (case.folder / "here").symlink_to(".")
        ours = "here/" + name
    elif ours is None:
        ours = "link" + os.path.splitext(output)[1]
        if how == "hard link":
            os.link(str(case.folder / name), str(case.folder / ours))
        else:
            (case.folder / ours).symlink_to(name)
    case.say("{} {} is {} ({})".format(base.command, option, name, how))
    linked = ours.startswith("link")  # the link itself may be replaced by the output; what it led to must stay
    case.changing += [ours] * linked
    case.run(*base.line({output: ours}), allowed=(0, 2) if linked else (2,))
    case.outputs += base.patterns() + ["link.*"] * linked


@kind(share=2)
def derived_name(case):
    """Let the name that `--save` makes for a stream be that of a source."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.mp4", "clip.avi")
    os.rename(str(case.folder / "clip.mp4"), str(case.folder / "o-door.mp4"))
    names = case.random.sample(("door", "desk"), 2)
    tables = "".join(
        '[[camera]]\nname = "{}"\nsource = "{}"\n'.format(n, s) for n, s in zip(names, ("o-door.mp4", "clip.avi"))
    )
    case.write("site.toml", tables)
    case.say("--save o.mp4 would write o-door.mp4, a source")
    case.run("run", "--engine", "tiny_custom.onnx", "--cameras", "site.toml", "--save", "o.mp4", allowed=(2,))


@kind(share=3)
def the_same_twice(case):
    """Give two outputs of one command the same file."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
    how = case.random.choice(("same", "symlink", "hard link", "dot"))
    first, second = "o.mp4", {"same": "o.mp4", "dot": "./o.mp4"}.get(how, "p.mp4")
    if how == "symlink":
        (case.folder / second).symlink_to(first)
    elif how == "hard link":
        case.write(first, b"")
        os.link(str(case.folder / first), str(case.folder / second))
        case.changing += [first, second]
    case.say("--jsonl and --save: " + how)
    line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--jsonl", first, "--save", second)
    case.run(*line, allowed=(2,))


@kind(share=4)
def two_at_once(case):
    """Let two runs write one file at once: one of them refuses, and the file is that of the other."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
    option, name = case.random.choice((("--jsonl", "o.jsonl"), ("--save", "o.mp4"), ("--save", "o.avi")))
    line = (*LOOP, "--max-frames", "500")
    case.run(*line, option, name, allowed=(0, 2))
    case.run(*line, option, name if case.random.random() < 0.7 else "./" + name, allowed=(0, 2), together=True)
    case.outputs.append(name)
    case.say("two runs with one {}".format(option))

    def check(case, outcomes):
        codes = sorted(outcome.code for outcome in outcomes)
        apart = abs(outcomes[0].seconds - outcomes[1].seconds) < 0.05  # neither refused at its start
        return [] if codes == [0, 2] else [("answered", "exit codes {}{}".format(codes, ", together" * apart))]

    case.checks.append(check)


@kind(share=4)
def empty_name(case):
    """Give an output an empty name, as an unset shell variable does."""
    base = BASES[case.random.choice(WRITERS)]
    case.take(*base.takes)
    option = case.random.choice(sorted(base.writes))
    case.say('{} {} ""'.format(base.command, option))
    case.run(*base.line({base.writes[option]: ""}), allowed=(2,))
    case.outputs += base.patterns()


@kind(share=6)
def unwritable(case):
    """Name a place where nothing can be written."""
    base = BASES[case.random.choice([key for key in WRITERS if key in CHEAP] + ["export"])]
    case.take(*base.takes)
    option = case.random.choice(sorted(base.writes))
    suffix = os.path.splitext(base.writes[option])[1]
    case.write("file", b"x")
    (case.folder / ("folder" + suffix)).mkdir()
    places = ["folder" + suffix, "file/o" + suffix, "nowhere/deep/o" + suffix, "/proc/self/o" + suffix, "/dev/full"]
    places += ["n" * 300 + suffix, "folder{}/".format(suffix), "/proc/version", "loop" + suffix]
    (case.folder / ("loop" + suffix)).symlink_to("loop" + suffix)
    place = case.random.choice(places)
    case.say("{} {} {}".format(base.command, option, place[:40]))
    makes_folders = place.startswith("nowhere") and base.command in ("export", "eval")  # they make the folder
    replaced = place.startswith("loop")  # a link that leads nowhere may be replaced by the file
    case.changing += [place] * replaced
    case.run(*base.line({base.writes[option]: place}), allowed=(0, 2) if makes_folders or replaced else (2,))
    case.outputs += base.patterns() + ["nowhere", "nowhere/*"] * makes_folders


@kind(share=2)
def pipe_as_output(case):
    """Name a pipe that nobody reads as an output."""
    base = BASES[case.random.choice(("run", "profile", "compare", "report"))]
    case.take(*base.takes)
    option = sorted(base.writes)[0]
    name = base.writes[option]
    os.mkfifo(str(case.folder / name))
    case.say("{} {} is a pipe without a reader".format(base.command, option))
    case.run(*base.line(), allowed=(2, 130), stop_after=4.0)


@kind(share=6)
def standard_output(case):
    """Close standard output, or make it a full disk or a pipe that nobody reads."""
    base = BASES[
        case.random.choice([key for key in CHEAP if key not in ("run-cameras", "build")] + ["verify", "export"])
    ]
    case.take(*base.takes)
    how = case.random.choice(("closed", "/dev/full", "broken"))
    line, cold = base.line(), case.random.random() < 0.3
    if case.random.random() < 0.15:
        line = [base.command, "--help"]
    case.say("{}: standard output is {}".format(" ".join(line[:2]), how))
    allowed = {"closed": (0, 1, 2), "broken": (0, 1, 2), "/dev/full": (1, 2)}[how]
    quiet = base.command in ("build", "train")
    case.run(*line, stdout=how, allowed=(0, *allowed) if quiet else allowed, cold=cold)
    case.outputs += base.patterns()


@kind(share=2)
def dash(case):
    """Write the records to standard output: no file named "-"."""
    case.take("tiny_custom.onnx", "tiny_custom.json", "clip.avi")
    case.say("--jsonl -")
    stdout = case.random.choice((None, None, "closed", "/dev/full", "broken"))

    def check(outcome):
        import json

        kinds = [json.loads(line)["kind"] for line in outcome.out.decode().splitlines() if line.startswith("{")]
        return [] if kinds.count("frame") == 32 and kinds[-1] == "summary" else [("wrong answer", str(kinds[-2:]))]

    line = ("run", "--engine", "tiny_custom.onnx", "--source", "clip.avi", "--jsonl", "-")
    if stdout is None:
        case.run(*line, allowed=(0,), check=check)
    else:
        case.run(*line, stdout=stdout, allowed=(0, 1, 2) if stdout != "/dev/full" else (1, 2))


@kind(share=3)
def full_disk(case):
    """Let the disk be full after some kilobytes."""
    base = BASES[case.random.choice([key for key in WRITERS if key in CHEAP] + ["export", "train", "train-folder"])]
    case.take(*base.takes)
    size = case.random.choice((0, 100, 1000, 4096))
    case.say("{}: the disk is full after {} bytes".format(base.key, size))
    case.run(*base.line(), allowed=(0, 2), max_file=size)  # a file that is smaller fits
    case.outputs += base.patterns()

    def check(case, outcomes):
        """Where the run says that all went well, each video holds all frames."""
        faults = []
        for path in case.folder.glob("o.*") if outcomes[0].code == 0 else ():
            frames = len(oracle.frames_in(case.folder / "o.jsonl")) if base.command == "run" else 0
            if path.suffix in (".mp4", ".avi") and played(path)[0] != frames:
                faults.append(("half a file", "{}: not all {} frames".format(path.name, frames)))
        return faults

    case.checks.append(check)


@kind()
def odd_output_name(case):
    """Give an output an odd name."""
    base = BASES[case.random.choice([key for key in WRITERS if key in CHEAP])]
    case.take(*base.takes)
    option = case.random.choice(sorted(base.writes))
    name = values.file_name(case.random, os.path.splitext(base.writes[option])[1])
    case.say("{} {} {}".format(base.command, option, ascii(name)[:50]))
    line = base.line({base.writes[option]: name})
    case.run(*line, allowed=(0, 2))
    stem = os.path.splitext(name)[0]
    case.outputs += base.patterns() + ["".join("[{}]".format(c) if c in "*?[" else c for c in n) for n in (name, stem)]
    case.outputs.append("".join("[{}]".format(c) if c in "*?[" else c for c in stem) + ".*")
