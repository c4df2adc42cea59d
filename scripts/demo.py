"""The demo's two steps in Python: render a gesture video with its truth; hold what the run found against it.

demo.py render VIDEO.mp4           writes VIDEO.mp4 and VIDEO.json
demo.py check RESULTS.jsonl VIDEO.json   prints both side by side; exit code 1 where the run got it wrong
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

# Of the split that no training sees: other rooms, other hands, other seeds.
SEED, SECONDS, SPLIT = 2026, 60, "test"
RIGHT, FALSE = 0.9, 1  # the share of events that must be right, and how many more may be seen

KEYS = ("label", "start", "end", "confidence")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    render = commands.add_parser("render")
    render.add_argument("video", type=Path)
    render.set_defaults(run=lambda chosen: rendered(chosen.video))
    check = commands.add_parser("check")
    check.add_argument("results", type=Path)
    check.add_argument("truth", type=Path)
    check.set_defaults(run=lambda chosen: checked(chosen.results, chosen.truth))
    chosen = parser.parse_args()
    return chosen.run(chosen)


def rendered(video):
    stream = synthetic.Stream(SEED, SECONDS, split=SPLIT)
    synthetic.write_stream(video, stream, lambda frames: tqdm(frames, desc="render", unit="frame", disable=None))
    return 0


def checked(results, truth):
    events = [Truth(e["label"], e["start"], e["end"]) for e in json.loads(truth.read_text())["events"]]
    records = [json.loads(line) for line in results.read_text().splitlines()]
    seen = [Detection(*(r[key] for key in KEYS), r["start"]) for r in records if r["kind"] == "event"]
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
    good = right >= RIGHT * len(events) and false <= FALSE
    print(f"{right} of {len(events)} events right, {false} seen that were not there: " + ("good" if good else "WRONG"))
    if not good:
        print(f"expected {RIGHT:.0%} right and at most {FALSE} more; see docs/synthetic.md", file=sys.stderr)
    return 0 if good else 1


def _text(event):
    return f"{event.label} {event.start:.1f}-{event.end:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
