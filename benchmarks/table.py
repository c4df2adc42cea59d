"""Writes the README's table from benchmarks/results/*.json, between its two marks: python benchmarks/table.py."""

import json

import common

README = common.ROOT / "README.md"
BEGIN, END = "<!-- figures: benchmarks/table.py -->\n", "<!-- end of figures -->"
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
    ("online step over the 2D network", "step", "online step, custom / 2D network", "{:.3f}", "1.05"),
    ("online step over an 8-frame clip", "step", "online step, custom / 8-frame clip", "{:.3f}", "0.14"),
    ("exact over fast preprocessing, 720p", "preprocess", "720p warm: exact / fast", "{:.1f} x", "20 x"),
    ("import tsm_edge, added to numpy", "startup", "import tsm_edge, added to numpy, ms", "{:.0f} ms", "60 ms"),
    ("start to first label", "startup", "tsm-edge run, start to first label, s", "{:.2f} s", "1.2 s"),
    ("memory at frame 1,000", "startup", "memory at frame 1000, MB", "{:.0f} MB", "300 MB"),
    ("memory at frame 20,000", "startup", "memory at frame 20000, MB", "{:.0f} MB", "300 MB"),
)


def main():
    records = {}
    for _, name, *_ in ROWS:
        records[name] = json.loads((common.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    lines = ["| MobileNetV2-TSM at 224, CPU | measured | target |", "|---|---|---|"]
    for what, name, figure, shown, target in ROWS:
        lines.append(f"| {what} | {shown.format(records[name]['results'][figure])} | {target} |")
    where = records["run"]["machine"]
    lines.append(
        f"\nBy `make bench`: {where['cpu']}, {where['cores']} shared cores, {records['run']['threads']} threads, "
        f"ONNX Runtime {where['onnxruntime']}, {where['date']}; both sides in turn, medians. "
        "What they mean: [benchmarks](benchmarks/README.md)."
    )
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    README.write_text(before + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
