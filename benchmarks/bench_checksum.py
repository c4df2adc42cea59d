"""What checking a model file costs: the check alone, and the start of `tsm-edge run` with it and without, in turn."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import bench_startup
import common
import forms

CHECK = """
import sys, time
from tsm_edge.onnx.metadata import read_model
start = time.perf_counter()
read_model(sys.argv[1])
print(time.perf_counter() - start)
"""
# `tsm-edge run` that believes the checksum which the file states, and does not look for values in other files.
UNCHECKED = """
import sys
import tsm_edge.cli
from tsm_edge.onnx import digest, metadata
metadata.checked_digest = lambda model: next(field.text_of(2) for field in model if digest.is_digest(field))
metadata._refuse_external_data = lambda *parts: None
sys.exit(tsm_edge.cli.main())
"""


def check_seconds(model):
    """Return what reading, hashing and checking the file takes in a fresh process."""
    done = subprocess.run([sys.executable, "-c", CHECK, model], check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def main():
    chosen = common.options(__doc__, rounds=25)
    os.environ["PYTHONPATH"] = str(common.ROOT)
    with tempfile.TemporaryDirectory() as folder:
        model, lines = forms.Maker(folder, forms.network_of(chosen)).path(forms.BEST), Path(folder) / "out.jsonl"
        checks = [check_seconds(model) for _ in range(chosen.rounds)]
        checked = bench_startup.run_command(model)
        unchecked = [sys.executable, "-c", UNCHECKED, *checked[3:]]
        starts = common.rates_in_turn(
            {
                "checked": lambda: bench_startup.first_label_seconds(checked, lines),
                "unchecked": lambda: bench_startup.first_label_seconds(unchecked, lines),
            },
            chosen.rounds,
        )
        size = os.path.getsize(model)
    rows = {
        "model file, MB": size / 1e6,
        "check of the file, ms": 1e3 * median(checks),
        "check of the file, ms a MB": 1e3 * median(checks) / (size / 1e6),
        "start to first label, s": median(starts["checked"]),
        "start to first label without the check, s": median(starts["unchecked"]),
        "start to first label, checked / unchecked": common.ratio(starts, "checked", "unchecked"),
        **common.interval(starts, "checked", "unchecked"),
    }
    common.finish("checksum", rows, chosen)


if __name__ == "__main__":
    main()
