"""A file that stands for a TensorRT engine, with a true record: for tests that never load it."""

import hashlib
import os

from tsm_edge.engines.tensorrt import record

CONTENT = b"a plan" * 100


def write_plan(path, manifest, **changes):
    """Write the file and its record; `changes` are fields of the record. Returns the path."""
    with open(path, "wb") as file:
        file.write(CONTENT)
    plan = record.FileSpec(os.path.basename(path), len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    found = record.EngineRecord(
        format_version=record.FORMAT_VERSION,
        manifest=manifest,
        plan=plan,
        onnx=plan._replace(name="model.onnx"),
        tensorrt="8.2.1.8",
        gpu=("NVIDIA Tegra X1", "5.3"),
        jetpack="4.6.1",
        plugin_sha256=None,
        precision="fp32",
        lowering="standard",
        times=(record.LoweringTime("standard", 0.1 + 0.2, 2.0, 100, None),),
        streams=(1, 1, 4),
        workspace=1,
        command="tsm-edge build",
        tsm_edge="0",
    )
    record.write_record(path, found._replace(**changes))
    return path
