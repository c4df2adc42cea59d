"""Write the tables of benchmarks/README.md from benchmarks/results/*.json: python benchmarks/table.py."""

import re
from typing import NamedTuple

import common

PAGE = common.RESULTS.parent / "README.md"
REFERENCE_SIDE = "custom op, library"
MISSING = "Not measured yet.\n"


class Target(NamedTuple):
    """One target of the project.

    what: in words. benchmark, figure: where it stands. form: how it is shown. limit: what it has to reach. at_most:
    whether it has to be at most that, not at least.
    """

    what: str
    benchmark: str
    figure: str
    form: str
    limit: float
    at_most: bool = False


END_TO_END = "End-to-end throughput (video file to label)"
TARGETS = (
    Target(
        f"{END_TO_END} at 340x256, relative to the published pipeline",
        "run",
        "340x256: tsm-edge / published",
        "{:.1f} x",
        4.5,
    ),
    Target(
        f"{END_TO_END} at 1080p, relative to the published pipeline",
        "run",
        "1080p: tsm-edge / published",
        "{:.1f} x",
        4.5,
    ),
    Target(
        f"{END_TO_END} at 340x256, relative to the network alone",
        "run",
        "340x256: tsm-edge / engine alone",
        "{:.3f}",
        0.90,
    ),
    Target(
        f"{END_TO_END} at 720p, relative to the network alone", "run", "720p: tsm-edge / engine alone", "{:.3f}", 0.91
    ),
    Target(
        "The same, with one thread kept free for decoding",
        "run",
        "720p, a thread left to decoding: tsm-edge / engine alone",
        "{:.3f}",
        0.91,
    ),
    Target(
        "Time of an online step, relative to the 2D network",
        "step",
        "online step, custom / 2D network",
        "{:.3f}",
        1.05,
        True,
    ),
    Target(
        "Time of an online step, relative to an 8-frame clip",
        "step",
        "online step, custom / 8-frame clip",
        "{:.3f}",
        0.14,
        True,
    ),
    Target(
        "Time of `exact` preprocessing at 720p, relative to `fast`",
        "preprocess",
        "720p warm: exact / fast",
        "{:.1f} x",
        20,
    ),
    Target(
        "Time that `import tsm_edge` adds to numpy",
        "startup",
        "import tsm_edge, added to numpy, ms",
        "{:.1f} ms",
        60,
        True,
    ),
    Target("Start to first label", "startup", "tsm-edge run, start to first label, s", "{:.2f} s", 1.2, True),
    Target("Memory at frame 1,000", "startup", "memory at frame 1000, MB", "{:.0f} MB", 300, True),
    Target("Memory at frame 20,000", "startup", "memory at frame 20000, MB", "{:.0f} MB", 300, True),
    Target("Time of a profiled frame, relative to an unprofiled one", "profile", "profile / run", "{:.4f}", 1.01, True),
    Target(
        "Sum of the stages of a profile, relative to the wall time",
        "profile",
        "stages over wall time, median",
        "{:.3f}",
        0.98,
    ),
    Target(
        "Operations/s of a step, relative to a matrix product",
        "roofline",
        "step / matrix product, operations/s",
        "{:.3f}",
        0.65,
    ),
    Target(
        "Time of a training step with online shift, relative to no shift",
        "training",
        "causal / none, time",
        "{:.3f}",
        1.05,
        True,
    ),
    Target(
        "Time of a training step with offline shift, relative to no shift",
        "training",
        "bidirectional / none, time",
        "{:.3f}",
        1.05,
        True,
    ),
    Target(
        "One stream at 340x256: frames/s, now / before", "before", "340x256: frames/s, now / before", "{:.3f}", 0.97
    ),
    Target("One stream at 720p: frames/s, now / before", "before", "720p: frames/s, now / before", "{:.3f}", 0.97),
    Target(
        "Start to first label, now / before", "before", "start to first label, s, now / before", "{:.3f}", 1.03, True
    ),
    Target(
        "Peak memory at 340x256, now / before",
        "before",
        "340x256: peak memory, MB, now / before",
        "{:.3f}",
        1.03,
        True,
    ),
    Target(
        "CPU time of 8 cameras, one process / 8 processes",
        "cameras",
        "CPU, ms a frame: one process / 8 processes",
        "{:.2f}",
        0.9,
        True,
    ),
    Target(
        "Memory of 8 cameras, one process / 8 processes",
        "cameras",
        "PSS, MB: one process / 8 processes",
        "{:.2f}",
        0.4,
        True,
    ),
    Target(
        "Accuracy on new recordings after training on ten clips of each label",
        "few_clips",
        "rendered, 10 clips: accuracy, %",
        "{:.1f} %",
        94.0,
    ),
    Target(
        "Order pairs told apart after that training",
        "few_clips",
        "rendered, 10 clips: pairs by order, %",
        "{:.1f} %",
        98.0,
    ),
    Target(
        "CPU time of that training (90 s on two cores)",
        "few_clips",
        "rendered, 10 clips: training, mean CPU seconds",
        "{:.0f} s",
        180.0,
        True,
    ),
    *(
        Target(
            f"p99 latency of two steady streams, next to two faulty ones / {words}",
            "stalls",
            f"latency p99, ms: four streams, two of them faulty / {side}",
            "{:.2f}",
            1.10,
            True,
        )
        for words, side in (("alone", "two streams"), ("next to two healthy ones", "four streams"))
    ),
)


def begin(section):
    """Return the line that begins a section of the page."""
    return f"<!-- {section}: benchmarks/table.py -->\n"


