"""Writes tables from benchmarks/results/*.json into README.md and benchmarks/README.md: python benchmarks/table.py."""

import re

import common
from common import kept

README, PAGE = common.ROOT / "README.md", common.RESULTS.parent / "README.md"
BEGIN = "<!-- figures: benchmarks/table.py -->\n"
OURS = "custom op, library"
ROWS = (  # what, benchmark, figure, how it is shown, target
    (
        "340x256 file to label, over the published pipeline",
        "run",
        "340x256: tsm-edge / published",
        "{:.1f} x",
        "4.5 x",
    ),
    ("1080p file to label, over the published pipeline", "run", "1080p: tsm-edge / published", "{:.1f} x", "4.5 x"),
    ("340x256 file to label, over the bare engine", "run", "340x256: tsm-edge / bare engine", "{:.2f}", "0.90"),
    ("720p file to label, over the bare engine", "run", "720p: tsm-edge / bare engine", "{:.2f}", "0.91"),
    (
        "the same with one thread left to decoding",
        "run",
        "720p, a thread left to decoding: tsm-edge / bare engine",
        "{:.2f}",
        "0.91",
    ),
    ("online step over the 2D network", "step", "online step, custom / 2D network", "{:.3f}", "1.05"),
    ("online step over an 8-frame clip", "step", "online step, custom / 8-frame clip", "{:.3f}", "0.14"),
    ("exact over fast preprocessing, 720p", "preprocess", "720p warm: exact / fast", "{:.1f} x", "20 x"),
    ("import tsm_edge, added to numpy", "startup", "import tsm_edge, added to numpy, ms", "{:.0f} ms", "60 ms"),
    ("start to first label", "startup", "tsm-edge run, start to first label, s", "{:.2f} s", "1.2 s"),
    ("memory at frame 1,000", "startup", "memory at frame 1000, MB", "{:.0f} MB", "300 MB"),
    ("memory at frame 20,000", "startup", "memory at frame 20000, MB", "{:.0f} MB", "300 MB"),
)


def targets():
    """The README's table, Markdown."""
    records = {name: kept(name) for _, name, *_ in ROWS}
    lines = ["| MobileNetV2-TSM at 224, CPU | measured | target |", "|---|---|---|"]
    for what, name, figure, shown, target in ROWS:
        lines.append(f"| {what} | {shown.format(records[name]['results'][figure])} | {target} |")
    where = records["run"]["machine"]
    lines.append(
        f"\nBy `make bench`: {where['cpu']}, {where['cores']} shared cores, {records['run']['threads']} threads, "
        f"ONNX Runtime {where['onnxruntime']}, {where['date']}; both sides in turn, medians. "
        "What they mean: [benchmarks](benchmarks/README.md)."
    )
    return "\n".join(lines) + "\n"


def models(rows):
    """ms for a new frame by everything, and how many times ours that is: a row a side, a column a network, Markdown."""
    found = [re.match(r"(.+, \d threads?): (.+), ms$", figure) for figure in rows]
    columns = list(dict.fromkeys(match.group(1) for match in found if match))
    sides = list(dict.fromkeys(match.group(2) for match in found if match))
    lines = ["| ms (times ours) | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for side in sides:
        cells = []
        for where in columns:
            cell = f"{rows[f'{where}: {side}, ms']:.1f}" if f"{where}: {side}, ms" in rows else "-"
            ratio = rows.get(f"{where}: {side} / {OURS}")
            cells.append(cell if ratio is None else f"{cell} ({ratio:.2f})")
        lines.append(f"| {side} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def streams(rows):
    """frames/s of all streams together and MB: a row a number of streams, a column a way, Markdown."""
    counts = list(dict.fromkeys(figure.split(":")[0] for figure in rows))
    ways = [figure.split(": ")[1][: -len(", frames/s")] for figure in rows if figure.startswith("1 stream: ")
            and figure.endswith(", frames/s")]  # fmt: skip
    lines = ["| frames/s, MB | " + " | ".join(ways) + " |", "|---" * (len(ways) + 1) + "|"]
    for count in counts:
        cells = [f"{rows[f'{count}: {way}, frames/s']:.0f}, {rows[f'{count}: {way}, MB']:.0f}" for way in ways]
        lines.append(f"| {count} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    common.write_between(README, BEGIN, targets())
    common.write_between(PAGE, BEGIN, models(kept("models")["results"]) + "\n" + streams(kept("streams")["results"]))


if __name__ == "__main__":
    main()
