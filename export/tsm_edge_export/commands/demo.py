"""`tsm-edge demo`: export the shipped model, prove it, and run it on rendered gestures whose events are known."""

import argparse
import json
import os
import shlex
import sys
import time

from tsm_edge.commands import COMMANDS
from tsm_edge.commands.arguments import file_name, number
from tsm_edge.commands.output import print_text
from tsm_edge.errors import InputError
from tsm_edge_export.commands import interruptible
from tsm_edge_export.evaluation.matching import Detection, Truth, match

RECIPE = "mobilenetv2_tsm"
PACKAGES = ("torch", "onnx", "onnxruntime", "cv2", "safetensors")  # of all steps: named before the first one begins
# No training uses the test split: it has other rooms, other hands and other seeds.
SEED, SPLIT, SECONDS = 2026, "test", 60.0
SHORTEST, LONGEST = 15, 600  # seconds of the video
MIN_RIGHT_SHARE, MAX_FALSE = 0.9, 1  # what the run must reach: share of right events, number of false ones


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    text = "the folder of all files that are written (default: build/demo)"
    default = os.path.join("build", "demo")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=file_name, default=default, help=text)
    parser.add_argument(
        "--seconds",
        metavar="S",
        type=number(SHORTEST, maximum=LONGEST),
        default=SECONDS,
        help="length of the rendered video (default: 60)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the demo. Returns 1 where the model missed or invented too many events."""
    began = time.monotonic()
    with interruptible(*PACKAGES):
        folder = _made_folder(options.output)
    model, video, results = (
        os.path.join(folder, name) for name in (RECIPE + ".onnx", "gestures.mp4", "gestures.jsonl")
    )
    print_text(f"== export {RECIPE} and prove it: clips, torch steps and ONNX steps must agree")
    _call("export", RECIPE, f"--output={model}")
    print_text(f"\n== render {options.seconds:g} s of gestures that are not in the training data: {video}")
    with interruptible(*PACKAGES):
        from tsm_edge_export import synthetic

        truth = synthetic.write_stream(video, synthetic.Stream(SEED, options.seconds, split=SPLIT))
    print_text("\n== run the model on the video, frame by frame")
    annotated = os.path.join(folder, "gestures_annotated.mp4")
    _call("run", f"--engine={model}", f"--source={video}", f"--save={annotated}", f"--jsonl={results}")
    print_text("\n== compare the events with the rendered ones")
    good = _compare(results, truth)
    print_text(f"\nThe demo took {time.monotonic() - began:.0f} s. Watch {annotated}. All files are in {folder}.")
    return 0 if good else 1


def _made_folder(path: str) -> str:
    """Return the path of the output folder, which is made where it is missing."""
    try:
        os.makedirs(path, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"-o {path}", reason, "a folder that can be made", "name another folder") from error
    return path


def _call(name: str, *arguments: str) -> None:
    """Print a command as a user types it, and run it."""
    print_text(f"$ tsm-edge {shlex.join((name, *arguments))}")
    command, parser = COMMANDS.load(name), argparse.ArgumentParser(prog=f"tsm-edge {name}")
    command.add_options(parser)
    code = command.run(parser.parse_args(arguments))
    if code:  # of a signal: the command has said the rest
        raise SystemExit(code)


def _compare(results: str, truth: str) -> bool:
    """Print the rendered events beside those of a run, and the counts. Returns whether the run was right."""
    with open(truth, encoding="utf-8") as file:
        events = [Truth(e["label"], e["start"], e["end"]) for e in json.load(file)["events"]]
    with open(results, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    ended = [record for record in records if record["kind"] == "event" and record["type"] == "end"]
    seen = [Detection(r["label"], r["start"], r["end"], r["confidence"], r["start"]) for r in ended]
    outcomes = match(events, seen, tolerance=1.0)
    rows = [(event.start, [_text(event), "nothing", "missed"]) for event in events]
    for detection, outcome in zip(seen, outcomes, strict=True):
        text = f"{_text(detection)} ({detection.confidence:.0%})"
        if outcome.outcome in ("right", "wrong") and outcome.truth is not None:
            rows[outcome.truth][1][1:] = [text, outcome.outcome]
        else:
            rows.append((detection.start, ["", text, outcome.outcome]))
    table = [["rendered", "seen", ""], *(cells for _, cells in sorted(rows))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print_text("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    right = sum(outcome.outcome == "right" for outcome in outcomes)
    false = sum(outcome.outcome == "false" for outcome in outcomes)
    good = right >= MIN_RIGHT_SHARE * len(events) and false <= MAX_FALSE
    print_text(f"{right} of {len(events)} events right, {false} false: {'good' if good else 'WRONG'}")
    if not good:
        expected = f"at least {MIN_RIGHT_SHARE:.0%} right and at most {MAX_FALSE} false"
        print_text(f"expected {expected}; see docs/synthetic.md", sys.stderr)
    return good


def _text(event: Truth | Detection) -> str:
    return f"{event.label} {event.start:.1f}-{event.end:.1f} s"
