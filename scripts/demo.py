"""The Python part of the demo: render a gesture video with known events, and compare them with the results of a run.

demo.py render VIDEO.mp4                 writes VIDEO.mp4, and its events into VIDEO.json
demo.py check RESULTS.jsonl VIDEO.json   prints the events side by side; exit code 1 if the run was wrong
"""

import argparse
import json
import sys
from pathlib import Path

from tabulate import tabulate
from tqdm import tqdm

from tsm_edge_export import synthetic
from tsm_edge_export.evaluation.matching import Detection, Truth, match
from tsm_edge_export.evaluation.stream import TOLERANCE

# The test split, which no training uses, has other rooms, other hands and other seeds.
SEED, SECONDS, SPLIT = 2026, 60, "test"
MIN_RIGHT_SHARE, MAX_FALSE = 0.9, 1  # what the run must reach: share of right events, number of false ones


def main() -> int:
    """Run the step that the command line names. Returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    render = commands.add_parser("render")
    render.add_argument("video", type=Path)
    render.set_defaults(run=lambda options: render_video(options.video))
    check = commands.add_parser("check")
    check.add_argument("results", type=Path)
    check.add_argument("truth", type=Path)
    check.set_defaults(run=lambda options: check_results(options.results, options.truth))
    options = parser.parse_args()
    return options.run(options)


def render_video(video: Path) -> int:
    """Write a gesture video and, beside it as JSON, its events."""
    stream = synthetic.Stream(SEED, SECONDS, split=SPLIT)
    synthetic.write_stream(video, stream, lambda frames: tqdm(frames, desc="render", unit="frame", disable=None))
    return 0


def check_results(results: Path, truth: Path) -> int:
    """Print the rendered events beside those of a run. Returns 0 if the run was right, 1 if not."""
    events = [Truth(e["label"], e["start"], e["end"]) for e in json.loads(truth.read_text())["events"]]
    records = [json.loads(line) for line in results.read_text().splitlines()]
    ended = [record for record in records if record["kind"] == "event" and record["type"] == "end"]
    seen = [Detection(r["label"], r["start"], r["end"], r["confidence"], r["start"]) for r in ended]
    outcomes = match(events, seen, TOLERANCE)
    rows = {number: [event.start, _text(event), "nothing", "missed"] for number, event in enumerate(events)}
    for detection, outcome in zip(seen, outcomes, strict=True):
        text = f"{_text(detection)} ({detection.confidence:.0%})"
        if outcome.outcome in ("right", "wrong"):
            rows[outcome.truth][2:] = [text, outcome.outcome]
        else:
            rows[len(rows)] = [detection.start, "", text, outcome.outcome]
    print(tabulate([row[1:] for row in sorted(rows.values())], headers=["rendered (synthetic)", "seen", ""]))
    right = sum(m.outcome == "right" for m in outcomes)
    false = sum(m.outcome == "false" for m in outcomes)
    good = right >= MIN_RIGHT_SHARE * len(events) and false <= MAX_FALSE
    print(f"{right} of {len(events)} events right, {false} false: " + ("good" if good else "WRONG"))
    if not good:
        expected = f"at least {MIN_RIGHT_SHARE:.0%} right and at most {MAX_FALSE} false"
        print(f"expected {expected}; see docs/synthetic.md", file=sys.stderr)
    return 0 if good else 1


def _text(event: Truth | Detection) -> str:
    return f"{event.label} {event.start:.1f}-{event.end:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
