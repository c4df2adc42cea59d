#!/usr/bin/env bash
# Build the source distribution and two wheels with the CPU kernel library for this processor: make_wheel.sh BIN.
# dist/device/ has the wheel of the device half (Python 3.6 and later), dist/ has that of both halves (3.10 and later).
# The source distribution is made of the files that git knows or would add, and the wheels are made of it: no stray files
# and no libraries of this machine get into them, and it holds all that a wheel needs.
set -euo pipefail
bin=$1 files=build/wheel/files copy=build/wheel/tsm-edge
python=$(realpath -s "$bin/python")

rm -rf build/wheel && mkdir -p "$files" "$copy" build/wheel/kernels dist/device
rm -f dist/*.tar.gz dist/*.whl dist/device/*.whl
git ls-files -z --cached --others --exclude-standard -- tsm_edge export kernels setup.py setup.cfg MANIFEST.in \
    README.md CHANGELOG.md LICENSE constraints.txt constraints-device.txt |
    while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done |
    xargs -0 cp --parents -t "$files"
quiet() { sed '/^$/d; /standard file not found/d; /no previously-included/d; /byte-compiling is disabled/d'; }
(cd "$files" && "$python" -W ignore setup.py -q sdist --formats gztar --dist-dir "$OLDPWD/dist" 2>&1 | quiet)
tar -xzf dist/*.tar.gz -C "$copy" --strip-components 1
# PORTABLE refuses symbols that JetPack 4.6's C library lacks. Such a library also fits a manylinux2014 wheel.
(cd build/wheel/kernels && cmake "../tsm-edge/kernels" -DTSM_EDGE_OUTPUT_DIR="$PWD/../tsm-edge/tsm_edge/native/lib" \
    -DTSM_EDGE_PORTABLE=ON -DONNXRUNTIME=ON -DCUDA=OFF -DTENSORRT=OFF && cmake --build .)
wheel() { # DEVICE_ONLY PLATFORM FOLDER
    (cd "$copy" && rm -rf build && TSM_EDGE_DEVICE_ONLY=$1 "$python" -W ignore setup.py -q bdist_wheel \
        --plat-name "$2_$(uname -m)" --dist-dir "$3" 2>&1 | quiet)
}
wheel 1 linux "$PWD/dist/device" # JetPack 4's pip does not support manylinux2014
wheel 0 manylinux2014 "$PWD/dist"
ls -l dist/*.tar.gz dist/*.whl dist/device/*.whl
