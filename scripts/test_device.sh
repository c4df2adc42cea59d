#!/usr/bin/env bash
# Run the device half's tests on its oldest Python, 3.6: test_device.sh BIN VENV36 PYTHON36.
# The host half (BIN) first exports the models for these tests.
set -euo pipefail
bin=$1 venv=$2 python36=$3

"$bin/python" -m tests.device_models build/device
if [ -z "$python36" ]; then
    echo "make test-device: found no Python 3.6, so it is NOT tested (pyenv install 3.6.15, or PYTHON36=…)" >&2
    exit 0
fi
if [ ! -e "$venv/.ready" ] || [ constraints-device.txt -nt "$venv/.ready" ]; then
    "$python36" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check pip==21.3.1
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --only-binary=:all: -r constraints-device.txt
    touch "$venv/.ready"
fi
"$venv/bin/python" -m pytest tests/device -p no:cacheprovider -n 2 --dist loadfile
