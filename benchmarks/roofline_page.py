"""Write the figures of docs/roofline.md from results/roofline.json: python benchmarks/roofline_page.py."""

import common

PAGE = common.ROOT / "docs" / "roofline.md"
BEGIN = "<!-- figures: benchmarks/roofline_page.py -->\n"


def figures(record):
    """Return the Markdown of a record of bench_roofline.py."""
    rows, where = record["results"], record["machine"]
    share = rows["step / matrix product, operations/s"]
    lines = [
        f"{rows['network']}, one stream, {record['threads']} threads, {where['cpu']}, {where['cores']} cores, "
        f"ONNX Runtime {where['onnxruntime']}, shift by {rows['shift by']}, {where['date']}, "
        f"load {where['load_average']:.1f}.",
        "",
        "| | |",
        "|---|---|",
        f"| matrix product, measured | {rows['matrix product, GFLOP/s']:.1f} GFLOP/s |",
        f"| memory copy, measured (bytes read and written) | {rows['memory copy, GB/s read and written']:.1f} GB/s |",
        f"| operations for each frame, counted | {rows['operations a frame, M']:.0f} M |",
        f"| bytes for each frame, counted | {rows['bytes a frame, MB']:.1f} MB |",
        f"| step, measured | {rows['step, ms']:.2f} ms, {rows['step, GFLOP/s']:.1f} GFLOP/s |",
        f"| operations/s of the step, as a share of the matrix product's | **{share:.0%}** |",
        f"| floor of all layers, as a share of the step | **{rows['floor of all layers / step']:.0%}** |",
        "",
        "| layers | count | operations, M | MB | operations per byte | floor, ms | measured, ms | floor / measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, layer in record["kinds"].items():
        intensity = f"{layer['operations'] / layer['bytes']:.1f}" if layer["bytes"] else "-"
        reached = "-" if layer["share"] is None else f"{layer['share']:.0%}"
        lines.append(
            f"| {kind} | {layer['layers'] or '-'} | {layer['operations'] / 1e6:.1f} | {layer['bytes'] / 1e6:.2f} "
            f"| {intensity} | {1e3 * layer['floor_seconds']:.3f} | {1e3 * layer['seconds']:.3f} | {reached} |"
        )
    lost = sorted(record["kinds"].items(), key=lambda item: item[1]["floor_seconds"] - item[1]["seconds"])[:3]
    kinds = [f"{kind} ({1e3 * (layer['seconds'] - layer['floor_seconds']):.2f} ms)" for kind, layer in lost]
    lines += ["", f"The most time above the floor: {'; '.join(kinds)}."]
    return "\n".join(lines) + "\n"


def main():
    common.write_between(PAGE, BEGIN, figures(common.kept("roofline")))


if __name__ == "__main__":
    main()
