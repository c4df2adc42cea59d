"""Run the models of op_models.py on this machine's ONNX Runtime. Needs only NumPy, ONNX Runtime and Python 3.6.

python op_runner.py LIBRARY FOLDER      prints one line per model; exit status 1 if an output is not equal bit by bit
"""

import glob
import os
import sys

import numpy as np
import onnxruntime


def run(library, path):
    """Return ({name: output}, {name: expected}) of one model file and the .npz file beside it."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(library)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    arrays = np.load(path[: -len(".onnx")] + ".npz")
    inputs = {name[3:]: arrays[name] for name in arrays.files if name.startswith("in_")}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs))), {name: arrays["out_" + name] for name in names}


def main(library, folder):
    paths = sorted(glob.glob(os.path.join(folder, "*.onnx")))
    wrong = 0
    for path in paths:
        got, expected = run(library, path)
        same = all(got[name].tobytes() == expected[name].tobytes() for name in expected)
        wrong += not same
        print("{} {}".format(os.path.basename(path), "same" if same else "DIFFERENT"))
    print("ONNX Runtime {}: {} of {} same".format(onnxruntime.__version__, len(paths) - wrong, len(paths)))
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
