#!/usr/bin/env bash
# Wheels with the CPU kernel libraries for this processor: make_wheel.sh BIN. dist/device/: for a device (Python 3.6 and
# later); dist/: with the host half as well (3.10 and later). Built from a copy of the committed and changed sources, so that
# neither stray files nor this machine's own libraries get in.
set -euo pipefail
bin=$1 copy=build/wheel/tsm-edge

rm -rf build/wheel && mkdir -p "$copy" dist/device
git ls-files -z --cached --others --exclude-standard -- tsm_edge export kernels setup.py setup.cfg README.md LICENSE |
    xargs -0 cp --parents -t "$copy"
mkdir -p build/wheel/kernels
# PORTABLE refuses symbols that JetPack 4.6's C library lacks, which also makes it a manylinux2014 wheel.
(cd build/wheel/kernels && cmake "../tsm-edge/kernels" -DTSM_EDGE_OUTPUT_DIR="$PWD/../tsm-edge/tsm_edge/native/lib" \
    -DTSM_EDGE_PORTABLE=ON -DCUDA=OFF -DTENSORRT=OFF && cmake --build .)
python=$(realpath -s "$bin/python")
wheel() { # DEVICE_ONLY PLATFORM FOLDER
    (cd "$copy" && rm -rf build && TSM_EDGE_DEVICE_ONLY=$1 "$python" -W ignore setup.py -q bdist_wheel \
        --plat-name "$2_$(uname -m)" --dist-dir "$3" 2>&1 | sed '/^$/d; /byte-compiling is disabled/d')
}
wheel 1 linux "$PWD/dist/device" # JetPack 4's pip knows no manylinux2014
wheel 0 manylinux2014 "$PWD/dist"
ls -l dist/*.whl dist/device/*.whl
