#!/usr/bin/env bash
# Build two wheels with the CPU kernel library for this processor: make_wheel.sh BIN. dist/device/ has the device half
# (Python 3.6 and later), dist/ has both halves (3.10 and later). The build uses a copy of the sources that git knows or
# would add, so that no stray files and no libraries of this machine get into a wheel.
set -euo pipefail
bin=$1 copy=build/wheel/tsm-edge

rm -rf build/wheel && mkdir -p "$copy" dist/device
git ls-files -z --cached --others --exclude-standard -- tsm_edge export kernels setup.py setup.cfg README.md LICENSE |
    xargs -0 cp --parents -t "$copy"
mkdir -p build/wheel/kernels
# PORTABLE refuses symbols that JetPack 4.6's C library lacks. Such a library also fits a manylinux2014 wheel.
(cd build/wheel/kernels && cmake "../tsm-edge/kernels" -DTSM_EDGE_OUTPUT_DIR="$PWD/../tsm-edge/tsm_edge/native/lib" \
    -DTSM_EDGE_PORTABLE=ON -DONNXRUNTIME=ON -DCUDA=OFF -DTENSORRT=OFF && cmake --build .)
python=$(realpath -s "$bin/python")
wheel() { # DEVICE_ONLY PLATFORM FOLDER
    (cd "$copy" && rm -rf build && TSM_EDGE_DEVICE_ONLY=$1 "$python" -W ignore setup.py -q bdist_wheel \
        --plat-name "$2_$(uname -m)" --dist-dir "$3" 2>&1 | sed '/^$/d; /byte-compiling is disabled/d')
}
wheel 1 linux "$PWD/dist/device" # JetPack 4's pip does not support manylinux2014
wheel 0 manylinux2014 "$PWD/dist"
ls -l dist/*.whl dist/device/*.whl
