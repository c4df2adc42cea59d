"""Draws the results, into results/NAME.png beside the JSON."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def _save(figure, json_path):
    figure.tight_layout()
    figure.savefig(Path(json_path).with_suffix(".png"), dpi=110)
    pyplot.close(figure)


def _axes(columns):
    figure, axes = pyplot.subplots(1, columns, figsize=(5.2 * columns, 3.6), squeeze=False)
    for one in axes[0]:
        one.grid(alpha=0.3)
        one.set_axisbelow(True)
    return figure, axes[0]


def models(rows, json_path):
    """Draw milliseconds for a new frame: a panel for each network, a bar for each side and number of threads."""
    found = {}
    for figure, value in rows.items():
        where, _, what = figure.partition(": ")
        if what.endswith(", ms"):
            network, threads = where.rsplit(", ", 1)
            found.setdefault(network, {}).setdefault(what[:-4], {})[threads] = value
    figure, axes = _axes(len(found))
    for panel, (network, sides) in zip(axes, found.items(), strict=True):
        names = list(sides)
        counts = sorted({threads for values in sides.values() for threads in values})
        for offset, threads in enumerate(counts):
            places = [index + 0.38 * (offset - (len(counts) - 1) / 2) for index in range(len(names))]
            panel.barh(places, [sides[name].get(threads, 0) for name in names], 0.36, label=threads)
        panel.set_yticks(range(len(names)), names, fontsize=7)
        panel.invert_yaxis()
        panel.set(title=network, xlabel="ms for a new frame")
        panel.legend(fontsize=7)
    _save(figure, json_path)


def streams(rows, counts, ways, json_path):
    """Draw frames/s and memory against the number of streams, a line for each way."""
    figure, axes = _axes(2)
    for panel, unit in zip(axes, ("frames/s", "MB"), strict=True):
        for way in ways:
            values = [rows[f"{n} stream{'s' * (n > 1)}: {way}, {unit}"] for n in counts]
            panel.plot(counts, values, "o-", label=way)
        panel.set(xlabel="streams", ylabel=f"{unit}, all streams together")
        panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
        panel.legend(fontsize=8)
    _save(figure, json_path)


def growth(rows, json_path):
    """Draw frames/s and memory against the size of the frames, and along a stream."""
    figure, axes = _axes(4)
    for first, (kind, label) in enumerate((("x", "side of the frames, pixels"), ("frame ", "frame of the stream"))):
        for second, unit in enumerate(("frames/s", "MB")):
            points = []
            for name, value in rows.items():
                where, _, what = name.partition(": ")
                if what == unit and (where.startswith("frame ") if kind == "frame " else "x" in where):
                    points.append((int(where.replace("frame ", "").split("x")[0]), value))
            panel = axes[2 * first + second]
            panel.plot(*zip(*points, strict=True), "o-")
            panel.set(xlabel=label, ylabel=unit)
            panel.set_ylim(0, 1.1 * panel.get_ylim()[1])
    _save(figure, json_path)


def roofline(record, json_path):
    """Draw each kind of layer as a point under the two roofs of the same run."""
    figure, axes = _axes(1)
    panel, (flops, bandwidth) = axes[0], (record["peak_operations_s"], record["peak_bytes_s"])
    ridge = flops / bandwidth
    panel.loglog([ridge / 100, ridge, ridge * 10], [flops / 100, flops, flops], "k-", label="measured roofs")
    for kind, layer in record["kinds"].items():
        if layer["operations"] and layer["seconds"]:
            panel.plot(layer["operations"] / layer["bytes"], layer["operations"] / layer["seconds"], "o", label=kind)
    panel.set(xlabel="operations a byte", ylabel="operations/s")
    panel.legend(fontsize=8)
    _save(figure, json_path)
