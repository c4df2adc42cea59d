"""The whole path of docs/your-own-gestures.md, timed: record clips, train, export, run.

Real clips are played as a camera, in the time that a person would take: two sessions in two groups of rooms, some clips
of each label. The exported model then runs on a video of clips from other rooms, and the events are compared.
"""

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import common
from bench_cross_validation import folds, read
from played_clips import COUNTDOWN, frames_of, write_camera_video, write_stream

EGO = common.CLIPS.parent / "ego_gestures"
LABELS = ("left", "right", "up", "down", "circle")
SESSIONS = ("kitchen", "office")


def main():
    chosen = options()
    rows, names = read(EGO / "train_videofolder.txt"), (EGO / "category.txt").read_text().split()
    rooms = folds(rows, 3, "^[^_]*", len(names))
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(chosen.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        times = {}
        each = chosen.clips // len(SESSIONS)
        for session, room in zip(SESSIONS, rooms, strict=False):
            clips = [some(rows, names, label, room, each, rng) for label in chosen.labels]
            video = folder / f"{session}.avi"
            write_camera_video(
                video,
                [frames_of(clip) for turn in zip(*clips, strict=True) for clip in turn],
                countdown=chosen.countdown,
            )
            labels = [part for label in chosen.labels for part in ("--label", label)]
            options_of = ["--session", session, "--clips", str(each), "--countdown", str(chosen.countdown)]
            run(
                times,
                f"record {session}",
                "record",
                "--source",
                video,
                "-o",
                folder / "data",
                *labels,
                *options_of,
                "--no-display",
            )
        run(times, "train", "train", folder / "data", "-o", folder / "out", *chosen.train)
        run(times, "export", "export", folder / "out", "-o", folder / "gestures.onnx")
        tests = [
            (EGO / path, names[label]) for path, _, label in rows if path in rooms[2] and names[label] in chosen.labels
        ]
        rng.shuffle(tests)
        spans = write_stream(folder / "test.avi", [frames_of(path) for path, _ in tests])
        with open(folder / "test.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "start", "end", "label"])
            writer.writerows(
                ["test.avi", f"{start:.3f}", f"{end:.3f}", label]
                for (start, end), (_, label) in zip(spans, tests, strict=True)
            )
        stream = folder / "stream.json"
        run(
            times,
            "eval",
            "eval",
            "--engine",
            folder / "gestures.onnx",
            "--stream",
            folder / "test.avi",
            "--truth",
            folder / "test.csv",
            "-o",
            stream,
        )
        figures = json.loads(stream.read_text(encoding="utf-8"))["figures"]
        validation = json.loads((folder / "out" / "validation.json").read_text(encoding="utf-8"))["figures"]
    total = sum(times[name] for name in times if name != "eval")
    results = {
        "clips": chosen.clips * len(chosen.labels),
        **{f"{name}, s": round(seconds, 1) for name, seconds in times.items() if name != "eval"},
        "first clip to running export, s": round(total, 1),
        "validation accuracy, %": round(100 * validation["top1"]["share"], 1),
        "events of other rooms": figures["events"],
        "right, %": round(100 * figures["right_share"], 1),
        "false a minute": round(figures["false_per_minute"], 2),
        "delay from the end, median s": (figures["delay_from_end"] or {}).get("median"),
    }
    for name, value in results.items():
        print(f"{name}: {value}")
    if chosen.json:
        common.write_json(chosen.json, {"benchmark": "own_gestures", "machine": common.machine(), "results": results})


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", nargs="+", default=list(LABELS))
    parser.add_argument("--clips", type=int, default=10, help="of each label, in two sessions")
    parser.add_argument("--countdown", type=float, default=COUNTDOWN)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", nargs=argparse.REMAINDER, default=[], help="further options of tsm-edge train")
    parser.add_argument("--keep", metavar="FOLDER", help="leave all files there")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def some(rows, names, label, room, count, rng):
    """Return `count` clips of a label from the rooms of a fold, one of each session as far as there are so many."""
    of_session = defaultdict(list)
    for path, _, number in rows:
        if path in room and names[number] == label:
            of_session[Path(path).name.split("_")[0]].append(EGO / path)
    found = []
    while len(found) < count:
        groups = [clips for clips in of_session.values() if clips]
        if not groups:
            raise SystemExit(f"{label}: fewer than {count} clips in these rooms")
        chosen = rng.sample(groups, min(len(groups), count - len(found)))
        found += [clips.pop(rng.randrange(len(clips))) for clips in chosen]
    return found


def run(times, name, *arguments):
    """Run a command of tsm-edge, show it and what it prints, and note its seconds."""
    command = [sys.executable, "-m", "tsm_edge", *map(str, arguments)]
    print("$ tsm-edge " + " ".join(map(str, arguments)), flush=True)
    began = time.perf_counter()
    subprocess.run(command, check=True)
    times[name] = time.perf_counter() - began


if __name__ == "__main__":
    main()