def result(benchmark):
    """Return the kept record of a benchmark, or None where it was not measured yet."""
    return common.kept(benchmark) if (common.RESULTS / f"{benchmark}.json").exists() else None


def measured_on(record):
    """Return what a record was measured on and with, as a sentence."""
    where = record["machine"]
    return (
        f"{where['cpu']}, {where['cores']} cores, {record['threads']} threads, ONNX Runtime {where['onnxruntime']}, "
        f"{where['date']}, load {where['load_average']:.1f}.\n"
    )


def table(rows):
    """Return the Markdown of rows of cells, the first of which is the head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def targets(records):
    """Return the table of all targets. records: {benchmark: its record, or None}."""
    rows = [("figure", "measured", "target", "reached", "date")]
    for target in TARGETS:
        record = records[target.benchmark]
        limit = ("at most " if target.at_most else "at least ") + target.form.format(target.limit)
        if record is None:
            rows.append((target.what, "not measured yet", limit, "", ""))
            continue
        value = record["results"][target.figure]
        reached = value <= target.limit if target.at_most else value >= target.limit
        rows.append(
            (target.what, target.form.format(value), limit, "yes" if reached else "**no**", record["machine"]["date"])
        )
    return table(rows)


def number(value):
    """Return a figure with three digits, and without decimals above 100."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def before(record):
    """Return the table of bench_before.py: one row for each figure, both trees and their ratio."""
    rows = [("figure", f"before ({record['results']['before']})", "now", "now / before", "95 % interval")]
    for name, value in record["results"].items():
        where, figure = name.removesuffix(", now / before").rpartition(": ")[::2]
        if not name.endswith(", now / before"):
            continue
        sides = [record["results"][(where and f"{where}: ") + f"{side}, {figure}"] for side in ("before", "now")]
        rows.append((f"{where} {figure}".strip(), *map(number, sides), f"{value:.3f}", bounds(record, name)))
    return table(rows) + f"\nShift by {record['results']['shift by']} on both sides. " + measured_on(record)


def bounds(record, ratio):
    """Return the 95 % interval of a ratio in words."""
    found = [record["results"].get(f"{ratio}, 95 % {end}") for end in ("from", "to")]
    return "-" if None in found else "{:.3f} to {:.3f}".format(*found)


def cameras(record):
    """Return the table of bench_cameras.py: one row for each figure, both sides and their ratio."""
    results = record["results"]
    sides = [name[: -len(": PSS, MB")] for name in results if name.endswith(": PSS, MB")]
    rows = [("figure", *sides, "ratio")]
    for name in results:
        side, _, figure = name.partition(": ")
        if side == sides[0]:
            ratio = results.get(f"{figure}: {sides[0]} / {sides[1]}")
            values = [number(results[f"{one}: {figure}"]) for one in sides]
            rows.append((figure, *values, "-" if ratio is None else f"{ratio:.2f}"))
    return table(rows) + "\n" + measured_on(record)


def stalls(record):
    """Return the table of bench_stalls.py: one row for each side."""
    results, figures = record["results"], ("latency p50, ms", "latency p99, ms", "dropped", "resets")
    sides = [name[: -len(": dropped")] for name in results if name.endswith(": dropped")]
    rows = [("streams", *figures)]
    rows += [(side, *(number(results[f"{side}: {figure}"]) for figure in figures)) for side in sides]
    ratios = [name for name in results if " / " in name and name.startswith("latency p99") and "95 %" not in name]
    said = "; ".join(f"{results[name]:.2f} of {name.rpartition(' / ')[2]}" for name in ratios)
    return table(rows) + f"\np99 of the steady streams next to faulty ones, relative: {said}. " + measured_on(record)


def models(record):
    """Return ms for a new frame, and the ratio to tsm-edge: one row for each side, one column for each network."""
    rows = record["results"]
    found = [re.match(r"(.+, \d threads?): (.+), ms$", figure) for figure in rows]
    columns = list(dict.fromkeys(match.group(1) for match in found if match))
    sides = list(dict.fromkeys(match.group(2) for match in found if match))
    lines = [("ms (relative to tsm-edge)", *columns)]
    for side in sides:
        cells = []
        for where in columns:
            cell = f"{rows[f'{where}: {side}, ms']:.1f}" if f"{where}: {side}, ms" in rows else "-"
            ratio = rows.get(f"{where}: {side} / {REFERENCE_SIDE}")
            cells.append(cell if ratio is None else f"{cell} ({ratio:.2f})")
        lines.append((side, *cells))
    return table(lines) + "\n" + measured_on(record)


def streams(record):
    """Return frames/s of all streams together, and MB: one row for each number of streams, one column for each way."""
    rows = record["results"]
    counts = list(dict.fromkeys(figure.split(":")[0] for figure in rows))
    end = ", frames/s"
    ways = [name.split(": ")[1][: -len(end)] for name in rows if name.startswith("1 stream: ") and name.endswith(end)]
    lines = [("frames/s, MB", *ways)]
    for count in counts:
        cells = [f"{rows[f'{count}: {way}, frames/s']:.0f}, {rows[f'{count}: {way}, MB']:.0f}" for way in ways]
        lines.append((count, *cells))
    return table(lines) + "\n" + measured_on(record)


def sections():
    """Return {section: its Markdown} of the page."""
    found = {"targets": targets({target.benchmark: result(target.benchmark) for target in TARGETS})}
    for make in (before, cameras, stalls, models, streams):
        record = result(make.__name__)
        found[make.__name__] = MISSING if record is None else make(record)
    return found


def main():
    for section, text in sections().items():
        common.write_between(PAGE, begin(section), text)


if __name__ == "__main__":
    main()
